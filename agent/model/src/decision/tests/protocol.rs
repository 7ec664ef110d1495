//! Declared protocols.

use super::*;
use crate::service::AppProtocol::*;

#[test]
fn what_services_declare_is_what_is_spoken() {
    let mut world = sentences();
    world.service("default", "mail", "10.96.0.9", &[(25, 2525), (2500, 25), (80, 80), (5432, 5432)], &[("app", "age")]);
    let declared = [Undeclared, Undeclared, Grpc, Undeclared];
    for (port, protocol) in world.services.last_mut().unwrap().0.ports.iter_mut().zip(declared) {
        port.protocol = protocol;
    }
    let snapshot = world.snapshot();
    for (destination, want) in [
        ("10.96.0.3:5000", Http),
        ("10.96.0.9:25", ServerFirst),
        ("10.96.0.9:2500", ServerFirst),
        ("10.96.0.9:80", Grpc),
        ("10.96.0.9:5432", Undeclared),
        ("10.96.0.9:81", Undeclared),
        ("10.0.0.2:80", Grpc),
        ("10.0.0.2:2525", ServerFirst),
        ("10.0.0.2:3306", ServerFirst),
        ("10.0.0.2:7777", Undeclared),
        ("203.0.113.9:25", Undeclared),
        ("[::ffff:10.96.0.3]:5000", Http),
    ] {
        assert_eq!(outbound_protocol(&snapshot, dialled(destination)), want, "{destination}");
    }
    let age = workload(&snapshot, "age-a");
    for (port, want) in [(5000, Http), (80, Grpc), (25, ServerFirst), (3306, ServerFirst), (7777, Undeclared)] {
        assert_eq!(inbound_protocol(&snapshot, age, port), want, "{port}");
    }
}

#[test]
fn services_that_disagree_leave_the_bytes_to_look_at() {
    let mut world = sentences();
    world.service("default", "again", "10.96.0.10", &[(99, 5000)], &[("app", "age")]).ports[0].protocol = Undeclared;
    let declares = |world: &TestWorld| {
        let snapshot = world.snapshot();
        let age = workload(&snapshot, "age-a");
        assert_eq!(outbound_protocol(&snapshot, dialled("10.0.0.2:5000")), inbound_protocol(&snapshot, age, 5000));
        inbound_protocol(&snapshot, age, 5000)
    };
    assert_eq!(declares(&world), Http, "silence is no contradiction");
    // Asked first or last: the tables go by host.
    world.service("default", "z-last", "10.96.0.11", &[(98, 5000)], &[("app", "age")]).ports[0].protocol = Undeclared;
    assert_eq!(declares(&world), Http);
    world.services.pop();
    world.services.last_mut().unwrap().0.ports[0].protocol = Tcp;
    assert_eq!(declares(&world), Undeclared);
}
