use weft_model::{
    policy::{Condition, ConditionKey},
    workload::Named,
};

use super::*;

fn convert_text(spec: &str) -> (AuthorizationPolicy, Findings) {
    let meta = Meta { name: Named::new("shop", "p"), created: 0, annotations: Default::default() };
    let mut findings = Findings::default();
    let spec = serde_yaml_ng::from_str(spec).unwrap();
    (convert(&meta, &spec, &mut findings), findings)
}

fn errors(spec: &str) -> Vec<String> {
    convert_text(spec).1.errors.iter().map(|one| one.path.to_string()).collect()
}

#[test]
fn an_empty_policy_allows_nothing() {
    let (policy, findings) = convert_text("{}");
    assert_eq!((policy.action, policy.rules.len(), policy.selector), (Action::Allow, 0, None));
    assert_eq!(findings, Findings::default());
    let (policy, _) = convert_text("{action: DENY, rules: [{}], selector: {matchLabels: {app: a}}}");
    assert_eq!(policy.rules, [Rule::default()]);
    assert_eq!(policy.selector.map(|labels| labels.len()), Some(1));
}

#[test]
fn every_list_of_a_source_and_operation_arrives() {
    let (policy, findings) = convert_text(
        "rules: [{from: [{source: {
            principals: ['*/sa/a'], notPrincipals: [b], namespaces: ['prod-*'], notNamespaces: ['*'],
            serviceAccounts: [a, other/b], notServiceAccounts: [c], ipBlocks: [10.0.0.0/8, '::1'],
            notIpBlocks: [10.1.0.0/16], remoteIpBlocks: [1.2.3.4], notRemoteIpBlocks: [4.3.2.1]}}],
          to: [{operation: {hosts: [Example.COM], notHosts: ['*.x'], ports: ['80'], notPorts: ['81'],
            methods: [GET], notMethods: [POST], paths: ['/a/{*}/b', '/x*'], notPaths: ['/{**}']}}]}]",
    );
    assert_eq!(findings, Findings::default());
    let exact = |text: &str| Pattern::Exact(text.into());
    let net = |text: &str| text.parse().unwrap();
    let source = Source {
        principals: vec![Pattern::Suffix("/sa/a".into())],
        not_principals: vec![exact("b")],
        namespaces: vec![Pattern::Prefix("prod-".into())],
        not_namespaces: vec![Pattern::Present],
        service_accounts: vec![exact("shop/a"), exact("other/b")],
        not_service_accounts: vec![exact("shop/c")],
        ip_blocks: vec![net("10.0.0.0/8"), net("::1/128")],
        not_ip_blocks: vec![net("10.1.0.0/16")],
        remote_ip_blocks: vec![net("1.2.3.4/32")],
        not_remote_ip_blocks: vec![net("4.3.2.1/32")],
        ..Source::default()
    };
    let operation = Operation {
        hosts: vec![exact("example.com")],
        not_hosts: vec![Pattern::Suffix(".x".into())],
        ports: vec![80],
        not_ports: vec![81],
        methods: vec![exact("GET")],
        not_methods: vec![exact("POST")],
        paths: vec![PathPattern::Template("/a/{*}/b".into()), PathPattern::Plain(Pattern::Prefix("/x".into()))],
        not_paths: vec![PathPattern::Template("/{**}".into())],
    };
    assert_eq!(policy.rules, [Rule { from: vec![source], to: vec![operation], when: vec![] }]);
}

#[test]
fn conditions_have_their_key_and_networks() {
    let (policy, findings) = convert_text(
        "rules: [{when: [{key: 'request.headers[X-User]', values: [a]}, {key: source.ip, notValues: [10.0.0.0/8]},
          {key: source.serviceAccount, values: [a]}]}]",
    );
    assert_eq!(findings, Findings::default());
    let condition = |key, values| Condition { key, values, not_values: vec![], nets: vec![], not_nets: vec![] };
    let mut by_ip = condition(ConditionKey::SourceIp, vec![]);
    by_ip.not_nets.push("10.0.0.0/8".parse().unwrap());
    let expected = [
        condition(ConditionKey::RequestHeader("x-user".into()), vec![Pattern::Exact("a".into())]),
        by_ip,
        condition(ConditionKey::SourceServiceAccount, vec![Pattern::Exact("shop/a".into())]),
    ];
    assert_eq!(policy.rules[0].when, expected);
}

#[test]
fn what_would_match_more_than_it_says_is_refused() {
    assert_eq!(errors("rules: [{from: [{source: {}}]}]"), ["spec.rules[0].from[0]"]);
    assert_eq!(errors("rules: [{from: [{}]}]"), ["spec.rules[0].from[0]"]);
    assert_eq!(errors("rules: [{to: [{operation: {}}]}]"), ["spec.rules[0].to[0]"]);
    for list in ["principals", "serviceAccounts", "ipBlocks", "notNamespaces"] {
        assert_eq!(errors(&format!("rules: [{{from: [{{source: {{{list}: []}}}}]}}]")).len(), 1, "{list}");
    }
    for list in ["ports", "paths", "hosts", "notMethods"] {
        assert_eq!(errors(&format!("rules: [{{to: [{{operation: {{{list}: []}}}}]}}]")).len(), 1, "{list}");
    }
    assert_eq!(errors("rules: [{when: [{key: source.ip}]}]"), ["spec.rules[0].when[0]"]);
    assert_eq!(errors("targetRefs: [{kind: Service, name: a}]"), ["spec.targetRefs"]);
    assert_eq!(errors("rules: [{to: [{operation: {paths: ['/{id}', '/{*}/*']}}]}]").len(), 2);
    assert_eq!(errors("rules: [{from: [{source: {serviceAccounts: ['a*']}}]}]").len(), 1);
}

#[test]
fn custom_denies_what_it_matches_and_says_so() {
    let (policy, findings) = convert_text("{action: CUSTOM, provider: {name: opa}, rules: [{}]}");
    assert_eq!(policy.action, Action::Deny);
    assert_eq!(findings.warnings.len(), 1);
}
