//! What applies to a pod and a Service, and to whom it does not.

use std::sync::Arc;

use weft_model::{
    policy::{Action, MtlsMode, Rule},
    testing::{TestWorld, authorization, destination_rule, peer_authentication, route, to, virtual_service},
    workload::Named,
};

use super::find_service;
use crate::{
    admin::fixture::{Desk, proven, sentences},
    discovery::{Problem, Report},
};

fn world() -> TestWorld {
    let mut world = sentences();
    world.destination_rules.push(destination_rule("name", "name", &["v1", "v3"]));
    world.virtual_services.push(virtual_service("name", "name", vec![route(vec![to("name", Some("v1"), None)])]));
    world.authorization_policies.push(authorization("only-name", Some("name"), Action::Allow, vec![Rule::default()]));
    world.authorization_policies.push(authorization("only-a", Some("a"), Action::Deny, Vec::new()));
    world.peer_authentications.push(peer_authentication("istio-system", "default", &[], Some(MtlsMode::Permissive)));
    world.peer_authentications.push(peer_authentication("default", "name", &[("app", "name")], Some(MtlsMode::Strict)));
    world
}

fn problem(object: &str) -> Problem {
    Problem {
        file: "x.yaml".into(),
        line: None,
        object: Some(object.to_owned()),
        field: None,
        message: "is wrong".to_owned(),
        next_step: String::new(),
    }
}

#[tokio::test]
async fn a_pod_is_told_what_applies_to_it_and_nothing_else() {
    let desk = Desk::new(&world());
    desk.captured("name-v1", proven());
    let warnings = vec![problem("DestinationRule default/name"), problem("DestinationRule default/other")];
    desk.report.send_replace(Arc::new(Report { warnings, ..Report::empty() }));
    let snapshot = desk.admin.snapshot.borrow().clone();
    let pod = &snapshot.workloads[&Named::new("default", "name-v1")];
    let it = desk.admin.describe_pod(&snapshot, pod);
    assert!(it.status.capture.is_some());
    let policies: Vec<(&str, &str)> = it.authorization_policies.iter().map(|one| (&*one.name, &*one.action)).collect();
    assert_eq!(policies, [("default/only-name", "ALLOW")]);
    assert_eq!(it.peer_authentications, ["default/name", "istio-system/default"]);
    let ports: Vec<(Option<u16>, &str)> = it.ports.iter().map(|port| (port.number, &*port.mtls)).collect();
    assert_eq!(ports, [(Some(5000), "STRICT"), (None, "STRICT")]);
    assert_eq!(it.services[0].routes[0].from, "VirtualService default/name http[0]");
    let subsets: Vec<(&str, usize)> = it.services[0].subsets.iter().map(|one| (&*one.name, one.ready)).collect();
    assert_eq!(subsets, [("v1", 1), ("v3", 0)]);
    let problems: Vec<&str> = it.problems.iter().filter_map(|one| one.object.as_deref()).collect();
    assert_eq!(problems, ["DestinationRule default/name"]);
}

#[tokio::test]
async fn a_service_is_told_with_what_its_endpoints_demand() {
    let mut world = world();
    world.pod_mut("name-v2").enrolment = weft_model::workload::Enrolment::NotEnrolled("because");
    let desk = Desk::new(&world);
    let snapshot = desk.admin.snapshot.borrow().clone();
    let service = find_service(&snapshot, &Named::new("default", "name")).unwrap();
    let it = desk.admin.describe_service(&snapshot, service);
    let endpoints: Vec<(&str, bool, String, usize)> = it
        .endpoints
        .iter()
        .map(|one| (one.pod.as_deref().unwrap(), one.in_mesh, one.mtls.join(","), one.authorization_policies.len()))
        .collect();
    assert_eq!(
        endpoints,
        [("default/name-v1", true, "STRICT".to_owned(), 1), ("default/name-v2", false, String::new(), 0)]
    );
    assert_eq!(it.ports, ["5000 -> 5000: HTTP, by declaration"]);
    let unknown = find_service(&snapshot, &Named::new("default", "nam")).unwrap_err();
    assert_eq!(unknown, "there is no Service default/nam; there is default/name");
}
