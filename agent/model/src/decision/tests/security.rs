//! TLS of the client side, and what PeerAuthentication says at the server (K13, E05).

use super::*;
use crate::{
    policy::MtlsMode::{self, Disable, Permissive, Strict},
    route::{ClientTls, LoadBalancer, TrafficPolicy},
    workload::Enrolment,
};

fn tls_towards(snapshot: &Snapshot, destination: &str) -> UpstreamTls {
    forward(connect(snapshot, destination)).tls
}

fn mutual(snapshot: &Snapshot, pod: &str) -> UpstreamTls {
    UpstreamTls::Mutual(workload(snapshot, pod).identity.clone())
}

#[test]
fn k13_auto_mtls_follows_enrolment_and_peer_authentication() {
    let mut world = sentences();
    let snapshot = world.snapshot();
    assert_eq!(tls_towards(&snapshot, "10.96.0.2:5000"), mutual(&snapshot, "age-a"));
    assert_eq!(
        mutual(&snapshot, "age-a"),
        UpstreamTls::Mutual("spiffe://cluster.local/ns/default/sa/age".parse().unwrap())
    );

    world.pod_mut("age-a").enrolment = Enrolment::NotEnrolled("sidecar.istio.io/inject is false");
    assert_eq!(tls_towards(&world.snapshot(), "10.96.0.2:5000"), UpstreamTls::Plaintext);
    world.pod_mut("age-a").enrolment = Enrolment::Enrolled;

    let mut disable = peer_authentication("default", "off", &[("app", "age")], None);
    disable.ports = [(5000, Some(Disable))].into();
    world.peer_authentications.push(disable);
    let snapshot = world.snapshot();
    assert_eq!(tls_towards(&snapshot, "10.96.0.2:5000"), UpstreamTls::Plaintext);
    assert_eq!(tls_towards(&snapshot, "10.0.0.2:5000"), UpstreamTls::Plaintext, "the same by pod address");
    assert_eq!(tls_towards(&snapshot, "10.0.0.2:8000"), mutual(&snapshot, "age-a"), "another port");
    world.peer_authentications.clear();

    world.pod_mut("age-a").capture.exclude_inbound_ports.push(5000);
    assert_eq!(
        tls_towards(&world.snapshot(), "10.96.0.2:5000"),
        UpstreamTls::Plaintext,
        "nobody listens for mTLS there"
    );
    world.pod_mut("age-a").capture.exclude_inbound_ports.clear();

    world.mesh.auto_mtls = false;
    assert_eq!(tls_towards(&world.snapshot(), "10.96.0.2:5000"), UpstreamTls::Plaintext);
    assert_eq!(tls_towards(&world.snapshot(), "10.0.0.2:5000"), UpstreamTls::Plaintext);
}

#[test]
fn k13_subsets_of_one_service_may_differ_in_tls() {
    let mut world = sentences();
    let mut rule = destination_rule("name", "name", &["v1", "v2"]);
    rule.subsets[0].policy = with_tls(ClientTls::Disable);
    rule.subsets[1].policy = with_tls(ClientTls::IstioMutual);
    world.destination_rules.push(rule);
    let halves = vec![to("name", Some("v1"), Some(50)), to("name", Some("v2"), Some(50))];
    world.virtual_services.push(virtual_service("name", "name", vec![route(halves)]));
    let snapshot = world.snapshot();
    let mut dice = Dice::new(3);
    let mut seen = [0, 0];
    for _ in 0..100 {
        let decided = forward(ask(&snapshot, NAME, "name", &[], &mut dice));
        let version = decided.workload.unwrap().canonical.version.clone();
        let want = if &*version == "v1" { UpstreamTls::Plaintext } else { mutual(&snapshot, "name-v2") };
        assert_eq!(decided.tls, want);
        seen[usize::from(&*version == "v2")] += 1;
    }
    assert!(seen.iter().all(|count| *count > 20), "{seen:?}");
}

#[test]
fn inner_policies_override_outer_ones_and_ports_do_not_inherit() {
    let mut rule = destination_rule("name", "name", &["v1"]);
    let effective = |rule: &crate::route::DestinationRule, subset: bool| {
        rule.effective_policy(subset.then(|| &rule.subsets[0]), 5000)
    };
    rule.policy = with_tls(ClientTls::Disable);
    rule.policy.load_balancer = Some(LoadBalancer::Random);
    assert_eq!(
        (effective(&rule, true).tls, effective(&rule, true).load_balancer),
        (Some(ClientTls::Disable), LoadBalancer::Random)
    );
    rule.policy.ports.insert(5000, with_tls(ClientTls::IstioMutual));
    assert_eq!(
        (effective(&rule, true).tls, effective(&rule, true).load_balancer),
        (Some(ClientTls::IstioMutual), LoadBalancer::RoundRobin)
    );
    assert_eq!(rule.effective_policy(None, 80).tls, Some(ClientTls::Disable), "settings of another port");
    rule.subsets[0].policy = with_tls(ClientTls::Disable);
    assert_eq!(effective(&rule, true).tls, Some(ClientTls::Disable));
    assert_eq!(effective(&rule, false).tls, Some(ClientTls::IstioMutual));
    rule.subsets[0].policy.ports.insert(5000, TrafficPolicy::default());
    assert_eq!(effective(&rule, true).tls, None, "auto mTLS again");
}

#[test]
fn demanded_mtls_is_never_replaced_by_plaintext() {
    let mut world = sentences();
    let mut rule = destination_rule("age", "age", &[]);
    rule.policy = with_tls(ClientTls::IstioMutual);
    world.destination_rules.push(rule);
    world.pod_mut("age-a").enrolment = Enrolment::NotEnrolled("test");
    let snapshot = world.snapshot();
    assert_eq!(tls_towards(&snapshot, "10.96.0.2:5000"), mutual(&snapshot, "age-a"));

    let (service, _) = &mut world.services[0];
    service.endpoints.push(crate::service::Endpoint {
        address: ip("192.0.2.1"),
        ports: [(5000, 5000)].into(),
        workload: None,
        ready: true,
    });
    world.pod_mut("age-a").ready = false;
    assert_eq!(refusal(connect(&world.snapshot(), "10.96.0.2:5000")).0, Refusal::NoHealthyUpstream);
    world.destination_rules[0].policy = with_tls(ClientTls::Other);
    assert_eq!(refusal(connect(&world.snapshot(), "10.96.0.2:5000")).0, Refusal::NoCluster);
    world.destination_rules.clear();
    let outside = forward(connect(&world.snapshot(), "10.96.0.2:5000"));
    assert_eq!((outside.address, outside.tls), (socket("192.0.2.1:5000"), UpstreamTls::Plaintext));
}

fn mode_of_age(world: &TestWorld, port: u16) -> MtlsMode {
    let snapshot = world.snapshot();
    let age = workload(&snapshot, "age-a");
    let collected = InboundPolicy::for_workload(&snapshot, age).mtls_mode(port);
    assert_eq!(collected, snapshot.index.peers.mode(age, port), "both sides read the same mode");
    collected
}

#[test]
fn k13_the_most_specific_level_that_speaks_sets_the_mode() {
    let mut world = sentences();
    assert_eq!(mode_of_age(&world, 5000), Permissive, "nothing said");
    world.peer_authentications.push(peer_authentication("istio-system", "default", &[], Some(Strict)));
    assert_eq!(mode_of_age(&world, 5000), Strict, "mesh");
    world.peer_authentications.push(peer_authentication("default", "default", &[], Some(Permissive)));
    assert_eq!(mode_of_age(&world, 5000), Permissive, "namespace");
    let mut own = peer_authentication("default", "age", &[("app", "age")], Some(Disable));
    own.ports = [(5000, Some(Strict)), (7000, None)].into();
    world.peer_authentications.push(own);
    assert_eq!(mode_of_age(&world, 5000), Strict, "port");
    assert_eq!(mode_of_age(&world, 8000), Disable, "workload");
    assert_eq!(mode_of_age(&world, 7000), Disable, "an UNSET port inherits from its policy");
    world.peer_authentications[2].mode = None;
    assert_eq!(mode_of_age(&world, 8000), Permissive, "UNSET inherits from the namespace");
    world.peer_authentications[1].mode = None;
    assert_eq!(mode_of_age(&world, 8000), Strict, "and from the mesh");
    world.peer_authentications[2].selector = Some(labels(&[("app", "name")]));
    assert_eq!(mode_of_age(&world, 5000), Strict);
    world.peer_authentications[0].mode = Some(Permissive);
    assert_eq!(mode_of_age(&world, 5000), Permissive, "a policy for others says nothing");
    world.peer_authentications[2].name.namespace = "elsewhere".into();
    world.peer_authentications[2].selector = Some(labels(&[("app", "age")]));
    assert_eq!(mode_of_age(&world, 5000), Permissive, "nor one of another namespace");
}

#[test]
fn the_oldest_of_a_namespace_counts_and_an_empty_selector_is_none() {
    let mut world = sentences();
    let mut younger = peer_authentication("default", "a", &[], Some(Strict));
    younger.created = 20;
    let mut older = peer_authentication("default", "b", &[], Some(Permissive));
    older.created = 10;
    older.selector = Some(labels(&[]));
    older.ports = [(5000, Some(Strict))].into();
    world.peer_authentications = vec![younger, older];
    assert_eq!(mode_of_age(&world, 5000), Permissive, "portLevelMtls needs a selector");
    world.peer_authentications[1].created = 20;
    assert_eq!(mode_of_age(&world, 5000), Strict, "by name between equals");
}

#[test]
fn where_several_select_one_workload_the_strictest_wins_per_port() {
    let mut world = sentences();
    let mut opens = peer_authentication("default", "old", &[("app", "age")], Some(Permissive));
    opens.created = 1;
    let mut closes = peer_authentication("default", "young", &[("mode", "age")], None);
    closes.ports = [(8000, Some(Strict)), (5000, Some(Disable))].into();
    closes.created = 2;
    world.peer_authentications = vec![opens, closes];
    assert_eq!(mode_of_age(&world, 8000), Strict, "STRICT on a port is not merged into PERMISSIVE");
    assert_eq!(mode_of_age(&world, 5000), Permissive);
    assert_eq!(mode_of_age(&world, 80), Permissive);
}
