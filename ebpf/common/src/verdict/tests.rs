//! The hooks' verdicts, on the host.

use super::*;

fn v4(a: u8, b: u8, c: u8, d: u8) -> Address {
    Address::from_v4(u32::from_ne_bytes([a, b, c, d]))
}

fn connect() -> ConnectFacts {
    ConnectFacts {
        protocol: IPPROTO_TCP,
        destination: v4(10, 0, 0, 9),
        exempt: 0,
        excluded: false,
        agent_listens: true,
    }
}

fn syn() -> LookupFacts {
    LookupFacts {
        protocol: IPPROTO_TCP,
        local: v4(10, 0, 0, 5),
        local_port: 5000,
        remote: v4(10, 0, 0, 9),
        ingress_ifindex: 2,
        noted: 0,
        excluded: false,
    }
}

#[test]
fn an_enrolled_pods_connect_is_captured_or_refused_never_passed() {
    assert_eq!(connect_verdict(&connect()), ConnectVerdict::Capture);
    assert_eq!(connect_verdict(&ConnectFacts { protocol: IPPROTO_MPTCP, ..connect() }), ConnectVerdict::Capture);
    assert_eq!(connect_verdict(&ConnectFacts { agent_listens: false, ..connect() }), ConnectVerdict::Refuse);
}

#[test]
fn connects_that_are_not_ours_pass_even_without_agent() {
    let alone = ConnectFacts { agent_listens: false, ..connect() };
    assert_eq!(connect_verdict(&ConnectFacts { protocol: 17, ..alone }), ConnectVerdict::Pass);
    assert_eq!(connect_verdict(&ConnectFacts { destination: v4(127, 0, 0, 1), ..alone }), ConnectVerdict::Pass);
    assert_eq!(connect_verdict(&ConnectFacts { destination: v4(0, 0, 0, 0), ..alone }), ConnectVerdict::Pass);
    let loopback6 = Address([0, 0, 0, 1_u32.to_be()]);
    assert_eq!(connect_verdict(&ConnectFacts { destination: loopback6, ..alone }), ConnectVerdict::Pass);
    assert_eq!(connect_verdict(&ConnectFacts { excluded: true, ..alone }), ConnectVerdict::Pass);
}

#[test]
fn the_agents_own_sockets_pass_and_those_to_the_pod_itself_are_noted() {
    let upstream = ConnectFacts { exempt: ExemptKind::Upstream as u32, ..connect() };
    assert_eq!(connect_verdict(&upstream), ConnectVerdict::Pass);
    for kind in [ExemptKind::Application, ExemptKind::Hairpin, ExemptKind::OwnApplication] {
        assert_eq!(connect_verdict(&ConnectFacts { exempt: kind as u32, ..connect() }), ConnectVerdict::PassLocal);
    }
}

#[test]
fn a_syn_goes_to_the_listener_of_its_direction() {
    assert_eq!(lookup_verdict(&syn()), LookupVerdict::Steer(Direction::Inbound));
    let out = LookupFacts { ingress_ifindex: LOOPBACK_IFINDEX, ..syn() };
    assert_eq!(lookup_verdict(&out), LookupVerdict::Steer(Direction::Outbound));
}

#[test]
fn a_pod_reaching_itself_does_not_loop() {
    let own = LookupFacts { remote: v4(10, 0, 0, 5), ..syn() };
    assert_eq!(lookup_verdict(&own), LookupVerdict::Pass);
    let hairpin = LookupFacts { noted: ExemptKind::Hairpin as u32, ..own };
    assert_eq!(lookup_verdict(&hairpin), LookupVerdict::Steer(Direction::Inbound));
    let application = LookupFacts { noted: ExemptKind::OwnApplication as u32, ..own };
    assert_eq!(lookup_verdict(&application), LookupVerdict::Pass);
}

#[test]
fn the_agents_note_serves_the_agent_only() {
    let noted = LookupFacts { noted: ExemptKind::Application as u32, ..syn() };
    let agents = LookupFacts { ingress_ifindex: LOOPBACK_IFINDEX, ..noted };
    assert_eq!(lookup_verdict(&agents), LookupVerdict::Pass);
    assert_eq!(lookup_verdict(&noted), LookupVerdict::Steer(Direction::Inbound), "the same ports, from outside");
}

#[test]
fn loopback_other_protocols_excluded_ports_and_the_stats_port_pass() {
    assert_eq!(lookup_verdict(&LookupFacts { protocol: 17, ..syn() }), LookupVerdict::Pass);
    assert_eq!(lookup_verdict(&LookupFacts { local: v4(127, 0, 0, 1), ..syn() }), LookupVerdict::Pass);
    assert_eq!(lookup_verdict(&LookupFacts { remote: v4(127, 0, 0, 1), ..syn() }), LookupVerdict::Pass);
    assert_eq!(lookup_verdict(&LookupFacts { excluded: true, ..syn() }), LookupVerdict::Pass);
    assert_eq!(lookup_verdict(&LookupFacts { local_port: 15020, ..syn() }), LookupVerdict::Pass);
}

#[test]
fn the_kubelet_reaches_the_application_and_only_from_outside() {
    let noted = ExemptKind::Kubelet as u32;
    assert_eq!(lookup_verdict(&LookupFacts { noted, ..syn() }), LookupVerdict::Pass);
    let inside = LookupFacts { noted, ingress_ifindex: LOOPBACK_IFINDEX, ..syn() };
    assert_eq!(lookup_verdict(&inside), LookupVerdict::Steer(Direction::Outbound));
}

#[test]
fn a_probe_is_recognised_for_its_time_also_by_a_clock_that_is_behind() {
    assert!(is_recent_probe(1000, 1000) && is_recent_probe(1000, 1000 + PROBE_NANOS - 1));
    assert!(is_recent_probe(1000, 999), "the CPU that looks reads a little earlier");
    assert!(!is_recent_probe(1000, 1000 + PROBE_NANOS));
}
