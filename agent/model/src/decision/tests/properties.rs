//! What must hold in every world: worlds, requests and policies are made up by proptest.

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::{
    identity::SpiffeId,
    mesh::OutboundPolicy,
    policy::{Action, MtlsMode, Operation, PathPattern, PeerAuthentication, Rule, Source},
    route::{ClientTls, DestinationRule, VirtualService},
    snapshot::World,
    workload::{Enrolment, Named},
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

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let values = |all: &'static [&'static str]| vec(select(all.to_vec()), 0..2);
    let source = (values(&["*/sa/sentences", "*/sa/age", "*"]), values(&["*/sa/age"]), values(&["default", "x*"]));
    let operation = (values(&["GET", "POST"]), values(&["/", "/a*", "*b"]), vec(select(vec![5000u16, 8000]), 0..2));
    let rule = (vec(source, 0..2), vec(operation, 0..2)).prop_map(|(from, to)| Rule {
        from: from
            .into_iter()
            .map(|(principals, not, namespaces)| Source {
                principals: patterns(&principals),
                not_principals: patterns(&not),
                namespaces: patterns(&namespaces),
                ..Source::default()
            })
            .collect(),
        to: to
            .into_iter()
            .map(|(methods, paths, ports)| Operation {
                methods: patterns(&methods),
                paths: patterns(&paths).into_iter().map(PathPattern::Plain).collect(),
                ports,
                ..Operation::default()
            })
            .collect(),
        when: vec![],
    });
    vec(rule, 0..3)
}

/// Policies for all pods of `default`, of either action.
fn policies() -> impl Strategy<Value = Vec<AuthorizationPolicy>> {
    vec((select(vec![Action::Allow, Action::Deny, Action::Audit]), rules(), any::<bool>()), 0..4).prop_map(|seeds| {
        let make = |(index, (action, rules, dry_run)): (usize, (Action, Vec<Rule>, bool))| AuthorizationPolicy {
            dry_run,
            ..authorization(&format!("ap-{index}"), None, action, rules)
        };
        seeds.into_iter().enumerate().map(make).collect()
    })
}

/// Service account over mTLS, method, path, port, and whether it is HTTP.
type Call = (Option<&'static str>, &'static str, &'static str, u16, bool);

fn calls() -> impl Strategy<Value = Call> {
    let who = select(vec![None, Some("sentences"), Some("age")]);
    (who, select(vec!["GET", "POST"]), select(vec!["/", "/a", "/a/../b"]), select(vec![5000u16, 8000]), any::<bool>())
}

fn judge(policies: &[AuthorizationPolicy], call: Call) -> Verdict {
    let mut world = sentences();
    world.authorization_policies = policies.to_vec();
    let snapshot = world.snapshot();
    let (who, method, target, port, http) = call;
    let principal: Option<SpiffeId> =
        who.map(|account| format!("spiffe://cluster.local/ns/default/sa/{account}").parse().unwrap());
    let headers = headers(&[]);
    let request = crate::request::Request { method, ..get("name", target, &headers) };
    InboundPolicy::for_workload(&snapshot, workload(&snapshot, "name-v1")).authorize(&InboundFacts {
        peer: ip("10.0.0.1"),
        principal: principal.as_ref(),
        destination: socket(&format!("10.0.1.1:{port}")),
        sni: None,
        request: http.then_some(&request),
    })
}

proptest! {
    #[test]
    fn deny_always_beats_allow(policies in policies(), more in policies(), call in calls()) {
        let with = |added: AuthorizationPolicy| judge(&[policies.clone(), vec![added]].concat(), call).access;
        prop_assert!(matches!(with(authorization("z", None, Action::Deny, vec![Rule::default()])), Access::DeniedBy(..)));
        let before = judge(&policies, call).access;
        let mut renamed = more;
        for (index, policy) in renamed.iter_mut().enumerate() {
            policy.name = Named::new("default", format!("zz-{index}"));
        }
        let after = judge(&[policies.clone(), renamed].concat(), call).access;
        if matches!(before, Access::DeniedBy(..)) {
            prop_assert_eq!(before, after, "no policy undoes a DENY");
        }
    }

    #[test]
    fn nothing_is_allowed_but_by_an_allow_rule_or_in_their_absence(policies in policies(), call in calls()) {
        let enforced = |action: Action| policies.iter().filter(move |one| one.action == action && !one.dry_run);
        let verdict = judge(&policies, call);
        match &verdict.access {
            Access::AllowedByDefault => prop_assert_eq!(enforced(Action::Allow).count(), 0),
            Access::AllowedBy(name, rule) => {
                let by = enforced(Action::Allow).find(|one| one.name == *name).expect("an enforced ALLOW policy");
                let alone = judge(&[AuthorizationPolicy { rules: vec![by.rules[*rule].clone()], ..by.clone() }], call);
                prop_assert!(alone.access.is_allowed());
            }
            Access::DeniedBy(name, _) => prop_assert!(enforced(Action::Deny).any(|one| one.name == *name)),
            Access::NotAllowed(_) => prop_assert!(enforced(Action::Allow).count() > 0),
        }
        let empty = [policies.iter().filter(|one| one.action != Action::Allow).cloned().collect(),
            vec![authorization("allow-nothing", None, Action::Allow, vec![])]].concat();
        prop_assert!(!judge(&empty, call).access.is_allowed());
    }

    #[test]
    fn policies_for_others_audits_and_dry_runs_change_nothing(policies in policies(), call in calls(), rules in rules()) {
        let access = judge(&policies, call).access;
        let mut others = vec![
            authorization("z-other-app", Some("age"), Action::Deny, vec![Rule::default()]),
            authorization("z-audit", None, Action::Audit, rules),
        ];
        others.push(AuthorizationPolicy {
            name: Named::new("elsewhere", "z"), ..authorization("z", None, Action::Allow, vec![])
        });
        for action in [Action::Allow, Action::Deny] {
            let dry = authorization(&format!("z-dry-{action:?}"), None, action, vec![Rule::default()]);
            others.push(AuthorizationPolicy { dry_run: true, ..dry });
        }
        prop_assert_eq!(judge(&[policies, others].concat(), call).access, access);
    }

    #[test]
    fn a_dry_run_tells_what_enforcing_it_would_do(policies in policies(), call in calls()) {
        let now = judge(&policies, call);
        for (index, policy) in policies.iter().enumerate().filter(|(_, one)| one.dry_run && one.action != Action::Audit) {
            let mut enforced = policies.clone();
            enforced[index].dry_run = false;
            let then = judge(&enforced, call).access.is_allowed();
            let told = now.dry_run.iter().find(|(one, _)| one.name == policy.name).map(|(_, would)| *would);
            prop_assert_eq!(told, (then != now.access.is_allowed()).then_some(then), "{}", policy.name);
        }
    }

    /// Read as opaque TCP a policy set never allows what it would refuse to the same peer for every request.
    #[test]
    fn tcp_is_never_more_open_than_http(policies in policies(), call in calls()) {
        let (who, method, target, port, _) = call;
        if judge(&policies, (who, method, target, port, false)).access.is_allowed() {
            prop_assert!(judge(&policies, (who, method, target, port, true)).access.is_allowed());
        }
    }
}
