//! The exercises' manifests, read and converted as a whole.

use std::{collections::BTreeMap, io, net::IpAddr, sync::Arc};

use weft_model::{
    matching::{Pattern, StringMatch},
    policy::{Action, MtlsMode},
    route::{ClientTls, Mirror, Visibility},
    snapshot::World,
    workload::{Enrolment, Named},
};

use super::{
    netns_addresses::NetnsAddresses,
    parse::{Settings, parse},
    store::Store,
    world::{Before, Inputs, Whereabouts, build},
};

/// Addresses of namespaces, by name.
pub struct FakeAddresses(pub BTreeMap<&'static str, &'static str>);

impl NetnsAddresses for FakeAddresses {
    fn addresses(&self, netns: &str) -> io::Result<Vec<IpAddr>> {
        let known = self.0.get(netns).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(known.split_whitespace().map(|ip| ip.parse().unwrap()).collect())
    }
}

/// The addresses of the pods of `fixtures/base.yaml`.
pub fn shop_addresses() -> FakeAddresses {
    let known = [
        ("age", "10.244.0.1"),
        ("name-v1", "10.244.0.2"),
        ("name-v2", "10.244.0.3"),
        ("sentences", "10.244.0.4 fd00::4"),
    ];
    FakeAddresses(known.into())
}

/// A world with everything that was said about its making.
pub struct Read {
    pub world: World,
    pub errors: Vec<String>,
    pub warnings: Vec<String>,
    pub notes: Vec<String>,
}

impl Read {
    pub fn pod(&self, namespace: &str, name: &str) -> &weft_model::workload::Workload {
        let wanted = Named::new(namespace, name);
        self.world.workloads.iter().find(|one| one.pod == wanted).expect("the pod is in the world")
    }

    pub fn service(&self, name: &str) -> &weft_model::service::Service {
        self.world.services.iter().find(|one| &*one.name.name == name).expect("the Service is in the world")
    }

    /// Addresses of the ready endpoints with the port behind Service port `port`.
    pub fn endpoints(&self, service: &str, port: u16) -> Vec<String> {
        let ready = self.service(service).endpoints.iter().filter(|one| one.ready);
        ready.map(|one| format!("{}:{}", one.address, one.ports.get(&port).copied().unwrap_or(0))).collect()
    }
}

/// Reads files given as name and text.
pub fn read(files: &[(&str, &str)]) -> Read {
    read_with(files, &shop_addresses())
}

/// [`read`], with other namespaces.
pub fn read_with(files: &[(&str, &str)], addresses: &FakeAddresses) -> Read {
    let mut store = Store::default();
    for (name, text) in files {
        store.put(&Arc::from(*name), parse(name, text, &Settings::default()));
    }
    let view = store.view();
    let (domain, node) = (Arc::from("cluster.local"), Arc::from("node-1"));
    let whereabouts = Whereabouts::Files { node: &node, addresses: Some(addresses) };
    let built = build(&view, &Inputs { cluster_domain: &domain, whereabouts }, &mut Before::default());
    let of_objects = view.objects.values().flat_map(|one| &one.parsed.warnings);
    let warnings = store.file_warnings().chain(of_objects).chain(&view.warnings).chain(&built.warnings);
    Read {
        errors: store.errors().map(ToString::to_string).collect(),
        warnings: warnings.map(ToString::to_string).collect(),
        notes: store.notes().map(ToString::to_string).collect(),
        world: built.world,
    }
}

const BASE: (&str, &str) = ("base.yaml", include_str!("tests/fixtures/base.yaml"));

fn quiet(read: &Read) {
    assert_eq!((&read.errors, &read.warnings), (&vec![], &vec![]));
}

#[test]
fn base_application_has_pods_services_and_endpoints() {
    let read = read(&[BASE]);
    quiet(&read);
    assert_eq!(read.world.workloads.len(), 4);
    let sentences = read.pod("shop", "sentences-0");
    assert_eq!(sentences.identity.to_string(), "spiffe://cluster.local/ns/shop/sa/sentences");
    assert_eq!((&*sentences.canonical.workload, &*sentences.canonical.service), ("sentences", "sentences"));
    assert_eq!((&*sentences.canonical.revision, &*sentences.canonical.version), ("latest", "unknown"));
    assert_eq!(sentences.capture.netns.as_deref(), Some("sentences"));
    assert_eq!(sentences.enrolment, Enrolment::Enrolled);
    assert_eq!(&*sentences.node, "node-1", "a pod that names no node is on the agent's");
    assert_eq!(&*read.pod("shop", "name-v2-0").node, "node-2");
    assert_eq!(&*read.pod("shop", "name-v2-0").identity.service_account, "default");
    assert_eq!(read.endpoints("name", 5000), ["10.244.0.2:5000", "10.244.0.3:5000"]);
    assert_eq!(read.endpoints("sentences", 5000), ["10.244.0.4:5000"], "named port, family of the cluster IP");
    assert_eq!(read.endpoints("sentences", 8000), ["10.244.0.4:8000"]);
    assert_eq!(read.service("sentences").ports[0].node_port, Some(30500));
    assert_eq!(&*read.service("age").host, "age.shop.svc.cluster.local");
}

#[test]
fn k01_routes_by_header_to_other_services() {
    let read = read(&[BASE, ("k01.yaml", include_str!("tests/fixtures/k01-blue-green.yaml"))]);
    quiet(&read);
    let rule = &read.world.virtual_services[0];
    assert_eq!(rule.hosts, ["name.shop.svc.cluster.local".into()] as [Arc<str>; 1]);
    assert_eq!(rule.gateways, ["mesh".into()] as [Arc<str>; 1]);
    assert_eq!(rule.export_to, Visibility::Everywhere);
    assert_eq!(rule.http[0].matches[0].headers["x-test"], StringMatch::Exact("use-v2".into()));
    assert_eq!(&*rule.http[0].destinations[0].destination.host, "name-v2.shop.svc.cluster.local");
    assert_eq!(rule.http[1].matches, []);
    assert_eq!(rule.http[1].destinations[0].weight, None);
    assert_eq!(read.endpoints("name-v1", 5000), ["10.244.0.2:5000"]);
    assert_eq!(read.endpoints("name-v2", 5000), ["10.244.0.3:5000"]);
}

#[test]
fn k02_and_e01_route_to_subsets_visible_in_one_namespace() {
    let read = read(&[BASE, ("k02.yaml", include_str!("tests/fixtures/k02-subsets.yaml"))]);
    quiet(&read);
    let rule = &read.world.destination_rules[0];
    assert_eq!(&*rule.host, "name.shop.svc.cluster.local");
    assert_eq!(rule.export_to, Visibility::Namespaces(vec!["shop".into()]));
    assert_eq!(rule.subsets[1].labels, [("version".into(), "v2".into())].into());
    let http = &read.world.virtual_services[0].http;
    assert_eq!(http[0].destinations[0].destination.subset.as_deref(), Some("name-v2"));
    assert_eq!(http[1].destinations[0].destination.subset.as_deref(), Some("name-v1"));
}

#[test]
fn k03_keeps_weights_zero_included() {
    let read = read(&[BASE, ("k03.yaml", include_str!("tests/fixtures/k03-canary.yaml"))]);
    quiet(&read);
    let weights = |route: usize| -> Vec<Option<u32>> {
        read.world.virtual_services[0].http[route].destinations.iter().map(|one| one.weight).collect()
    };
    assert_eq!(weights(0), [Some(90), Some(10)]);
    assert_eq!(weights(1), [Some(0), Some(100)]);
}

#[test]
fn e02_mirrors_to_a_third_version() {
    let read = read(&[BASE, ("e02.yaml", include_str!("tests/fixtures/e02-mirror.yaml"))]);
    assert_eq!(read.errors, [] as [&str; 0]);
    assert_eq!(read.warnings, [] as [&str; 0]);
    let route = &read.world.virtual_services[0].http[0];
    let mirror = &route.mirrors[0];
    assert_eq!(
        (&*mirror.destination.host, mirror.destination.subset.as_deref()),
        ("name.shop.svc.cluster.local", Some("name-v3"))
    );
    assert_eq!(mirror.per_million, Mirror::ALL);
    assert!(route.matches[0].uri.as_ref().unwrap().matches("/v2/x", false));
    assert!(!route.matches[0].uri.as_ref().unwrap().matches("/a/v2/x", false), "an expression matches the whole");
    assert_eq!(route.matches[0].port, Some(5000));
    assert_eq!(route.destinations[1].weight, None, "missing beside others, for the model to read as 0");
}

#[test]
fn k13_has_modes_and_hosts_in_all_spellings() {
    let read = read(&[BASE, ("k13.yaml", include_str!("tests/fixtures/k13-mtls.yaml"))]);
    quiet(&read);
    let policy = &read.world.peer_authentications[0];
    assert_eq!((policy.mode, &policy.selector), (Some(MtlsMode::Strict), &None));
    let subsets = &read.world.destination_rules[0].subsets;
    assert_eq!(subsets[0].policy.tls, Some(ClientTls::Disable));
    assert_eq!(subsets[1].policy.tls, Some(ClientTls::IstioMutual));
    let rule = &read.world.virtual_services[0];
    assert_eq!(&*rule.hosts[0], "name.shop.svc.cluster.local", "name.namespace of a Service that exists");
    for one in &rule.http[0].destinations {
        assert_eq!((&*one.destination.host, one.destination.port), ("name.shop.svc.cluster.local", Some(5000)));
    }
}

#[test]
fn k16_allows_one_account_one_path() {
    let read = read(&[BASE, ("k16.yaml", include_str!("tests/fixtures/k16-authorization.yaml"))]);
    quiet(&read);
    assert_eq!(read.notes, ["k16.yaml: objects of kind NetworkPolicy (networking.k8s.io) are left alone"]);
    let policy = &read.world.authorization_policies[0];
    assert_eq!(policy.action, Action::Allow);
    assert_eq!(policy.selector.as_ref().unwrap().len(), 2);
    let exact = |text: &str| vec![Pattern::Exact(text.into())];
    assert_eq!(policy.rules[0].from[0].principals, exact("cluster.local/ns/shop/sa/sentences"));
    assert_eq!(policy.rules[0].to[0].methods, exact("GET"));
}

#[test]
fn k07_leaves_a_pod_out_and_finds_metrics() {
    let read = read(&[BASE, ("k07.yaml", include_str!("tests/fixtures/k07-metrics.yaml"))]);
    quiet(&read);
    let (outside, inside) = (read.pod("shop", "outside"), read.pod("shop", "inside"));
    let reason = "annotation sidecar.istio.io/inject of the pod is not true";
    assert_eq!(outside.enrolment, Enrolment::NotEnrolled(reason));
    let scrape = outside.scrape.as_ref().unwrap();
    assert_eq!((scrape.port, &*scrape.path, scrape.merge), (8000, "/metrics", false));
    assert_eq!(inside.enrolment, Enrolment::Enrolled);
    assert!(inside.scrape.as_ref().unwrap().merge);
    assert_eq!(&*inside.canonical.workload, "inside", "no owner: its own name");
}
