//! The four views of one pod.

use weft_model::{
    route::ClientTls,
    testing::{destination_rule, route, to, virtual_service, with_tls},
    workload::Enrolment,
};

use super::of;
use crate::admin::fixture::sentences;

#[test]
fn a_pod_sees_routes_subsets_and_its_own_ports() {
    let mut world = sentences();
    world.destination_rules.push(destination_rule("name", "name", &["v1", "v2"]));
    let weighted = vec![to("name", Some("v1"), Some(90)), to("name", Some("v2"), Some(10))];
    world.virtual_services.push(virtual_service("name", "name", vec![route(weighted)]));
    world.service("default", "other", "10.96.0.20", &[(80, 8080)], &[("app", "a")]);
    let snapshot = world.snapshot();
    let name_v1 = snapshot.workloads.values().find(|pod| &*pod.pod.name == "name-v1").unwrap();
    let config = of(&snapshot, name_v1);
    let routes: Vec<(&str, &str, &str)> = config.routes.iter().map(|one| (&*one.host, &*one.to, &*one.from)).collect();
    let name = "name.default.svc.cluster.local";
    let shares = format!("90% {name} subset v1, 10% {name} subset v2");
    assert_eq!(
        routes,
        [
            (name, &*shares, "VirtualService default/name http[0]"),
            ("other.default.svc.cluster.local", "its endpoints", ""),
        ]
    );
    let clusters: Vec<(u16, &str, usize)> =
        config.clusters.iter().map(|one| (one.port, &*one.subset, one.ready)).collect();
    assert_eq!(clusters, [(5000, "", 2), (5000, "v1", 1), (5000, "v2", 1), (80, "", 1)]);
    assert_eq!(config.endpoints[0].subsets, ["v1"]);
    let listeners: Vec<(&str, &str, &str)> =
        config.listeners.iter().map(|one| (&*one.direction, &*one.port, &*one.what)).collect();
    assert_eq!(
        listeners,
        [
            ("inbound", "5000", "Service default/name"),
            ("inbound", "*", "every other port"),
            ("inbound", "15020", "not captured"),
            ("outbound", "*", "every TCP destination"),
        ]
    );
}

#[test]
fn rules_count_only_for_who_may_see_them() {
    let mut world = sentences();
    let mut rule = destination_rule("name", "name", &[]);
    rule.policy = with_tls(ClientTls::Disable);
    world.destination_rules.push(rule);
    let mut hidden = virtual_service("hidden", "name", vec![route(vec![to("name", None, None)])]);
    hidden.export_to = weft_model::route::Visibility::Namespaces(vec!["elsewhere".into()]);
    world.virtual_services.push(hidden);
    world.virtual_services.push(virtual_service("wild", "*.example.com", vec![route(vec![to("name", None, None)])]));
    let snapshot = world.snapshot();
    let pod = snapshot.workloads.values().next().unwrap();
    let config = of(&snapshot, pod);
    let froms: Vec<(&str, &str)> = config.routes.iter().map(|one| (&*one.host, &*one.from)).collect();
    let name = "name.default.svc.cluster.local";
    assert_eq!(froms, [("*.example.com", "VirtualService default/wild http[0]"), (name, "")]);
    assert_eq!((&*config.clusters[0].tls, &*config.clusters[0].destination_rule), ("DISABLE", "default/name"));
}

#[test]
fn a_pod_outside_of_the_mesh_has_one_listener_that_says_so() {
    let mut world = sentences();
    world.pod_mut("a").enrolment = Enrolment::NotEnrolled("because");
    let snapshot = world.snapshot();
    let config = of(&snapshot, snapshot.workloads.values().next().unwrap());
    assert_eq!(config.listeners.len(), 1);
    assert_eq!(config.listeners[0].what, "the pod is not enrolled: nothing is captured");
}
