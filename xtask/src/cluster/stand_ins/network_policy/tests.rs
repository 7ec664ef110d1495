//! What policies mean for the pods of a node.

use serde_json::{Value, json};

use super::*;

fn pod(name: &str, namespace: &str, node: &str, ip: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {"nodeName": node, "containers": [{"ports": [{"name": "http", "containerPort": 5000}]}]},
        "status": {"phase": "Running", "podIPs": [{"ip": ip}]},
    })
}

fn pods() -> Vec<Value> {
    vec![
        pod("name", "a", "node-1", "10.0.1.1"),
        pod("age", "a", "node-2", "10.0.2.1"),
        pod("age", "b", "node-1", "10.0.1.2"),
    ]
}

fn namespaces() -> Vec<Value> {
    ["a", "b"].map(|name| json!({"metadata": {"name": name, "labels": {"team": name}}})).to_vec()
}

fn policy(spec: Value) -> Value {
    json!({"metadata": {"name": "p", "namespace": "a"}, "spec": spec})
}

/// The rules of node-1 under one policy.
fn rules(spec: Value) -> String {
    Cluster::new(&[policy(spec)], &pods(), &namespaces()).rules_of("node-1")
}

fn name_is_selected(ingress: Value) -> String {
    rules(json!({"podSelector": {"matchLabels": {"app": "name"}}, "policyTypes": ["Ingress"], "ingress": ingress}))
}

#[test]
fn a_pod_that_no_policy_selects_has_no_rules() {
    assert_eq!(rules(json!({"podSelector": {"matchLabels": {"app": "other"}}})), "");
    assert_eq!(script(""), "table inet weft-cluster-policy\ndelete table inet weft-cluster-policy\n");
}

#[test]
fn a_policy_without_rules_drops_everything_that_comes_in() {
    let rules = rules(json!({"podSelector": {}}));
    assert!(rules.contains("ip daddr 10.0.1.1 jump pod-0-ingress"), "{rules}");
    assert!(rules.contains(" chain pod-0-ingress {\n  ip saddr 10.0.1.1 return\n  drop\n }"), "{rules}");
    assert!(!rules.contains("10.0.1.2"), "another namespace: {rules}");
    assert!(!rules.contains("egress"), "{rules}");
}

#[test]
fn peers_are_of_the_policys_namespace_unless_it_selects_others() {
    let own = name_is_selected(
        json!([{"from": [{"podSelector": {"matchLabels": {"app": "age"}}}], "ports": [{"port": 5000}]}]),
    );
    assert!(own.contains("ip saddr 10.0.2.1 tcp dport 5000 return"), "{own}");
    assert!(!own.contains("10.0.1.2"), "{own}");
    let selector = json!({"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["a"]}]});
    let others = name_is_selected(json!([{"from": [{"namespaceSelector": selector}]}]));
    assert!(others.contains("ip saddr 10.0.1.2 return") && !others.contains("10.0.2.1"), "{others}");
}

#[test]
fn an_empty_rule_allows_everything_and_an_empty_list_nothing() {
    assert!(name_is_selected(json!([{}])).contains("  meta nfproto { ipv4, ipv6 } return"));
    assert!(!name_is_selected(json!([])).contains("nfproto"));
}

#[test]
fn networks_ports_and_protocols() {
    let block = json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.9.0.0/16"]}});
    let ports =
        json!([{"port": "http"}, {"protocol": "UDP", "port": 53, "endPort": 54}, {"protocol": "SCTP"}, {"port": "no"}]);
    let rules = name_is_selected(json!([{"from": [block], "ports": ports}]));
    let place = "ip saddr 10.0.0.0/8 ip saddr != { 10.9.0.0/16 }";
    for port in ["tcp dport 5000", "udp dport 53-54", "meta l4proto sctp"] {
        assert!(rules.contains(&format!("{place} {port} return")), "{port}: {rules}");
    }
    assert_eq!(rules.matches(place).count(), 3, "a name that no port has allows nothing: {rules}");
}

#[test]
fn what_goes_out_is_judged_by_the_receivers_port() {
    let to = json!([{"to": [{"podSelector": {"matchLabels": {"app": "age"}}}], "ports": [{"port": "http"}]}]);
    let rules = rules(json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": to}));
    assert!(rules.contains("ip saddr 10.0.1.1 jump pod-0-egress"), "{rules}");
    assert!(rules.contains("ip daddr 10.0.2.1 tcp dport 5000 return"), "{rules}");
    assert!(!rules.contains("ingress"), "{rules}");
}

#[test]
fn the_nodes_own_pods_have_no_rules_and_are_no_peers() {
    let mut all = pods();
    all[1]["spec"]["hostNetwork"] = json!(true);
    all[2]["status"]["phase"] = json!("Succeeded");
    let policies = [policy(json!({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {}}]}]}))];
    let rules = Cluster::new(&policies, &all, &namespaces()).rules_of("node-1");
    assert!(!rules.contains("10.0.2.1") && !rules.contains("10.0.1.2"), "{rules}");
}
