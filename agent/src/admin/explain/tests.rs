//! Questions about small worlds, and what a person is told.

use weft_model::{
    mesh::OutboundPolicy,
    policy::{Action, MtlsMode, Rule, Source},
    route::{ClientTls, LoadBalancer},
    service::{AppProtocol, Resolution},
    testing::{
        TestWorld, authorization, destination_rule, fqdn, ip, patterns, peer_authentication, route, route_for_header,
        to, virtual_service, with_tls,
    },
    workload::{Enrolment, Named},
};

use super::{
    End, ExplainError, Explanation, Question, explain,
    resolve::{Scheme, Target},
};
use crate::admin::fixture::sentences;

fn question(to: &str) -> Question {
    Question {
        from: Named::new("default", "a"),
        to: to.to_owned(),
        method: "GET".to_owned(),
        headers: Vec::new(),
        tcp: false,
    }
}

fn ask(world: &TestWorld, to: &str) -> Explanation {
    explain(&world.snapshot(), &question(to)).unwrap()
}

fn ask_with_header(world: &TestWorld, to: &str, name: &str, value: &str) -> Explanation {
    let headers = vec![(name.to_owned(), value.to_owned())];
    explain(&world.snapshot(), &Question { headers, ..question(to) }).unwrap()
}

fn ask_tcp(world: &TestWorld, to: &str) -> Explanation {
    explain(&world.snapshot(), &Question { tcp: true, ..question(to) }).unwrap()
}

fn refusal(world: &TestWorld, to: &str) -> String {
    explain(&world.snapshot(), &question(to)).unwrap_err().to_string()
}

/// Header `x-test: use-v2` goes to v2, everything else in shares.
fn canary() -> TestWorld {
    let mut world = sentences();
    world.destination_rules.push(destination_rule("name", "name", &["v1", "v2"]));
    let shares = vec![to("name", Some("v1"), Some(75)), to("name", Some("v2"), Some(25))];
    let by_header = route_for_header("x-test", "use-v2", vec![to("name", Some("v2"), None)]);
    world.virtual_services.push(virtual_service("name", "name", vec![by_header, route(shares)]));
    world
}

#[test]
fn a_header_route_is_named_with_its_match_and_its_end() {
    let it = ask_with_header(&canary(), "http://name:5000/", "x-test", "use-v2");
    assert_eq!(it.dialled.what, "cluster IP of Service default/name");
    assert_eq!(it.dialled.speaks, "HTTP, by declaration");
    let route = it.route.unwrap();
    assert_eq!(route.virtual_service.as_deref(), Some("default/name"));
    assert_eq!(route.entry.as_deref(), Some("http[0]"));
    assert_eq!(route.matched.as_deref(), Some("match[0]: header x-test exact \"use-v2\""));
    assert!(route.passed_over.is_empty());
    let [destination] = &*it.destinations else { panic!("one destination") };
    assert_eq!(destination.to, "name.default.svc.cluster.local port 5000 subset v2");
    assert_eq!(destination.share, Some(100.0));
    let [endpoint] = &*destination.endpoints else { panic!("one endpoint") };
    assert!(endpoint.chosen);
    assert_eq!(endpoint.pod.as_deref(), Some("default/name-v2"));
    assert_eq!(endpoint.node.as_deref(), Some("node-b"));
    assert_eq!(endpoint.mtls.as_deref(), Some("spiffe://cluster.local/ns/default/sa/name"));
    assert_eq!(endpoint.server.mtls_mode.as_deref(), Some("PERMISSIVE"));
    assert_eq!(it.outcome.end, End::Delivered);
    assert_eq!(it.outcome.text, "delivered to 10.1.0.3:5000 of pod default/name-v2");
}

#[test]
fn shares_and_everything_they_may_choose_are_listed() {
    for _ in 0..20 {
        let it = ask(&canary(), "http://name:5000/");
        let route = it.route.unwrap();
        assert_eq!(route.entry.as_deref(), Some("http[1]"));
        assert_eq!(route.passed_over, ["http[0] wants header x-test exact \"use-v2\""]);
        let shares: Vec<_> = it.destinations.iter().map(|one| one.share).collect();
        assert_eq!(shares, [Some(75.0), Some(25.0)]);
        let pods: Vec<_> = it.destinations.iter().map(|one| one.endpoints[0].pod.as_deref()).collect();
        assert_eq!(pods, [Some("default/name-v1"), Some("default/name-v2")]);
        let chosen: Vec<_> = it.destinations.iter().filter(|one| one.chosen).collect();
        let [chosen] = &*chosen else { panic!("one is chosen") };
        assert!(chosen.endpoints[0].chosen);
        assert_eq!(chosen.endpoints[0].outcome, it.outcome);
    }
}

#[test]
fn destinations_without_a_share_are_listed_and_never_chosen() {
    let mut world = canary();
    let shares = vec![to("name", Some("v1"), Some(100)), to("name", Some("v2"), Some(0))];
    world.virtual_services[0].http[1] = route(shares);
    for _ in 0..20 {
        let it = ask(&world, "http://name:5000/");
        assert_eq!(it.destinations[1].share, Some(0.0));
        assert!(!it.destinations[1].chosen && it.destinations[1].endpoints.is_empty());
        assert_eq!(it.destinations[1].to, "name.default.svc.cluster.local subset v2");
    }
}

#[test]
fn each_endpoint_is_listed_once_whatever_the_balancer() {
    for balancer in [LoadBalancer::RoundRobin, LoadBalancer::Random] {
        let mut world = sentences();
        world.pod("default", "name-v3", "10.1.0.4", &[("app", "name")]);
        let mut rule = destination_rule("name", "name", &[]);
        rule.policy.load_balancer = Some(balancer);
        world.destination_rules.push(rule);
        let it = ask(&world, "http://name:5000/");
        let pods: Vec<_> = it.destinations[0].endpoints.iter().filter_map(|one| one.pod.clone()).collect();
        assert_eq!(pods, ["default/name-v1", "default/name-v2", "default/name-v3"], "{balancer:?}");
        assert_eq!(it.destinations[0].endpoints.iter().filter(|one| one.chosen).count(), 1);
        assert!(!it.destinations[0].has_more);
    }
}

#[test]
fn many_endpoints_are_cut_and_said_to_be() {
    let mut world = sentences();
    for number in 0..60 {
        world.pod("default", &format!("name-{number}"), &format!("10.1.1.{number}"), &[("app", "name")]);
    }
    let it = ask(&world, "http://name:5000/");
    assert_eq!(it.destinations[0].endpoints.len(), 50);
    assert!(it.destinations[0].has_more);
}

#[test]
fn no_rule_that_matches_is_404_nr() {
    let mut world = canary();
    world.virtual_services[0].http.pop();
    let it = ask(&world, "http://name:5000/");
    assert_eq!((it.outcome.status, it.outcome.flag.as_deref()), (Some(404), Some("NR")));
    let route = it.route.unwrap();
    assert_eq!((route.entry, route.passed_over.len()), (None, 1));
}

#[test]
fn a_subset_that_nobody_defines_is_503_nc_and_the_rule_is_named() {
    let mut world = canary();
    world.virtual_services[0].http = vec![route(vec![to("name", Some("v9"), None)])];
    let it = ask(&world, "http://name:5000/");
    assert_eq!((it.outcome.status, it.outcome.flag.as_deref()), (Some(503), Some("NC")));
    assert_eq!(it.outcome.text, "503 NC: DestinationRule default/name has no subset v9");
    world.destination_rules.clear();
    let it = ask(&world, "http://name:5000/");
    assert!(it.outcome.text.ends_with("no DestinationRule defines subset v9 of name.default.svc.cluster.local"));
    world.virtual_services[0].http = vec![route(vec![to("nobody", None, None)])];
    let it = ask(&world, "http://name:5000/");
    assert!(it.outcome.text.contains("nobody.default.svc.cluster.local, which no Service has"), "{}", it.outcome.text);
}

#[test]
fn nothing_ready_is_503_uh_and_a_reset_for_tcp() {
    let mut world = sentences();
    world.pod_mut("name-v1").ready = false;
    world.pod_mut("name-v2").ready = false;
    let it = ask(&world, "http://name:5000/");
    assert_eq!((it.outcome.status, it.outcome.flag.as_deref()), (Some(503), Some("UH")));
    assert!(it.outcome.text.contains("has 2 endpoints, 0 of them ready"), "{}", it.outcome.text);
    let it = ask_tcp(&world, "name:5000");
    assert_eq!((it.outcome.end, it.outcome.status), (End::Reset, None));
    assert!(it.outcome.text.starts_with("connection reset (UH)"), "{}", it.outcome.text);
}

fn from_principal(principal: &str) -> Rule {
    Rule { from: vec![Source { principals: patterns(&[principal]), ..Source::default() }], ..Rule::default() }
}

#[test]
fn denials_name_policy_and_rule() {
    let mut world = sentences();
    let rules = vec![from_principal("*/sa/nobody"), from_principal("*/sa/a")];
    world.authorization_policies.push(authorization("no-a", Some("name"), Action::Deny, rules));
    let it = ask(&world, "http://name:5000/");
    assert_eq!((it.outcome.end, it.outcome.status), (End::Answered, Some(403)));
    assert_eq!(it.outcome.text, "403 RBAC: access denied (denied by policy default/no-a rule 1)");
    let server = &it.destinations[0].endpoints[0].server;
    assert_eq!((server.policy.as_deref(), server.rule), (Some("default/no-a"), Some(1)));
    let it = ask_tcp(&world, "name:5000");
    assert_eq!(it.outcome.end, End::Reset);
    world.authorization_policies[0].dry_run = true;
    let it = ask(&world, "http://name:5000/");
    assert_eq!(it.outcome.end, End::Delivered);
    let remarks = &it.destinations[0].endpoints[0].server.remarks;
    assert_eq!(*remarks, ["dry-run policy default/no-a would deny it"]);
}

#[test]
fn a_pod_outside_of_the_mesh_reaches_permissive_ports_and_not_strict_ones() {
    let mut world = sentences();
    world.pod_mut("a").enrolment = Enrolment::NotEnrolled("namespace is not labelled");
    let it = ask(&world, "http://name:5000/");
    assert_eq!(it.bypass.as_deref(), Some("pod default/a is not enrolled: namespace is not labelled"));
    assert_eq!(it.route, None);
    assert_eq!(it.outcome.end, End::Delivered);
    assert_eq!(it.destinations[0].endpoints.len(), 2, "the cluster network chooses among both");
    world.peer_authentications.push(peer_authentication("default", "strict", &[], Some(MtlsMode::Strict)));
    let it = ask(&world, "http://name:5000/");
    assert_eq!(it.outcome.text, "connection reset: PeerAuthentication is STRICT, and this arrives as plain text");
    assert_eq!(it.destinations[0].endpoints[0].server.mtls_mode.as_deref(), Some("STRICT"));
    // The same policy does not stand in the way of who speaks mTLS.
    world.pod_mut("a").enrolment = Enrolment::Enrolled;
    assert_eq!(ask(&world, "http://name:5000/").outcome.end, End::Delivered);
}

#[test]
fn exclusions_of_the_source_are_said() {
    let mut world = sentences();
    world.pod_mut("a").capture.exclude_outbound_ports = vec![5000];
    let why = ask(&world, "http://name:5000/").bypass.unwrap();
    assert_eq!(why, "annotation excludeOutboundPorts of default/a names port 5000");
    let capture = &mut world.pod_mut("a").capture;
    capture.exclude_outbound_ports.clear();
    capture.exclude_outbound_nets = vec!["10.96.0.0/16".parse().unwrap()];
    let why = ask(&world, "http://name:5000/").bypass.unwrap();
    assert_eq!(why, "annotation excludeOutboundIPRanges of default/a names 10.96.0.0/16");
    assert_eq!(ask(&world, "http://10.1.0.2:5000/").bypass, None);
    let capture = &mut world.pod_mut("a").capture;
    capture.exclude_outbound_nets.clear();
    capture.include_outbound_nets = vec!["10.1.0.0/16".parse().unwrap()];
    assert!(ask(&world, "http://name:5000/").bypass.is_some());
    assert_eq!(ask(&world, "http://10.1.0.2:5000/").bypass, None);
}

#[test]
fn plain_text_has_a_reason() {
    let reason = |world: &TestWorld| {
        let it = ask(world, "http://name:5000/");
        let endpoint = it.destinations[0].endpoints[0].clone();
        assert_eq!(endpoint.mtls, None);
        endpoint.secured_because
    };
    let mut world = sentences();
    world.pod_mut("name-v1").enrolment = Enrolment::NotEnrolled("it asked to be left alone");
    assert_eq!(reason(&world), "pod default/name-v1 is not enrolled: it asked to be left alone");
    let mut world = sentences();
    world.mesh.auto_mtls = false;
    assert!(reason(&world).starts_with("enableAutoMtls is off"));
    let mut world = sentences();
    world.peer_authentications.push(peer_authentication("default", "off", &[], Some(MtlsMode::Disable)));
    assert_eq!(reason(&world), "a PeerAuthentication sets port 5000 of default/name-v1 to DISABLE");
    let mut world = sentences();
    let mut rule = destination_rule("name", "name", &[]);
    rule.policy = with_tls(ClientTls::Disable);
    world.destination_rules.push(rule);
    assert_eq!(reason(&world), "DestinationRule default/name has tls.mode DISABLE for clients in default");
}

#[test]
fn mtls_that_nobody_answers_is_a_reset() {
    let mut world = sentences();
    let mut rule = destination_rule("name", "name", &[]);
    rule.policy = with_tls(ClientTls::IstioMutual);
    world.destination_rules.push(rule);
    for name in ["name-v1", "name-v2"] {
        world.pod_mut(name).enrolment = Enrolment::NotEnrolled("no label");
    }
    let it = ask(&world, "http://name:5000/");
    assert_eq!(it.outcome.text, "connection reset: the mTLS handshake fails, as nobody answers it there");
}

#[test]
fn a_port_declared_tcp_takes_a_request_as_bytes_and_says_so() {
    let mut world = canary();
    world.services[0].0.ports[0].protocol = AppProtocol::Tcp;
    let it = ask(&world, "http://name:5000/");
    assert!(!it.dialled.http);
    assert_eq!(it.route.unwrap().virtual_service, None, "HTTP routes do not apply");
    assert!(it.notes[0].contains("pass as bytes"), "{:?}", it.notes);
}

#[test]
fn a_port_that_the_service_lacks_is_said() {
    let it = ask(&sentences(), "http://name:5001/");
    assert_eq!(it.outcome.end, End::Reset);
    assert_eq!(it.notes, ["Service default/name has no port 5001; it has 5000"]);
}

#[test]
fn names_resolve_as_in_the_pod() {
    let mut world = sentences();
    world.pod("other", "b-0", "10.1.0.9", &[("app", "b")]);
    world.headless("other", "b", &[(80, 80)], &[("app", "b")]);
    world.service("default", "alias", "10.96.0.77", &[(80, 80)], &[]).resolution =
        Resolution::ExternalName("name.default.svc.cluster.local".into());
    let address = |to: &str| ask(&world, to).dialled.address.map(|address| address.to_string());
    for to in [
        "http://name:5000",
        "http://name.default:5000",
        "http://NAME.default.svc:5000/x",
        "http://name.default.svc.cluster.local.:5000",
    ] {
        assert_eq!(address(to).as_deref(), Some("10.96.0.10:5000"), "{to}");
    }
    assert_eq!(address("b.other").as_deref(), Some("10.1.0.9:80"));
    assert_eq!(address("b-0.b.other").as_deref(), Some("10.1.0.9:80"));
    assert_eq!(address("alias:5000").as_deref(), Some("10.96.0.10:5000"));
    assert_eq!(address("http://[::ffff:10.1.0.2]:5000").as_deref(), Some("10.1.0.2:5000"));
    assert_eq!(ask(&world, "http://10.1.0.2:5000").dialled.what, "address of pod default/name-v1");
    assert_eq!(refusal(&world, "http://nam:5000"), "no Service is named default/nam; there is default/name");
    assert_eq!(
        refusal(&world, "http://name.elsewhere.svc"),
        "no Service is named elsewhere/name; there is default/name"
    );
}

#[test]
fn aliases_in_a_circle_end() {
    let mut world = sentences();
    for (own, other) in [("x", "y"), ("y", "x")] {
        world.service("default", own, "10.96.0.70", &[(80, 80)], &[]).resolution =
            Resolution::ExternalName(fqdn("default", other));
    }
    assert!(refusal(&world, "http://x/").contains("more than 8 ExternalName"));
}

#[test]
fn services_without_address_say_what_to_do() {
    let mut world = sentences();
    world.headless("default", "empty", &[(80, 80)], &[("app", "nobody")]);
    world.service("default", "pending", "10.96.0.50", &[(80, 80)], &[]).vips.clear();
    assert!(refusal(&world, "http://empty/").contains("does its selector match"));
    assert!(refusal(&world, "http://pending/").contains("has no cluster IP"));
}

#[test]
fn the_world_outside_is_passed_through_or_refused() {
    let mut world = sentences();
    let it = ask(&world, "https://example.com/");
    assert_eq!(it.dialled.address, None, "weft does not ask resolvers");
    assert_eq!(it.destinations[0].endpoints[0].address, None);
    assert_eq!(it.destinations[0].to, "the address itself (PassthroughCluster)");
    assert_eq!(it.outcome.end, End::Delivered);
    world.mesh.outbound = OutboundPolicy::RegistryOnly;
    let it = ask(&world, "http://example.com/");
    assert_eq!(it.outcome.status, Some(502));
    assert!(it.outcome.text.contains("REGISTRY_ONLY"), "{}", it.outcome.text);
    assert_eq!(ask(&world, "https://example.com/").outcome.end, End::Reset);
}

#[test]
fn a_host_header_replaces_the_urls() {
    let mut world = canary();
    world.service("default", "front", "10.96.0.20", &[(5000, 5000)], &[("app", "a")]);
    let it = ask_with_header(&world, "http://front:5000/", "Host", "name:5000");
    assert_eq!(it.route.unwrap().virtual_service.as_deref(), Some("default/name"));
}

#[test]
fn unknown_pods_get_names_that_come_near() {
    let ask = |namespace: &str, name: &str| {
        let from = Named::new(namespace, name);
        explain(&sentences().snapshot(), &Question { from, ..question("http://name:5000/") }).unwrap_err()
    };
    let ExplainError::UnknownPod(message) = ask("default", "nmae-v1") else { panic!("another error") };
    assert_eq!(message, "there is no pod default/nmae-v1; there is default/name-v1");
    assert_eq!(ask("elsewhere", "a").to_string(), "there is no pod elsewhere/a; there is default/a");
    assert!(ask("default", "qqqqqqqq").to_string().contains("`weft status` lists"));
}

#[test]
fn destinations_are_read_as_people_write_them() {
    let parse = |text: &str, tcp: bool| Target::parse(text, tcp);
    let target = parse("http://name:5000/a?b=c#d", false).unwrap();
    assert_eq!((target.scheme, target.port), (Scheme::Http, 5000));
    assert_eq!((&*target.authority, &*target.path), ("name:5000", "/a?b=c"));
    let target = parse("name?x=1", false).unwrap();
    assert_eq!((target.port, &*target.path, &*target.host), (80, "/?x=1", "name"));
    assert_eq!(parse("https://name", false).unwrap().port, 443);
    let target = parse("[fd00::1]:90", true).unwrap();
    assert_eq!((target.scheme, &*target.host, target.port), (Scheme::Tcp, "fd00::1", 90));
    for (wrong, tcp) in [
        ("ftp://name", false),
        ("http://", false),
        ("name:0", false),
        ("name:99999", false),
        ("name", true),
        ("http://a@b", false),
    ] {
        let message = parse(wrong, tcp).unwrap_err().to_string();
        assert!(message.contains("write http://name:port/path"), "{wrong}: {message}");
    }
}

#[test]
fn the_first_address_of_the_sources_family_is_dialled() {
    let mut world = sentences();
    world.services[0].0.vips.insert(0, ip("fd00::10"));
    assert_eq!(ask(&world, "http://name:5000/").dialled.address.unwrap().to_string(), "10.96.0.10:5000");
    world.pod_mut("a").addresses = vec![ip("fd00::1")];
    assert_eq!(ask(&world, "http://name:5000/").dialled.address.unwrap().to_string(), "[fd00::10]:5000");
}
