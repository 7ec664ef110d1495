use serde_yaml_ng::Value;

use super::*;
use crate::discovery::{
    api_server::catalog,
    objects::Kind,
    parse::{self, Origin, Settings},
};

struct Told {
    objects: Objects,
    settings: Settings,
}

impl Told {
    fn new() -> Self {
        let settings = Settings { origin: Origin::ApiServer, ..Settings::default() };
        Self { objects: Objects::new("node-1".into()), settings }
    }

    fn apply(&mut self, resource: &Resource, name: &str, text: &str) -> bool {
        let value: Value = serde_yaml_ng::from_str(text).unwrap();
        let read = parse::object(&PLACE.into(), value, &self.settings);
        self.objects.apply(resource, Named::new("default", name), read)
    }

    fn names(&self) -> Vec<String> {
        self.objects.view().objects.keys().map(ToString::to_string).collect()
    }
}

fn core(kind: Kind) -> Resource {
    catalog::core().into_iter().find(|one| one.purpose == Use::Acted(kind)).unwrap()
}

fn mesh(kind: &str, purpose: Use) -> Resource {
    Resource {
        group: "networking.istio.io".into(),
        version: "v1".into(),
        kind: kind.into(),
        plural: "x".into(),
        purpose,
    }
}

fn pod(name: &str, more: &str) -> String {
    format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: default{more}}}\n")
}

fn route(weight: i32) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: r, namespace: default}}\n\
         spec: {{hosts: [a], http: [{{route: [{{destination: {{host: a}}, weight: {weight}}}]}}]}}\n"
    )
}

#[test]
fn only_what_counts_is_a_change() {
    let (mut told, pods) = (Told::new(), core(Kind::Pod));
    assert!(told.apply(&pods, "a", &pod("a", "")));
    assert!(!told.apply(&pods, "a", &pod("a", "")));
    assert!(!told.apply(&pods, "a", &pod("a", ", annotations: {some: thing}, resourceVersion: '7'")));
    assert!(told.apply(&pods, "a", &pod("a", ", labels: {app: a}")));
    assert!(told.objects.delete(&pods, Named::new("default", "a")));
    assert!(!told.objects.delete(&pods, Named::new("default", "a")));
}

#[test]
fn a_new_list_removes_what_it_does_not_name_and_nothing_of_other_kinds() {
    let (mut told, pods, services) = (Told::new(), core(Kind::Pod), core(Kind::Service));
    told.apply(&pods, "a", &pod("a", ""));
    told.apply(&pods, "b", &pod("b", ""));
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: default}\nspec: {clusterIP: None}\n";
    told.apply(&services, "s", service);
    told.objects.began(&pods.id());
    assert!(!told.apply(&pods, "b", &pod("b", "")), "it is as it was");
    assert_eq!(told.names().len(), 3, "while a list is on its way nothing goes");
    assert!(told.objects.completed(&pods));
    assert_eq!(told.names(), ["Pod default/b", "Service default/s"]);
    told.objects.began(&pods.id());
    assert!(told.objects.completed(&pods) && told.names() == ["Service default/s"]);
}

#[test]
fn broken_versions_are_told_until_they_are_mended_or_gone() {
    let routes = mesh("VirtualService", Use::Acted(Kind::VirtualService));
    let mut told = Told::new();
    let errors = |told: &Told| -> Vec<String> { told.objects.errors().map(ToString::to_string).collect() };
    assert!(told.apply(&routes, "r", &route(-1)));
    assert!(errors(&told)[0].ends_with("it does not act until then"), "{:?}", errors(&told));
    assert!(!told.apply(&routes, "r", &route(-1)), "said once");
    assert!(told.apply(&routes, "r", &route(1)));
    assert_eq!((errors(&told).len(), told.names().len()), (0, 1));
    told.apply(&routes, "r", &route(-1));
    assert!(errors(&told)[0].ends_with("the version read before stays in force"), "{:?}", errors(&told));
    told.objects.began(&routes.id());
    told.apply(&routes, "r", &route(-1));
    told.objects.completed(&routes);
    assert_eq!((errors(&told).len(), told.names().len()), (1, 1), "still there, still broken");
    told.objects.began(&routes.id());
    assert!(told.objects.completed(&routes));
    assert_eq!((errors(&told).len(), told.names().len()), (0, 0));
}

#[test]
fn kinds_that_are_not_enforced_are_warned_about_and_each_node_warns_about_its_own_pods() {
    let entries = mesh("ServiceEntry", Use::Warned);
    let mut told = Told::new();
    let warnings = |told: &Told| -> Vec<String> { told.objects.warnings().map(ToString::to_string).collect() };
    let entry = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: e, namespace: default}\n";
    assert!(told.apply(&entries, "e", entry));
    assert_eq!(warnings(&told), ["api server: ServiceEntry default/e: this kind is accepted and not enforced yet"]);
    told.objects.began(&entries.id());
    assert!(told.objects.completed(&entries) && warnings(&told).is_empty());

    let annotated = ", annotations: {traffic.sidecar.istio.io/excludeInboundPorts: x}";
    for node in ["node-1", "node-2"] {
        let text = format!("{}spec: {{nodeName: {node}, containers: []}}\n", pod(node, annotated));
        told.apply(&core(Kind::Pod), node, &text);
    }
    assert_eq!(warnings(&told).len(), 1);
    assert!(warnings(&told)[0].starts_with("api server: Pod default/node-1: "), "{:?}", warnings(&told));
}
