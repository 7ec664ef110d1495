//! What must hold in every world for routes and mTLS: worlds and requests are made up by proptest.

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::{
    mesh::OutboundPolicy,
    policy::{MtlsMode, PeerAuthentication},
    route::{ClientTls, DestinationRule, VirtualService},
    snapshot::World,
    workload::Enrolment,
};

const NAMESPACES: [&str; 2] = ["default", "shop"];
const APPS: [&str; 2] = ["name", "age"];

/// Index of a pod, app, version, ready, enrolled.
type PodSeed = (usize, usize, bool, bool, bool);

fn pods() -> impl Strategy<Value = Vec<PodSeed>> {
    vec((0..2usize, 0..2usize, any::<bool>(), any::<bool>(), any::<bool>()), 1..8)
}

prop_compose! {
    fn virtual_services()(seeds in vec(
        (select(vec!["name", "age", "*.local", "*", "example.com"]), 0..3i64, any::<bool>(),
         vec((select(vec!["name", "age", "gone"]), select(vec![None, Some("v1"), Some("v2"), Some("v9")]),
              select(vec![None, Some(0), Some(1), Some(50)])), 1..4)), 0..4)) -> Vec<VirtualService> {
        let make = |(index, (host, created, conditional, destinations)): (usize, (&str, i64, bool, Vec<_>))| {
            let destinations = destinations.into_iter().map(|(host, subset, weight)| to(host, subset, weight)).collect();
            let entry = if conditional { route_for_header("x-test", "use-v2", destinations) } else { route(destinations) };
            VirtualService { created, ..virtual_service(&format!("vs-{index}"), host, vec![entry]) }
        };
        seeds.into_iter().enumerate().map(make).collect()
    }
}

prop_compose! {
    fn destination_rules()(seeds in vec(
        (select(vec!["name", "age", "*.local"]), 0..3i64,
         select(vec![None, Some(ClientTls::Disable), Some(ClientTls::IstioMutual), Some(ClientTls::Other)])), 0..3),
    ) -> Vec<DestinationRule> {
        let make = |(index, (host, created, tls)): (usize, (&str, i64, Option<ClientTls>))| {
            let mut rule = destination_rule(&format!("dr-{index}"), host, &["v1", "v2"]);
            (rule.created, rule.policy.tls) = (created, tls);
            rule
        };
        seeds.into_iter().enumerate().map(make).collect()
    }
}

prop_compose! {
    fn worlds()(
        pods in pods(), virtual_services in virtual_services(), destination_rules in destination_rules(),
        peer_authentications in peer_policies(), headless in any::<bool>(), registry_only in any::<bool>(),
    ) -> TestWorld {
        let mut world = TestWorld { virtual_services, destination_rules, peer_authentications, ..TestWorld::new() };
        world.pod("default", "caller", "10.0.0.1", &[("app", "caller")]);
        for (index, (namespace, app, second, ready, enrolled)) in pods.into_iter().enumerate() {
            let version = if second { "v2" } else { "v1" };
            let with = [("app", APPS[app]), ("version", version)];
            let address = format!("10.0.1.{}", index + 1);
            let pod = world.pod(NAMESPACES[namespace], &format!("pod-{index}"), &address, &with);
            pod.ready = ready;
            if !enrolled {
                pod.enrolment = Enrolment::NotEnrolled("test");
            }
        }
        for (index, (namespace, app)) in [("default", "name"), ("default", "age"), ("shop", "name")].into_iter().enumerate() {
            world.service(namespace, app, &format!("10.96.0.{}", index + 1), &[(80, 8080)], &[("app", app)]);
        }
        if headless {
            world.headless("default", "db", &[(8080, 8080)], &[("app", "name")]);
        }
        if registry_only {
            world.mesh.outbound = OutboundPolicy::RegistryOnly;
        }
        world
    }
}

fn questions() -> impl Strategy<Value = (String, String, bool)> {
    let addresses = [
        "10.96.0.1:80",
        "10.96.0.2:80",
        "10.96.0.3:80",
        "10.96.0.1:81",
        "203.0.113.1:80",
        "10.0.1.1:8080",
        "10.0.1.2:8080",
    ];
    let hosts = ["name", "age", "name.shop", "db", "pod.db", "example.com", "10.0.1.1", "nobody"];
    (select(addresses.to_vec()), select(hosts.to_vec()), any::<bool>())
        .prop_map(|(address, host, header)| (address.to_owned(), host.to_owned(), header))
}

fn decide_both(snapshot: &Snapshot, question: &(String, String, bool), seed: u64) -> [Decision; 2] {
    let source = workload(snapshot, "caller");
    let headers = headers(if question.2 { &[("x-test", "use-v2")] } else { &[] });
    let request = get(&question.1, "/", &headers);
    let destination = dialled(&question.0);
    [
        decide_request(snapshot, source, destination, &request, &mut Dice::new(seed)),
        decide_connection(snapshot, source, destination, &mut Dice::new(seed)),
    ]
}

fn reversed(mut world: World) -> World {
    world.workloads.reverse();
    world.services.reverse();
    world.virtual_services.reverse();
    world.destination_rules.reverse();
    world.peer_authentications.reverse();
    world.authorization_policies.reverse();
    for service in &mut world.services {
        std::sync::Arc::make_mut(service).endpoints.reverse();
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_we_choose_is_ready(world in worlds(), question in questions(), seed in any::<u64>()) {
        let snapshot = world.snapshot();
        for decision in decide_both(&snapshot, &question, seed) {
            let Decision::Forward(forward) = decision else { continue };
            let own_choice = forward.address == socket(&question.0);
            prop_assert!(own_choice || forward.workload.as_ref().is_some_and(|pod| pod.ready), "{forward:?}");
            if let UpstreamTls::Mutual(id) = &forward.tls {
                prop_assert_eq!(Some(id), forward.workload.as_ref().map(|pod| &pod.identity));
            }
            prop_assert!(forward.cluster != Cluster::BlackHole);
        }
    }

    #[test]
    fn equal_worlds_decide_equally_in_any_order(world in worlds(), question in questions(), seed in any::<u64>()) {
        let (once, again) = (world.snapshot(), world.snapshot());
        let turned = Snapshot::new(reversed(world.world()));
        // Pods are equal up to the order in which their Services list them.
        let essence = |snapshot: &Snapshot| decide_both(snapshot, &question, seed).map(|decision| match decision {
            Decision::Forward(f) => (format!("{} {:?} {:?}", f.address, f.tls, f.rule), cluster_name(&f.cluster)),
            Decision::Answer { answer, cluster, rule } => (format!("{answer:?} {rule:?}"), cluster_name(&cluster)),
            Decision::Refuse { reason, cluster, rule } => (format!("{reason:?} {rule:?}"), cluster_name(&cluster)),
        });
        prop_assert_eq!(decide_both(&once, &question, seed), decide_both(&again, &question, seed));
        prop_assert_eq!(essence(&once), essence(&turned));
        for pod in once.workloads.values() {
            let modes = |snapshot: &Snapshot| InboundPolicy::for_workload(snapshot, pod).mtls_mode(8080);
            prop_assert_eq!(modes(&once), modes(&turned));
        }
    }

    #[test]
    fn a_rule_for_strangers_changes_nothing(world in worlds(), question in questions(), seed in any::<u64>()) {
        let mut more = world.clone();
        let mut elsewhere = virtual_service("other", "other.example", vec![route(vec![to("age", None, None)])]);
        elsewhere.created = -1;
        more.virtual_services.push(elsewhere);
        let mut unseen = virtual_service("unseen", "name", vec![route(vec![to("age", None, None)])]);
        unseen.export_to = crate::route::Visibility::Namespaces(vec!["shop".into()]);
        unseen.created = -1;
        more.virtual_services.push(unseen);
        more.destination_rules.push(destination_rule("other", "other.example", &[]));
        more.peer_authentications.push(peer_authentication("elsewhere", "x", &[], Some(MtlsMode::Disable)));
        prop_assert_eq!(decide_both(&world.snapshot(), &question, seed), decide_both(&more.snapshot(), &question, seed));
    }
}

const MODES: [Option<MtlsMode>; 4] =
    [None, Some(MtlsMode::Disable), Some(MtlsMode::Permissive), Some(MtlsMode::Strict)];

prop_compose! {
    fn peer_policies()(seeds in vec(
        (select(vec!["default", "shop", "istio-system"]), select(vec![None, Some("name"), Some("age")]),
         select(MODES.to_vec()), select(MODES.to_vec()), 0..3i64), 0..6)) -> Vec<PeerAuthentication> {
        let make = |(index, (namespace, app, mode, of_port, created)): (usize, (&str, Option<&str>, _, _, i64))| {
            let selector: Vec<(&str, &str)> = app.map(|app| ("app", app)).into_iter().collect();
            let policy = peer_authentication(namespace, &format!("pa-{index}"), &selector, mode);
            PeerAuthentication { ports: [(8080, of_port)].into(), created, ..policy }
        };
        seeds.into_iter().enumerate().map(make).collect()
    }
}

fn mode_of(policies: &[PeerAuthentication], port: u16) -> MtlsMode {
    let mut world = sentences();
    world.peer_authentications = policies.to_vec();
    let snapshot = world.snapshot();
    InboundPolicy::for_workload(&snapshot, workload(&snapshot, "name-v1")).mtls_mode(port)
}

/// The documented order, written a second time and as slowly as possible.
fn expected_mode(policies: &[PeerAuthentication], port: u16) -> MtlsMode {
    let oldest = |namespace: &str| {
        let all = policies.iter().filter(|one| &*one.name.namespace == namespace && one.selector.is_none());
        all.min_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name))).and_then(|one| one.mode)
    };
    let own = policies
        .iter()
        .filter(|one| &*one.name.namespace == "default" && one.selector == Some(labels(&[("app", "name")])));
    own.filter_map(|one| one.ports.get(&port).copied().flatten().or(one.mode))
        .max()
        .or_else(|| oldest("default"))
        .or_else(|| oldest("istio-system"))
        .unwrap_or(MtlsMode::Permissive)
}

proptest! {
    #[test]
    fn the_strictest_policy_of_a_workload_wins(policies in peer_policies(), port in select(vec![8080u16, 9090])) {
        prop_assert_eq!(mode_of(&policies, port), expected_mode(&policies, port));
        let mut strict = peer_authentication("default", "zz", &[("app", "name")], None);
        strict.ports = [(port, Some(MtlsMode::Strict))].into();
        strict.created = 99;
        let mut more = policies.clone();
        more.push(strict);
        prop_assert_eq!(mode_of(&more, port), MtlsMode::Strict);
    }
}
