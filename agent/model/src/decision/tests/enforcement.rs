//! AuthorizationPolicy (K16, E06).

use super::*;
use crate::{
    identity::SpiffeId,
    policy::{Action, Condition, ConditionKey, Operation, PathPattern, Rule, Source},
    workload::Named,
};

/// Asks `name-v1` as `who` (a service account of `default`; `None` is plain text) and names what decided.
struct Asked<'a> {
    who: Option<&'a str>,
    method: &'a str,
    target: &'a str,
    port: u16,
    http: bool,
}

impl Default for Asked<'_> {
    fn default() -> Self {
        Self { who: Some("sentences"), method: "GET", target: "/", port: 5000, http: true }
    }
}

fn verdict(world: &TestWorld, asked: &Asked<'_>) -> Verdict {
    let snapshot = world.snapshot();
    let policy = InboundPolicy::for_workload(&snapshot, workload(&snapshot, "name-v1"));
    let principal = asked.who.map(|account| SpiffeId {
        trust_domain: "cluster.local".into(),
        namespace: "default".into(),
        service_account: account.into(),
    });
    let headers = headers(&[("x-test", "use-v2")]);
    let request = crate::request::Request { method: asked.method, ..get("Name:5000", asked.target, &headers) };
    policy.authorize(&InboundFacts {
        peer: ip("10.0.0.1"),
        principal: principal.as_ref(),
        destination: socket(&format!("10.0.1.1:{}", asked.port)),
        sni: None,
        request: asked.http.then_some(&request),
    })
}

fn access(world: &TestWorld, asked: Asked<'_>) -> Access {
    verdict(world, &asked).access
}

fn allowed(world: &TestWorld, asked: Asked<'_>) -> bool {
    access(world, asked).is_allowed()
}

fn from_principals(names: &[&str]) -> Vec<Source> {
    vec![Source { principals: patterns(names), ..Source::default() }]
}

fn paths(all: &[&str]) -> Vec<PathPattern> {
    patterns(all).into_iter().map(PathPattern::Plain).collect()
}

fn to_operation(methods: &[&str], path: &[&str]) -> Vec<Operation> {
    vec![Operation { methods: patterns(methods), paths: paths(path), ..Operation::default() }]
}

fn when(key: ConditionKey, values: &[&str], not_values: &[&str]) -> Rule {
    let nets = |all: &[&str]| all.iter().filter_map(|text| text.parse().ok()).collect();
    let condition = Condition {
        key,
        values: patterns(values),
        not_values: patterns(not_values),
        nets: nets(values),
        not_nets: nets(not_values),
    };
    Rule { when: vec![condition], ..Rule::default() }
}

fn with(action: Action, rules: Vec<Rule>) -> TestWorld {
    let mut world = sentences();
    world.authorization_policies.push(authorization("policy", Some("name"), action, rules));
    world
}

#[test]
fn k16_only_get_of_the_root_by_sentences() {
    let mut world = sentences();
    assert_eq!(access(&world, Asked::default()), Access::AllowedByDefault);
    let rule = Rule {
        from: from_principals(&["cluster.local/ns/default/sa/sentences"]),
        to: to_operation(&["GET"], &["/"]),
        when: vec![],
    };
    world.authorization_policies.push(authorization("name", Some("name"), Action::Allow, vec![rule]));
    let policy = Named::new("default", "name");
    let denied = Access::NotAllowed(policy.clone());
    assert_eq!(access(&world, Asked::default()), Access::AllowedBy(policy, 0));
    assert!(allowed(&world, Asked { target: "/?q=1", ..Asked::default() }), "no query in paths");
    assert_eq!(access(&world, Asked { target: "/choices", ..Asked::default() }), denied);
    assert_eq!(access(&world, Asked { method: "POST", ..Asked::default() }), denied);
    assert_eq!(access(&world, Asked { target: "/metrics", port: 8000, ..Asked::default() }), denied);
    assert_eq!(access(&world, Asked { who: Some("age"), ..Asked::default() }), denied);
    assert_eq!(access(&world, Asked { who: None, ..Asked::default() }), denied);
    assert_eq!(access(&world, Asked { port: 8000, http: false, ..Asked::default() }), denied, "Prometheus, too");
}

#[test]
fn policies_apply_by_namespace_root_and_selector() {
    let nothing = || authorization("allow-nothing", None, Action::Allow, vec![]);
    let mut world = sentences();
    world.authorization_policies.push(nothing());
    assert_eq!(access(&world, Asked::default()), Access::NotAllowed(Named::new("default", "allow-nothing")));
    for (namespace, selector, applies) in [
        ("default", Some("name"), true),
        ("default", Some("age"), false),
        ("istio-system", None, true),
        ("istio-system", Some("name"), true),
        ("istio-system", Some("age"), false),
        ("elsewhere", None, false),
    ] {
        world.authorization_policies = vec![nothing()];
        world.authorization_policies[0].name.namespace = namespace.into();
        world.authorization_policies[0].selector = selector.map(|app| labels(&[("app", app)]));
        assert_eq!(allowed(&world, Asked::default()), !applies, "{namespace} {selector:?}");
    }
}

#[test]
fn deny_comes_before_allow() {
    let mut world = with(Action::Allow, vec![Rule::default()]);
    assert_eq!(access(&world, Asked::default()), Access::AllowedBy(Named::new("default", "policy"), 0));
    let rules =
        vec![when(ConditionKey::DestinationPort, &["1"], &[]), when(ConditionKey::DestinationPort, &["5000"], &[])];
    world.authorization_policies.push(authorization("z-deny", None, Action::Deny, rules));
    assert_eq!(access(&world, Asked::default()), Access::DeniedBy(Named::new("default", "z-deny"), 1));
    assert!(allowed(&world, Asked { port: 8000, ..Asked::default() }));
}

#[test]
fn sources_are_conjunctions_of_choices() {
    let source = |source: Source| with(Action::Allow, vec![Rule { from: vec![source], ..Rule::default() }]);
    let nets = |text: &str| vec![text.parse().unwrap()];
    let cases: Vec<(&str, Source, bool, bool)> = vec![
        // what, source, as sentences over mTLS, in plain text
        ("none", Source::default(), true, true),
        ("principal", Source { principals: patterns(&["x", "*/sa/sentences"]), ..Source::default() }, true, false),
        ("any principal", Source { principals: patterns(&["*"]), ..Source::default() }, true, false),
        ("not principal", Source { not_principals: patterns(&["*/sa/sentences"]), ..Source::default() }, false, true),
        ("not any", Source { not_principals: patterns(&["*"]), ..Source::default() }, false, true),
        ("namespace", Source { namespaces: patterns(&["def*"]), ..Source::default() }, true, false),
        ("not namespace", Source { not_namespaces: patterns(&["default"]), ..Source::default() }, false, true),
        ("account", Source { service_accounts: patterns(&["default/sentences"]), ..Source::default() }, true, false),
        (
            "not account",
            Source { not_service_accounts: patterns(&["default/sentences"]), ..Source::default() },
            false,
            true,
        ),
        ("address", Source { ip_blocks: nets("10.0.0.0/24"), ..Source::default() }, true, true),
        ("other address", Source { ip_blocks: nets("10.0.1.0/24"), ..Source::default() }, false, false),
        ("not address", Source { not_ip_blocks: nets("10.0.0.1/32"), ..Source::default() }, false, false),
        ("remote", Source { remote_ip_blocks: nets("10.0.0.1/32"), ..Source::default() }, true, true),
        ("not remote", Source { not_remote_ip_blocks: nets("10.0.0.1/32"), ..Source::default() }, false, false),
        ("jwt", Source { request_principals: patterns(&["*"]), ..Source::default() }, false, false),
        ("no jwt", Source { not_request_principals: patterns(&["*"]), ..Source::default() }, true, true),
        (
            "both",
            Source { namespaces: patterns(&["default"]), ip_blocks: nets("10.9.0.0/16"), ..Source::default() },
            false,
            false,
        ),
    ];
    for (what, one, mutual, plain) in cases {
        let world = source(one);
        assert_eq!(allowed(&world, Asked::default()), mutual, "{what} over mTLS");
        assert_eq!(allowed(&world, Asked { who: None, ..Asked::default() }), plain, "{what} in plain text");
    }
}

#[test]
fn operations_are_conjunctions_of_choices() {
    let template = |text: &str| vec![PathPattern::Template(text.to_owned())];
    let cases: Vec<(Operation, bool)> = vec![
        (Operation { hosts: patterns(&["name:5000"]), ..Operation::default() }, true),
        (Operation { hosts: patterns(&["name:*"]), ..Operation::default() }, true),
        (Operation { hosts: patterns(&["name"]), ..Operation::default() }, false),
        (Operation { not_hosts: patterns(&["name:5000"]), ..Operation::default() }, false),
        (Operation { ports: vec![80, 5000], ..Operation::default() }, true),
        (Operation { ports: vec![80], ..Operation::default() }, false),
        (Operation { not_ports: vec![5000], ..Operation::default() }, false),
        (Operation { methods: patterns(&["G*"]), ..Operation::default() }, true),
        (Operation { not_methods: patterns(&["GET"]), ..Operation::default() }, false),
        (Operation { paths: paths(&["/a/*"]), ..Operation::default() }, true),
        (Operation { paths: paths(&["*/c"]), methods: patterns(&["POST"]), ..Operation::default() }, false),
        (Operation { not_paths: paths(&["/a/b/c"]), ..Operation::default() }, false),
        (Operation { paths: template("/a/{*}/c"), ..Operation::default() }, true),
        (Operation { paths: template("/{*}/c"), ..Operation::default() }, false),
        (Operation { paths: template("/a/{**}"), ..Operation::default() }, true),
    ];
    for (operation, want) in cases {
        let world = with(Action::Allow, vec![Rule { to: vec![operation.clone()], ..Rule::default() }]);
        assert_eq!(allowed(&world, Asked { target: "/x/../a/b/c?q", ..Asked::default() }), want, "{operation:?}");
    }
}

#[test]
fn conditions_look_at_every_attribute() {
    use ConditionKey::*;
    let header = |name: &str| RequestHeader(name.to_owned());
    for (key, values, not_values, want) in [
        (header("x-test"), &["use-*"][..], &[][..], true),
        (header("x-test"), &["other"], &[], false),
        (header("x-none"), &["*"], &[], false),
        (header("x-none"), &[], &["*"], true),
        (header("x-test"), &["*"], &["use-v2"], false),
        (SourceIp, &["10.0.0.0/8"], &[], true),
        (SourceIp, &["10.0.0.0/8"], &["10.0.0.1/32"], false),
        (RemoteIp, &["192.0.2.0/24"], &[], false),
        (SourceIp, &["not-a-network"], &[], false),
        (DestinationIp, &["10.0.1.1/32"], &[], true),
        (DestinationPort, &["80", "5000"], &[], true),
        (DestinationPort, &["80"], &[], false),
        (SourceNamespace, &["default"], &[], true),
        (SourcePrincipal, &["cluster.local/*"], &[], true),
        (SourcePrincipal, &[], &["*/sa/sentences"], false),
        (SourceServiceAccount, &["default/sentences"], &[], true),
        (ConnectionSni, &["*"], &[], false),
        (RequestAuth("claims[iss]".to_owned()), &["*"], &[], false),
        (RequestAuth("claims[iss]".to_owned()), &[], &["x"], true),
    ] {
        let world = with(Action::Allow, vec![when(key.clone(), values, not_values)]);
        assert_eq!(allowed(&world, Asked::default()), want, "{key:?} {values:?} not {not_values:?}");
    }
}

/// Rules that use a field only HTTP has, beside nothing else.
fn http_only_rules() -> Vec<Rule> {
    let operation = |operation| Rule { to: vec![operation], ..Rule::default() };
    let source = |source| Rule { from: vec![source], ..Rule::default() };
    vec![
        operation(Operation { methods: patterns(&["GET"]), ..Operation::default() }),
        operation(Operation { not_methods: patterns(&["POST"]), ..Operation::default() }),
        operation(Operation { hosts: patterns(&["*"]), ..Operation::default() }),
        operation(Operation { not_hosts: patterns(&["x"]), ..Operation::default() }),
        operation(Operation { paths: paths(&["/*"]), ..Operation::default() }),
        operation(Operation { not_paths: paths(&["/x"]), ..Operation::default() }),
        source(Source { request_principals: patterns(&["*"]), ..Source::default() }),
        source(Source { not_request_principals: patterns(&["*"]), ..Source::default() }),
        when(ConditionKey::RequestHeader("x-test".into()), &["*"], &[]),
        when(ConditionKey::RequestHeader("x-test".into()), &[], &["none"]),
        when(ConditionKey::RequestAuth("principal".into()), &["*"], &[]),
    ]
}

#[test]
fn on_tcp_http_only_fields_allow_nothing_and_deny_everything() {
    let tcp = || Asked { http: false, ..Asked::default() };
    for rule in http_only_rules() {
        assert!(!allowed(&with(Action::Allow, vec![rule.clone()]), tcp()), "ALLOW {rule:?}");
        assert!(!allowed(&with(Action::Deny, vec![rule.clone()]), tcp()), "DENY {rule:?}");
        let elsewhere =
            Rule { when: [rule.when, when(ConditionKey::DestinationPort, &["80"], &[]).when].concat(), ..rule };
        assert!(allowed(&with(Action::Deny, vec![elsewhere.clone()]), tcp()), "the rest still counts: {elsewhere:?}");
    }
    let by_port = Rule { to: vec![Operation { ports: vec![5000], ..Operation::default() }], ..Rule::default() };
    assert!(allowed(&with(Action::Allow, vec![http_only_rules().remove(0), by_port]), tcp()), "another rule may allow");
}

#[test]
fn audit_and_dry_run_report_and_enforce_nothing() {
    let mut world = with(Action::Audit, vec![Rule::default()]);
    let told = verdict(&world, &Asked::default());
    assert_eq!((told.access, told.audited.len()), (Access::AllowedByDefault, 1));

    let names = |world: &TestWorld, asked: &Asked<'_>| -> Vec<(String, bool)> {
        let told = verdict(world, asked);
        told.dry_run.iter().map(|(policy, would)| (policy.name.name.to_string(), *would)).collect()
    };
    let dry = |name: &str, action, rules| {
        let mut policy = authorization(name, None, action, rules);
        policy.dry_run = true;
        policy
    };
    let only_port_80 = || vec![when(ConditionKey::DestinationPort, &["80"], &[])];
    world.authorization_policies = vec![
        dry("deny-all", Action::Deny, vec![Rule::default()]),
        dry("deny-none", Action::Deny, vec![]),
        dry("allow-80", Action::Allow, only_port_80()),
        dry("allow-all", Action::Allow, vec![Rule::default()]),
        dry("audit", Action::Audit, vec![Rule::default()]),
    ];
    let told = verdict(&world, &Asked::default());
    assert_eq!((told.access, told.audited.len()), (Access::AllowedByDefault, 0));
    assert_eq!(names(&world, &Asked::default()), [("deny-all".to_owned(), false), ("allow-80".to_owned(), false)]);

    world.authorization_policies.push(authorization("enforced", None, Action::Allow, only_port_80()));
    assert_eq!(names(&world, &Asked::default()), [("allow-all".to_owned(), true)]);
    assert_eq!(names(&world, &Asked { port: 80, ..Asked::default() }), [("deny-all".to_owned(), false)]);
}

#[test]
fn trust_domain_aliases_stand_for_each_other() {
    let mut world = with(Action::Allow, vec![]);
    let mut allows = |own: &str, aliases: &[&str], pattern: &str| {
        world.mesh.trust_domain = own.into();
        world.mesh.trust_domain_aliases = aliases.iter().map(|alias| (*alias).into()).collect();
        world.authorization_policies[0].rules = vec![Rule { from: from_principals(&[pattern]), ..Rule::default() }];
        allowed(&world, Asked::default())
    };
    // The peer says cluster.local.
    assert!(allows("new.example", &["cluster.local"], "new.example/ns/default/sa/sentences"));
    assert!(allows("new.example", &["cluster.local", "old"], "old/ns/default/sa/sentences"));
    assert!(allows("cluster.local", &[], "cluster.local/ns/default/sa/sentences"));
    assert!(!allows("new.example", &[], "new.example/ns/default/sa/sentences"), "a stranger");
    assert!(!allows("new.example", &["cluster.local"], "third/ns/default/sa/sentences"));
}
