//! The same objects from files and from an API server make the same world and the same complaints.

use serde_yaml_ng::Value;

use super::super::{
    PLACE,
    catalog::{self, Resource, Use},
    objects::Objects,
};
use crate::{
    discovery::{
        document,
        objects::{Kind, Recognised, recognise},
        parse::{self, Origin, Settings},
        tests::{Read, read},
        world::{Before, Inputs, Whereabouts, build, is_same},
    },
    net::PodPlaces,
};

/// A namespace with nodes, pods, Services and slices, as `kubectl get -o yaml` shows them.
const DUMP: &str = include_str!("dump.yaml");

const RULES: [&str; 6] = [
    include_str!("../../tests/fixtures/e02-mirror.yaml"),
    include_str!("../../tests/fixtures/k01-blue-green.yaml"),
    include_str!("../../tests/fixtures/k02-subsets.yaml"),
    include_str!("../../tests/fixtures/k03-canary.yaml"),
    include_str!("../../tests/fixtures/k13-mtls.yaml"),
    include_str!("../../tests/fixtures/k16-authorization.yaml"),
];

/// Objects that are wrong in several ways.
const WRONG: &str = include_str!("wrong.yaml");

fn resource(value: &Value) -> Option<Resource> {
    let kind = value.get("kind")?.as_str()?;
    let version = value.get("apiVersion")?.as_str()?;
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let purpose = match recognise(group, kind) {
        Recognised::Acted(Kind::Deployment | Kind::ServiceAccount, _) | Recognised::Ignored => return None,
        Recognised::Acted(kind, _) => Use::Acted(kind),
        Recognised::NotEnforced => Use::Warned,
    };
    let (group, version, kind) = (group.into(), version.into(), kind.into());
    Some(Resource { group, version, kind, plural: "x".into(), purpose })
}

fn read_from_server(text: &str) -> Read {
    let settings = Settings { origin: Origin::ApiServer, ..Settings::default() };
    let mut objects = Objects::new("node-1".into());
    for document in document::split(text) {
        let mut value: Value = serde_yaml_ng::from_str(document.text).unwrap();
        let Some(resource) = resource(&value) else { continue };
        let is_cluster_wide = catalog::core().iter().any(|one| one.is_metadata_only() && one.kind == resource.kind);
        let metadata = value.get_mut("metadata").unwrap().as_mapping_mut().unwrap();
        if !is_cluster_wide {
            metadata.entry("namespace".into()).or_insert("default".into());
        }
        let name = super::super::watch::name(&value).unwrap();
        objects.apply(&resource, name, parse::object(&PLACE.into(), value, &settings));
    }
    let view = objects.view();
    let (domain, node, places) = ("cluster.local".into(), "node-1".into(), PodPlaces::default());
    let whereabouts = Whereabouts::ApiServer { node: &node, places: &places };
    let built = build(&view, &Inputs { cluster_domain: &domain, whereabouts }, &mut Before::default());
    Read {
        errors: objects.errors().map(ToString::to_string).collect(),
        warnings: objects.warnings().chain(&built.warnings).map(ToString::to_string).collect(),
        notes: Vec::new(),
        world: built.world,
    }
}

/// Without the place, which is what differs.
fn sorted(complaints: &[String]) -> Vec<&str> {
    let mut without: Vec<&str> = complaints.iter().map(|one| one.split_once(": ").unwrap().1).collect();
    without.sort_unstable();
    without
}

fn assert_same(text: &str) -> Read {
    let (files, server) = (read(&[("a.yaml", text)]), read_from_server(text));
    assert_eq!(sorted(&server.errors), sorted(&files.errors));
    assert_eq!(sorted(&server.warnings), sorted(&files.warnings));
    assert!(is_same(&files.world, &server.world), "{:#?}\n{:#?}", files.world, server.world);
    server
}

#[test]
fn pods_services_and_slices_are_the_same() {
    let read = assert_same(DUMP);
    assert_eq!((read.world.workloads.len(), read.world.services.len()), (3, 5));
    assert_eq!((read.errors.len(), read.warnings.len()), (0, 0), "{:?}{:?}", read.errors, read.warnings);
    assert_eq!(read.endpoints("web", 80), ["10.244.1.5:8080", "10.244.2.6:8080"]);
    assert_eq!(&*read.pod("shop", "web-7d9f-abcde").canonical.workload, "web");
    assert_eq!(&*read.pod("shop", "web-7d9f-abcde").locality.zone, "eu-a");
}

#[test]
fn the_exercises_rules_are_the_same() {
    for rules in RULES {
        let read = assert_same(&format!("{DUMP}---\n{rules}"));
        let world = &read.world;
        let rules = world.virtual_services.len() + world.authorization_policies.len();
        assert!(rules > 0);
    }
}

#[test]
fn complaints_are_the_same() {
    let read = assert_same(WRONG);
    assert_eq!((read.errors.len(), read.warnings.len()), (4, 4), "{:#?}{:#?}", read.errors, read.warnings);
    assert!(read.errors.iter().all(|one| one.starts_with("api server: ")));
}
