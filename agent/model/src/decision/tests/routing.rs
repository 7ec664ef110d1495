//! VirtualServices, subsets and weights.

use super::*;
use crate::{
    matching::StringMatch,
    route::{HttpMatch, LoadBalancer, TcpRoute, TrafficPolicy, Visibility},
};

const USE_V2: &[(&str, &str)] = &[("x-test", "use-v2")];

#[test]
fn k01_without_rules_both_versions_take_turns() {
    let snapshot = sentences().snapshot();
    assert_eq!(shares(&snapshot, &[], 400), [("name-v1".to_owned(), 200), ("name-v2".to_owned(), 200)].into());
}

#[test]
fn k01_a_header_selects_another_service() {
    let mut world = sentences();
    world.virtual_services.push(virtual_service(
        "name",
        "name",
        vec![
            route_for_header("x-test", "use-v2", vec![to("name-v2", None, None)]),
            route(vec![to("name-v1", None, None)]),
        ],
    ));
    let snapshot = world.snapshot();
    assert_eq!(shares(&snapshot, USE_V2, 200), only("name-v2", 200));
    for other in [&[][..], &[("x-test", "use-v22")], &[("x-test", "USE-V2")], &[("x-version", "use-v2")]] {
        assert_eq!(shares(&snapshot, other, 50), only("name-v1", 50), "{other:?}");
    }
    let decided = forward(ask(&snapshot, NAME, "name", USE_V2, &mut Dice::new(1)));
    assert_eq!(cluster_name(&decided.cluster), "default/name-v2:5000");
    let name = crate::workload::Named::new("default", "name");
    assert_eq!(decided.rule, RuleRef::Http { virtual_service: name, matched: Some((0, 0)) });
}

#[test]
fn k02_subsets_come_from_the_destination_rule_and_go_with_it() {
    let mut world = sentences();
    world.virtual_services.push(virtual_service(
        "name",
        "name",
        vec![
            route_for_header("x-test", "use-v2", vec![to("name", Some("v2"), None)]),
            route(vec![to("name", Some("v1"), None)]),
        ],
    ));
    let (no_rule, cluster, _) = answer(ask(&world.snapshot(), NAME, "name", &[], &mut Dice::new(1)));
    assert_eq!((no_rule, cluster_name(&cluster).as_str()), (Answer::NO_CLUSTER, "default/name:5000/v1"));
    let age = ask(&world.snapshot(), "10.96.0.2:5000", "age:5000", &[], &mut Dice::new(1));
    assert_eq!(cluster_name(&forward(age).cluster), "default/age:5000");

    world.destination_rules.push(destination_rule("name", "name", &["v1", "v2"]));
    let snapshot = world.snapshot();
    assert_eq!(shares(&snapshot, &[], 50), only("name-v1", 50));
    assert_eq!(shares(&snapshot, USE_V2, 50), only("name-v2", 50));

    world.destination_rules[0].subsets.pop();
    let (gone, ..) = answer(ask(&world.snapshot(), NAME, "name", USE_V2, &mut Dice::new(1)));
    assert_eq!(gone, Answer::NO_CLUSTER, "E02b: a subset removed before its route");
}

fn canary(weights: [Option<u32>; 2]) -> TestWorld {
    let mut world = sentences();
    world.destination_rules.push(destination_rule("name", "name", &["v1", "v2"]));
    let destinations = vec![to("name", Some("v1"), weights[0]), to("name", Some("v2"), weights[1])];
    world.virtual_services.push(virtual_service("name", "name", vec![route(destinations)]));
    world
}

#[test]
fn k03_weights_are_shares() {
    let ten_percent = shares(&canary([Some(90), Some(10)]).snapshot(), &[], 1000);
    assert!((69..=131).contains(&ten_percent["name-v2"]), "{ten_percent:?}");
    assert_eq!(shares(&canary([Some(0), Some(100)]).snapshot(), &[], 300), only("name-v2", 300));
    assert_eq!(shares(&canary([Some(50), None]).snapshot(), &[], 300), only("name-v1", 300), "missing beside others");
    let relative = shares(&canary([Some(3), Some(1)]).snapshot(), &[], 1000);
    assert!((200..=300).contains(&relative["name-v2"]), "{relative:?}");
    let uniform = shares(&canary([Some(0), Some(0)]).snapshot(), &[], 1000);
    assert!((430..=570).contains(&uniform["name-v2"]), "{uniform:?}");
}

#[test]
fn e01_the_first_rule_without_match_wins() {
    let mut world = sentences();
    let v2_first = vec![route(vec![to("name-v2", None, None)]), route(vec![to("name-v1", None, None)])];
    world.virtual_services.push(virtual_service("name", "name", v2_first));
    assert_eq!(shares(&world.snapshot(), &[], 20), only("name-v2", 20));
    world.virtual_services[0].http.reverse();
    assert_eq!(shares(&world.snapshot(), &[], 20), only("name-v1", 20));
}

#[test]
fn e01_rules_are_seen_where_they_are_exported_to() {
    let mut world = sentences();
    let mut to_v2 = virtual_service("name", "name", vec![route(vec![to("name-v2", None, None)])]);
    to_v2.export_to = Visibility::Namespaces(vec!["elsewhere".into()]);
    world.virtual_services.push(to_v2);
    assert_eq!(shares(&world.snapshot(), &[], 20)["name-v1"], 10);
    world.virtual_services[0].export_to = Visibility::Namespaces(vec!["default".into()]);
    assert_eq!(shares(&world.snapshot(), &[], 20), only("name-v2", 20));
}

#[test]
fn e02a_no_matching_rule_is_404_nr() {
    let mut world = sentences();
    let rules = vec![route_for_header("x-test", "use-v2", vec![to("name-v2", None, None)])];
    world.virtual_services.push(virtual_service("name", "name", rules));
    let (said, cluster, rule) = answer(ask(&world.snapshot(), NAME, "name:5000", &[], &mut Dice::new(1)));
    assert_eq!((said.status, said.flag.map(|flag| flag.code())), (404, Some("NR")));
    assert_eq!(cluster_name(&cluster), "default/name:5000");
    assert!(matches!(rule, RuleRef::Http { matched: None, .. }));
}

#[test]
fn e02b_match_and_weights_mix() {
    let mut world = canary([Some(90), Some(10)]);
    world.pod("default", "name-v3", "10.0.1.3", &[("app", "name"), ("version", "v3")]);
    world.destination_rules[0] = destination_rule("name", "name", &["v1", "v2", "v3"]);
    let header = route_for_header("x-test", "use-v3", vec![to("name", Some("v3"), None)]);
    world.virtual_services[0].http.insert(0, header);
    let snapshot = world.snapshot();
    assert_eq!(shares(&snapshot, &[("x-test", "use-v3")], 100), only("name-v3", 100));
    let rest = shares(&snapshot, &[], 1000);
    assert!((69..=131).contains(&rest["name-v2"]) && !rest.contains_key("name-v3"), "{rest:?}");
}

#[test]
fn nothing_ready_is_503_uh() {
    let mut world = canary([Some(100), Some(0)]);
    world.pod_mut("name-v1").ready = false;
    let snapshot = world.snapshot();
    let (said, cluster, _) = answer(ask(&snapshot, NAME, "name", &[], &mut Dice::new(1)));
    assert_eq!((said, cluster_name(&cluster).as_str()), (Answer::NO_HEALTHY_UPSTREAM, "default/name:5000/v1"));
    assert_eq!(refusal(connect(&snapshot, "10.96.0.4:5000")).0, Refusal::NoHealthyUpstream);
}

#[test]
fn an_unknown_host_or_port_is_503_nc() {
    let mut world = sentences();
    world.virtual_services.push(virtual_service("name", "name", vec![route(vec![to("nobody", None, None)])]));
    let (said, cluster, _) = answer(ask(&world.snapshot(), NAME, "name", &[], &mut Dice::new(1)));
    assert_eq!(said, Answer::NO_CLUSTER);
    assert_eq!(cluster_name(&cluster), "unknown nobody.default.svc.cluster.local");

    let mut elsewhere = to("name", None, None);
    elsewhere.destination.port = Some(9999);
    world.virtual_services[0].http = vec![route(vec![elsewhere])];
    assert_eq!(answer(ask(&world.snapshot(), NAME, "name", &[], &mut Dice::new(1))).0, Answer::NO_CLUSTER);
}

#[test]
fn the_port_of_a_destination_is_its_own_or_the_only_or_the_asked_one() {
    let mut world = sentences();
    world.service("default", "one", "10.96.0.8", &[(80, 5000)], &[("version", "v2")]);
    world.service("default", "two", "10.96.0.9", &[(80, 8000), (5000, 5001)], &[("version", "v2")]);
    let mut towards = |host: &str, port: Option<u16>| {
        let mut destination = to(host, None, None);
        destination.destination.port = port;
        world.virtual_services = vec![virtual_service("name", "name", vec![route(vec![destination])])];
        forward(ask(&world.snapshot(), NAME, "name", &[], &mut Dice::new(1))).address.port()
    };
    assert_eq!(towards("one", None), 5000);
    assert_eq!(towards("two", None), 5001);
    assert_eq!(towards("two", Some(80)), 8000);
}

#[test]
fn the_oldest_virtual_service_counts_whole_and_an_exact_host_first() {
    let mut world = sentences();
    let towards = |name: &str, host: &str, to_host: &str, created: i64| {
        let mut one = virtual_service(name, host, vec![route(vec![to(to_host, None, None)])]);
        one.created = created;
        one
    };
    world.virtual_services.push(towards("a-younger", "name", "name-v2", 20));
    world.virtual_services.push(towards("b-older", "name", "name-v1", 10));
    world.virtual_services.push(towards("wild", "*.default.svc.cluster.local", "age", 1));
    world.virtual_services.push(towards("wilder", "*", "sentences", 0));
    assert_eq!(shares(&world.snapshot(), &[], 5), only("name-v1", 5));
    world.virtual_services[1].created = 20;
    assert_eq!(shares(&world.snapshot(), &[], 5), only("name-v2", 5), "the name decides between equals");
    world.virtual_services.drain(..2);
    assert_eq!(shares(&world.snapshot(), &[], 5), only("age-a", 5), "the longer suffix");
    world.virtual_services[0].gateways = vec!["istio-system/gateway".into()];
    let (said, cluster, _) = answer(ask(&world.snapshot(), NAME, "name", &[], &mut Dice::new(1)));
    assert_eq!(
        (said, cluster_name(&cluster).as_str()),
        (Answer::NO_CLUSTER, "unknown sentences.default.svc.cluster.local")
    );
}

#[test]
fn blocks_are_alternatives_and_their_parts_conditions() {
    let snapshot = sentences().snapshot();
    let source = workload(&snapshot, "sentences-a");
    let exact = |text: &str| Some(StringMatch::Exact(text.to_owned()));
    let present = || [("x-a".to_owned(), StringMatch::Present)].into();
    let cases: Vec<(HttpMatch, bool)> = vec![
        (HttpMatch::default(), true),
        (HttpMatch { uri: exact("/a/b"), ..HttpMatch::default() }, true),
        (HttpMatch { uri: exact("/A/b"), ..HttpMatch::default() }, false),
        (HttpMatch { uri: exact("/A/b"), ignore_uri_case: true, ..HttpMatch::default() }, true),
        (
            HttpMatch { uri: Some(StringMatch::Prefix("/a".into())), method: exact("POST"), ..HttpMatch::default() },
            false,
        ),
        (HttpMatch { uri: Some(StringMatch::regex("/a").unwrap()), ..HttpMatch::default() }, false),
        (HttpMatch { method: exact("GET"), scheme: exact("http"), ..HttpMatch::default() }, true),
        (HttpMatch { authority: exact("name:5000"), ..HttpMatch::default() }, true),
        (HttpMatch { authority: exact("name"), ..HttpMatch::default() }, false),
        (HttpMatch { port: Some(5000), ..HttpMatch::default() }, true),
        (HttpMatch { port: Some(80), ..HttpMatch::default() }, false),
        (HttpMatch { headers: present(), ..HttpMatch::default() }, true),
        (HttpMatch { without_headers: present(), ..HttpMatch::default() }, false),
        (
            HttpMatch {
                query_params: [("q".to_owned(), StringMatch::Exact("1".into()))].into(),
                ..HttpMatch::default()
            },
            true,
        ),
        (HttpMatch { query_params: [("r".to_owned(), StringMatch::Present)].into(), ..HttpMatch::default() }, false),
        (HttpMatch { source_labels: labels(&[("mode", "sentence")]), ..HttpMatch::default() }, true),
        (HttpMatch { source_labels: labels(&[("mode", "age")]), ..HttpMatch::default() }, false),
        (HttpMatch { source_namespace: Some("other".into()), ..HttpMatch::default() }, false),
        (HttpMatch { gateways: vec!["a/gateway".into()], ..HttpMatch::default() }, false),
        (HttpMatch { gateways: vec!["a/gateway".into(), "mesh".into()], ..HttpMatch::default() }, true),
    ];
    let headers = headers(&[("X-A", "1"), ("x-a", "2")]);
    let request = get("name:5000", "/a/b?q=1&q=2&p", &headers);
    let facts = crate::route::MatchFacts { request: &request, port: 5000, source };
    for (block, want) in &cases {
        assert_eq!(block.matches(&facts), *want, "{block:?}");
    }
    let both = |blocks: [usize; 2]| crate::route::HttpRoute {
        matches: blocks.iter().map(|index| cases[*index].0.clone()).collect(),
        ..crate::route::HttpRoute::default()
    };
    assert!(both([2, 1]).matches(&facts));
    assert!(!both([2, 4]).matches(&facts));
    let joined = [("x-a".to_owned(), StringMatch::Exact("1,2".into()))].into();
    assert!(HttpMatch { headers: joined, ..HttpMatch::default() }.matches(&facts), "values are joined by a comma");
}

#[test]
fn tcp_routes_follow_the_port_and_else_the_service() {
    let mut world = sentences();
    let mut tcp = virtual_service("name", "name", vec![]);
    tcp.tcp = vec![TcpRoute { ports: vec![5000], destinations: vec![to("name-v2", None, None)] }];
    world.virtual_services.push(tcp);
    let decided = forward(connect(&world.snapshot(), NAME));
    assert_eq!(cluster_name(&decided.cluster), "default/name-v2:5000");
    assert!(matches!(decided.rule, RuleRef::Tcp { matched: Some((0, 0)), .. }));
    // A VirtualService without http[] leaves HTTP to the Service.
    let http = forward(ask(&world.snapshot(), NAME, "name", &[], &mut Dice::new(1)));
    assert_eq!((cluster_name(&http.cluster).as_str(), http.rule), ("default/name:5000", RuleRef::Default));
    world.virtual_services[0].tcp[0].ports = vec![9999];
    assert_eq!(forward(connect(&world.snapshot(), NAME)).rule, RuleRef::Default);
    world.virtual_services[0].tcp = vec![TcpRoute { ports: vec![], destinations: vec![to("name", Some("v9"), None)] }];
    assert_eq!(refusal(connect(&world.snapshot(), NAME)).0, Refusal::NoCluster);
}

#[test]
fn the_load_balancer_of_the_subset_counts() {
    let mut world = sentences();
    for index in 3..=6 {
        world.pod(
            "default",
            &format!("name-{index}"),
            &format!("10.0.1.{index}"),
            &[("app", "name"), ("version", "v1")],
        );
    }
    let mut rule = destination_rule("name", "name", &["v1"]);
    rule.subsets[0].policy.load_balancer = Some(LoadBalancer::Random);
    world.destination_rules.push(rule);
    world.virtual_services.push(virtual_service("name", "name", vec![route(vec![to("name", Some("v1"), None)])]));
    let turns: Vec<usize> = shares(&world.snapshot(), &[], 500).into_values().collect();
    assert!(turns.len() == 5 && turns.iter().all(|count| (60..140).contains(count)), "{turns:?}");
    assert!(turns.iter().any(|count| *count != 100), "random, not in turn: {turns:?}");
    world.destination_rules[0].subsets[0].policy = TrafficPolicy::default();
    assert!(shares(&world.snapshot(), &[], 500).into_values().all(|count| count == 100));
}

#[test]
fn destination_rules_are_looked_up_at_the_client_then_the_service_then_the_root() {
    let mut world = sentences();
    world.pod("client", "caller", "10.0.5.1", &[]);
    let rule_in = |namespace: &str, host: &str| {
        let mut rule = destination_rule("rule", host, &[]);
        rule.name = crate::workload::Named::new(namespace, "rule");
        rule
    };
    world.destination_rules = vec![
        rule_in("istio-system", "*.local"),
        rule_in("default", "*.default.svc.cluster.local"),
        rule_in("client", "*.local"),
        rule_in("stranger", "name"),
    ];
    let found = |world: &TestWorld| {
        let snapshot = world.snapshot();
        let backend = snapshot.index.backend(&fqdn("default", "name")).expect("the Service");
        backend.rule_for("client", "istio-system").map(|one| one.rule.name.namespace.to_string())
    };
    assert_eq!(found(&world).as_deref(), Some("client"));
    world.destination_rules[2].export_to = Visibility::Namespaces(vec![]);
    assert_eq!(found(&world).as_deref(), Some("default"));
    world.destination_rules[1].export_to = Visibility::Namespaces(vec!["default".into()]);
    assert_eq!(found(&world).as_deref(), Some("istio-system"));
    let mut closer = rule_in("istio-system", "*.svc.cluster.local");
    closer.created = 9;
    closer.export_to = Visibility::Namespaces(vec!["default".into()]);
    world.destination_rules.push(closer);
    assert_eq!(found(&world).as_deref(), Some("istio-system"), "the wider one is still there");
    world.destination_rules.remove(0);
    assert_eq!(found(&world), None);
}

#[test]
fn the_closest_host_of_a_destination_rule_counts_before_its_age() {
    let mut world = sentences();
    for (created, host) in ["*.local", "*.default.svc.cluster.local", "name"].into_iter().enumerate() {
        let mut rule = destination_rule(&format!("dr-{created}"), host, &[]);
        rule.created = created as i64;
        world.destination_rules.push(rule);
    }
    for want in ["dr-2", "dr-1", "dr-0"] {
        let snapshot = world.snapshot();
        let backend = snapshot.index.backend(&fqdn("default", "name")).expect("the Service");
        let found = backend.rule_for("default", "istio-system").expect("a rule");
        assert_eq!(&*found.rule.name.name, want);
        world.destination_rules.pop();
    }
}

/// E02c: copies go to a third version, as often as the rule says, and a mirror that does not exist harms nobody.
#[test]
fn mirrors_get_their_share_and_do_no_harm() {
    let mut world = sentences();
    world.pod("default", "name-v3", "10.0.1.3", &[("app", "name"), ("version", "v3")]);
    world.destination_rules.push(destination_rule("name", "name", &["v1", "v2", "v3"]));
    let mirror = |subset: &str, per_million| crate::route::Mirror {
        destination: to("name", Some(subset), None).destination,
        per_million,
    };
    let mut rule = route(vec![to("name", Some("v2"), Some(100))]);
    rule.mirrors = vec![mirror("v3", 500_000), mirror("v1", 0), mirror("missing", crate::route::Mirror::ALL)];
    world.virtual_services.push(virtual_service("name", "name", vec![rule]));
    let snapshot = world.snapshot();
    let mut dice = Dice::new(1);
    let decided: Vec<Forward> = (0..1000).map(|_| forward(ask(&snapshot, NAME, "name", &[], &mut dice))).collect();
    assert!(decided.iter().all(|one| cluster_name(&one.cluster) == "default/name:5000/v2"));
    let copies: Vec<&Forward> = decided.iter().flat_map(|one| &one.mirrors).collect();
    assert!(copies.iter().all(|one| cluster_name(&one.cluster) == "default/name:5000/v3" && one.mirrors.is_empty()));
    assert!((448..=552).contains(&copies.len()), "half of them are {}", copies.len());
}
