//! What is made anew from one world to the next, and what is not.

use std::{collections::BTreeMap, ptr};

use weft_model::{service::Service, snapshot::World};

use super::*;
use crate::{
    discovery::{
        parse::{Settings, parse},
        store::Store,
        world::{Before, Inputs, Whereabouts, build, is_same},
    },
    net::{Place, PodPlaces},
};

/// Files, kept from one world to the next.
#[derive(Default)]
struct Source {
    settings: Settings,
    store: Store,
    before: Before,
    places: PodPlaces,
}

impl Source {
    fn put(&mut self, file: &str, text: &str) {
        self.store.put(&file.into(), parse(file, text, &self.settings));
    }

    fn build(&mut self) -> World {
        let world = self.build_with_what_was_before();
        let view = self.store.view();
        let (domain, node) = (Arc::from("cluster.local"), Arc::from("node-1"));
        let whereabouts = Whereabouts::ApiServer { node: &node, places: &self.places };
        let anew = build(&view, &Inputs { cluster_domain: &domain, whereabouts }, &mut Before::default());
        assert!(is_same(&world, &anew.world), "{world:#?}\n{:#?}", anew.world);
        world
    }

    fn build_with_what_was_before(&mut self) -> World {
        let view = self.store.view();
        let (domain, node) = (Arc::from("cluster.local"), Arc::from("node-1"));
        let whereabouts = Whereabouts::ApiServer { node: &node, places: &self.places };
        build(&view, &Inputs { cluster_domain: &domain, whereabouts }, &mut self.before).world
    }
}

fn pod(name: &str, ip: &str, label: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{ name: {name}, uid: u-{name}, labels: {{ app: {label} }} }}\n\
         spec: {{ nodeName: node-1 }}\nstatus: {{ podIP: {ip}, conditions: [{{ type: Ready, status: 'True' }}] }}\n"
    )
}

fn service(name: &str, vip: &str, pod: &str, ip: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{ name: {name} }}\n\
         spec: {{ clusterIP: {vip}, ports: [{{ name: http, port: 80 }}] }}\n---\n\
         apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\n\
         metadata: {{ name: {name}-1, labels: {{ kubernetes.io/service-name: {name} }} }}\n\
         ports: [{{ name: http, port: 8080 }}]\n\
         endpoints: [{{ addresses: [{ip}], targetRef: {{ kind: Pod, name: {pod} }} }}]\n"
    )
}

fn namespace(label: &str) -> String {
    format!("apiVersion: v1\nkind: Namespace\nmetadata: {{ name: default, labels: {{ istio-injection: {label} }} }}\n")
}

/// Two pods, each with a Service.
fn two() -> Source {
    let mut source = Source::default();
    source.put("ns.yaml", &namespace("enabled"));
    source.put("a.yaml", &pod("a", "10.0.0.1", "a"));
    source.put("b.yaml", &pod("b", "10.0.0.2", "b"));
    source.put("sa.yaml", &service("sa", "10.96.0.1", "a", "10.0.0.1"));
    source.put("sb.yaml", &service("sb", "10.96.0.2", "b", "10.0.0.2"));
    source
}

/// Names of what is the very same value in both worlds.
fn kept(before: &World, now: &World) -> Vec<String> {
    let of = |world: &World| -> BTreeMap<String, *const ()> {
        let pods = world.workloads.iter().map(|one| (one.pod.name.to_string(), ptr::from_ref::<Workload>(one).cast()));
        let services =
            world.services.iter().map(|one| (one.name.name.to_string(), ptr::from_ref::<Service>(one).cast()));
        pods.chain(services).collect()
    };
    let before = of(before);
    of(now).into_iter().filter(|(name, at)| before.get(name) == Some(at)).map(|(name, _)| name).collect()
}

#[test]
fn what_did_not_change_is_not_made_again() {
    let mut source = two();
    let first = source.build();
    assert_eq!(kept(&first, &source.build()), ["a", "b", "sa", "sb"]);
    source.put("b.yaml", &pod("b", "10.0.0.2", "new"));
    let second = source.build();
    assert_eq!(kept(&first, &second), ["a", "sa"], "a pod, and the Service that leads to it");
    source.put("c.yaml", &pod("c", "10.0.0.3", "c"));
    assert_eq!(kept(&second, &source.build()), ["a", "b", "sa", "sb"]);
}

#[test]
fn a_pod_that_comes_or_goes_changes_the_services_that_name_it() {
    let mut source = two();
    source.store.remove("b.yaml");
    let without = source.build();
    assert!(without.services[1].endpoints[0].workload.is_none());
    source.put("b.yaml", &pod("b", "10.0.0.2", "b"));
    let with = source.build();
    assert!(with.services[1].endpoints[0].workload.is_some());
    assert_eq!(kept(&without, &with), ["a", "sa"]);
    source.store.remove("b.yaml");
    assert!(source.build().services[1].endpoints[0].workload.is_none());
    // Known by its address alone.
    source.put("c.yaml", &pod("c", "10.0.0.2", "c"));
    assert_eq!(&*source.build().services[1].endpoints[0].workload.as_ref().unwrap().pod.name, "c");
}

#[test]
fn what_surrounds_pods_changes_them() {
    let mut source = two();
    let first = source.build();
    source.put("ns.yaml", &namespace("disabled"));
    let second = source.build();
    assert!(kept(&first, &second).is_empty() && second.workloads.iter().all(|one| !one.is_enrolled()));
    source.put("node.yaml", "apiVersion: v1\nkind: Node\nmetadata: { name: node-2 }\n");
    assert_eq!(kept(&second, &source.build()).len(), 4, "nobody is on that node");
    let zone = "apiVersion: v1\nkind: Node\nmetadata: { name: node-1, labels: { topology.kubernetes.io/zone: z } }\n";
    source.put("node.yaml", zone);
    assert_eq!(&*source.build().workloads[0].locality.zone, "z");
    let mesh = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: istio, namespace: istio-system }\n\
                data: { mesh: 'trustDomain: td.example' }\n";
    source.put("mesh.yaml", mesh);
    assert_eq!(&*source.build().workloads[0].identity.trust_domain, "td.example");
    let third = source.build();
    let place = Place { netns: "/run/netns/b".into(), addresses: vec![] };
    source.places.set("u-b", place).unwrap();
    let placed = source.build();
    assert_eq!(kept(&third, &placed), ["a", "sa"]);
    assert_eq!(placed.workloads[1].capture.netns.as_deref(), Some("/run/netns/b"));
}

#[test]
fn an_address_belongs_to_the_pod_that_stays() {
    let leaving = pod("a", "10.0.0.1", "a").replace("uid: u-a", "uid: u-a, deletionTimestamp: '2026-01-01T00:00:00Z'");
    for names in [["a", "b"], ["b", "a"]] {
        let mut source = Source::default();
        source.put("1.yaml", &leaving.replace("name: a", &format!("name: {}", names[0])));
        source.put("2.yaml", &pod(names[1], "10.0.0.1", "b"));
        source.put("s.yaml", &service("s", "10.96.0.1", "nobody", "10.0.0.1"));
        let world = source.build();
        assert_eq!(&*world.services[0].endpoints[0].workload.as_ref().unwrap().pod.name, names[1]);
    }
}
