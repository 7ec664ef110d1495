//! Whom a host and an address mean.

use super::*;
use crate::{mesh::OutboundPolicy, service::Resolution};

fn cluster_for(snapshot: &Snapshot, destination: &str, host: &str) -> String {
    match ask(snapshot, destination, host, &[], &mut Dice::new(1)) {
        Decision::Forward(forward) => cluster_name(&forward.cluster),
        Decision::Answer { answer, .. } => format!("{}", answer.status),
        Decision::Refuse { reason, .. } => panic!("HTTP is answered, not refused: {reason:?}"),
    }
}

#[test]
fn a_service_answers_to_all_its_names() {
    let mut world = sentences();
    world.pod("shop", "name-shop", "10.0.7.1", &[("app", "name")]);
    world.service("shop", "name", "10.96.0.30", &[(5000, 5000)], &[("app", "name")]);
    let snapshot = world.snapshot();
    // Dialled is `age` throughout: the Host says where it goes.
    for (host, want) in [
        ("name", "default/name:5000"),
        ("name:5000", "default/name:5000"),
        ("NAME.Default", "default/name:5000"),
        ("name.default.svc", "default/name:5000"),
        ("name.default.svc.cluster.local", "default/name:5000"),
        ("name.default.svc.cluster.local.", "default/name:5000"),
        ("name.default.svc.cluster.local.:5000", "default/name:5000"),
        ("name.shop", "shop/name:5000"),
        ("name.shop.svc.cluster.local:5000", "shop/name:5000"),
        ("10.96.0.3", "default/name:5000"),
        ("[::ffff:10.96.0.3]:5000", "default/name:5000"),
        ("name.shop.svc.other.domain", "default/age:5000"),
        ("name.nowhere", "default/age:5000"),
        ("example.com", "default/age:5000"),
        ("", "default/age:5000"),
    ] {
        assert_eq!(cluster_for(&snapshot, "10.96.0.2:5000", host), want, "{host:?}");
    }
}

#[test]
fn a_mapped_address_is_the_same_address() {
    let snapshot = sentences().snapshot();
    assert_eq!(cluster_for(&snapshot, "[::ffff:10.96.0.3]:5000", "elsewhere"), "default/name:5000");
}

#[test]
fn a_service_without_the_port_is_not_meant() {
    let mut world = sentences();
    world.service("default", "other", "10.96.0.40", &[(80, 5000)], &[("app", "age")]);
    let snapshot = world.snapshot();
    assert_eq!(cluster_for(&snapshot, "10.96.0.40:80", "name"), "default/other:80", "by address");
    assert_eq!(cluster_for(&snapshot, "10.96.0.3:81", "name"), "passthrough");
}

#[test]
fn unknown_destinations_pass_or_fall_into_the_black_hole() {
    let mut world = sentences();
    let decided = forward(ask(&world.snapshot(), "203.0.113.9:80", "example.com", &[], &mut Dice::new(1)));
    assert_eq!(decided.address, socket("203.0.113.9:80"));
    assert_eq!(
        (decided.tls, decided.cluster, decided.rule),
        (UpstreamTls::Plaintext, Cluster::Passthrough, RuleRef::Default)
    );
    assert_eq!(forward(connect(&world.snapshot(), "203.0.113.9:443")).cluster, Cluster::Passthrough);

    world.mesh.outbound = OutboundPolicy::RegistryOnly;
    let snapshot = world.snapshot();
    let (said, cluster, _) = answer(ask(&snapshot, "203.0.113.9:80", "example.com", &[], &mut Dice::new(1)));
    assert_eq!((said.status, cluster), (502, Cluster::BlackHole));
    assert_eq!(refusal(connect(&snapshot, "203.0.113.9:443")), (Refusal::BlackHole, Cluster::BlackHole));
    assert_eq!(cluster_for(&snapshot, NAME, "name"), "default/name:5000", "the registry still knows it");
}

#[test]
fn a_virtual_service_may_speak_for_an_external_host() {
    let mut world = sentences();
    world.virtual_services.push(virtual_service("ext", "api.example.com", vec![route(vec![to("age", None, None)])]));
    let snapshot = world.snapshot();
    assert_eq!(cluster_for(&snapshot, "203.0.113.9:80", "API.example.com:80"), "default/age:5000");
    assert_eq!(cluster_for(&snapshot, "203.0.113.9:80", "other.example.com"), "passthrough");
    let to_itself = route(vec![to("api.example.com", None, None)]);
    world.virtual_services[0].http = vec![to_itself];
    let (said, cluster, _) =
        answer(ask(&world.snapshot(), "203.0.113.9:80", "api.example.com", &[], &mut Dice::new(1)));
    assert_eq!((said, cluster_name(&cluster).as_str()), (Answer::NO_CLUSTER, "unknown api.example.com"));
}

#[test]
fn an_external_name_goes_where_the_application_resolved_it() {
    let mut world = sentences();
    let service = world.service("default", "outside", "0.0.0.0", &[], &[("app", "nothing")]);
    service.vips.clear();
    service.resolution = Resolution::ExternalName("www.example.com".into());
    world.mesh.outbound = OutboundPolicy::RegistryOnly;
    let snapshot = world.snapshot();
    let decided = forward(ask(&snapshot, "203.0.113.9:80", "outside", &[], &mut Dice::new(1)));
    assert_eq!((decided.address, decided.cluster), (socket("203.0.113.9:80"), Cluster::Passthrough));
    assert_eq!(cluster_for(&snapshot, NAME, "outside"), "default/name:5000", "an alias of a Service");
}

#[test]
fn a_pod_dialled_by_its_address_is_that_pod_with_mtls_when_enrolled() {
    let mut world = sentences();
    world.pod_mut("name-v1").ready = false;
    let snapshot = world.snapshot();
    for decided in [
        forward(ask(&snapshot, "10.0.1.1:8000", "10.0.1.1:8000", &[], &mut Dice::new(1))),
        forward(ask(&snapshot, "10.0.1.1:8000", "whatever", &[], &mut Dice::new(1))),
        forward(connect(&snapshot, "10.0.1.1:8000")),
    ] {
        let pod = workload(&snapshot, "name-v1");
        assert_eq!(decided.address, socket("10.0.1.1:8000"));
        assert_eq!(decided.tls, UpstreamTls::Mutual(pod.identity.clone()));
        assert_eq!(cluster_name(&decided.cluster), "pod default/name-v1");
    }
    world.pod_mut("name-v1").enrolment = crate::workload::Enrolment::NotEnrolled("test");
    assert_eq!(forward(connect(&world.snapshot(), "10.0.1.1:8000")).tls, UpstreamTls::Plaintext);
}

#[test]
fn a_wildcard_does_not_take_a_pod_from_its_address() {
    let mut world = sentences();
    world.virtual_services.push(virtual_service("all", "*", vec![route(vec![to("age", None, None)])]));
    let snapshot = world.snapshot();
    assert_eq!(cluster_for(&snapshot, "10.0.1.1:5000", "10.0.1.1:5000"), "pod default/name-v1");
    assert_eq!(cluster_for(&snapshot, "203.0.113.9:80", "example.com"), "default/age:5000");
}

fn stateful() -> TestWorld {
    let mut world = sentences();
    world.headless("default", "db", &[(80, 5000)], &[("app", "name")]);
    world
}

#[test]
fn a_headless_service_keeps_the_pod_its_client_chose() {
    let snapshot = stateful().snapshot();
    for host in ["db", "db:5000", "name-v2.db", "name-v2.db.default.svc.cluster.local", "10.0.1.2:5000"] {
        let decided = forward(ask(&snapshot, "10.0.1.2:5000", host, &[], &mut Dice::new(1)));
        assert_eq!(decided.address, socket("10.0.1.2:5000"), "{host}");
        assert_eq!(cluster_name(&decided.cluster), "default/db:80", "{host}");
        assert!(matches!(decided.tls, UpstreamTls::Mutual(_)));
    }
    let opaque = forward(connect(&snapshot, "10.0.1.2:5000"));
    assert_eq!((cluster_name(&opaque.cluster).as_str(), opaque.address), ("default/db:80", socket("10.0.1.2:5000")));
    let other_port = forward(connect(&snapshot, "10.0.1.2:8000"));
    assert_eq!(cluster_name(&other_port.cluster), "pod default/name-v2");
}

#[test]
fn routes_and_subsets_of_a_headless_service_apply_to_its_name_only() {
    let mut world = stateful();
    world.destination_rules.push(destination_rule("db", "db", &["v1"]));
    world.virtual_services.push(virtual_service("db", "db", vec![route(vec![to("db", Some("v1"), None)])]));
    let snapshot = world.snapshot();
    let by_name = forward(ask(&snapshot, "10.0.1.2:5000", "db", &[], &mut Dice::new(1)));
    assert_eq!(
        (by_name.address, cluster_name(&by_name.cluster).as_str()),
        (socket("10.0.1.1:5000"), "default/db:80/v1")
    );
    let by_address = forward(ask(&snapshot, "10.0.1.2:5000", "10.0.1.2:5000", &[], &mut Dice::new(1)));
    assert_eq!(by_address.address, socket("10.0.1.2:5000"));
    world.virtual_services[0].tcp =
        vec![crate::route::TcpRoute { ports: vec![], destinations: vec![to("age", None, None)] }];
    assert_eq!(forward(connect(&world.snapshot(), "10.0.1.2:5000")).address, socket("10.0.1.2:5000"));
    world.virtual_services[0].http = vec![route(vec![to("db", None, None)])];
    let whole = forward(ask(&world.snapshot(), "10.0.1.2:5000", "db", &[], &mut Dice::new(1)));
    assert_eq!(whole.address, socket("10.0.1.2:5000"), "a route to all of it keeps the choice");
}

#[test]
fn two_headless_services_in_front_of_a_port_leave_the_pod() {
    let mut world = stateful();
    world.headless("default", "db-too", &[(5000, 5000)], &[("app", "name")]);
    let decided = forward(connect(&world.snapshot(), "10.0.1.2:5000"));
    assert_eq!(cluster_name(&decided.cluster), "pod default/name-v2");
}

#[test]
fn a_pod_may_call_its_own_service() {
    let mut world = sentences();
    world.service("default", "sentences", "10.96.0.1", &[(5000, 5000)], &[("app", "sentences")]);
    let snapshot = world.snapshot();
    let decided = forward(ask(&snapshot, "10.96.0.1:5000", "sentences", &[], &mut Dice::new(1)));
    assert_eq!(decided.address, socket("10.0.0.1:5000"), "K12: hairpin");
}

#[test]
fn a_service_of_two_families_leads_where_its_client_dialled() {
    let mut world = sentences();
    for (pod, address) in [("name-v1", "fd00::1"), ("name-v2", "fd00::2")] {
        world.pod_mut(pod).addresses.push(ip(address));
    }
    let name = world.services.iter_mut().find(|(service, _)| &*service.name.name == "name").expect("name");
    name.0.vips.push(ip("fd96::3"));
    let v4_only = world.services.iter_mut().find(|(service, _)| &*service.name.name == "age").expect("age");
    v4_only.0.vips.push(ip("fd96::2"));
    let snapshot = world.snapshot();
    let mut dice = Dice::new(3);
    let mut seen = |destination: &str, host: &str| -> std::collections::BTreeSet<String> {
        let one = |_| forward(ask(&snapshot, destination, host, &[], &mut dice)).address.ip().to_string();
        (0..20).map(one).collect()
    };
    assert_eq!(seen(NAME, "name"), ["10.0.1.1", "10.0.1.2"].map(str::to_owned).into());
    assert_eq!(seen("[fd96::3]:5000", "name"), ["fd00::1", "fd00::2"].map(str::to_owned).into());
    // Where there is none of that family, any is better than none.
    assert_eq!(seen("[fd96::2]:5000", "age"), ["10.0.0.2"].map(str::to_owned).into());
}
