//! Addresses are given once, kept, given back, and lead to a node that can serve them.

use super::*;

const NETWORK: [u8; 3] = [172, 31, 0];

fn service(name: &str, spec: Value, ip: Option<&str>) -> Value {
    let status = ip.map_or(json!({"loadBalancer": {}}), |ip| json!({"loadBalancer": {"ingress": [{"ip": ip}]}}));
    json!({"metadata": {"namespace": "default", "name": name}, "spec": spec, "status": status})
}

fn balancer() -> Value {
    json!({"type": "LoadBalancer"})
}

fn node(number: u8, ready: &str) -> Value {
    let conditions = json!([{"type": "Ready", "status": ready}]);
    json!({"metadata": {"name": format!("node-{number}")}, "status": {"conditions": conditions}})
}

fn given(plan: &Plan) -> Vec<(&str, Option<String>)> {
    plan.changes.iter().map(|change| (change.name.as_str(), change.address.map(|a| a.to_string()))).collect()
}

#[test]
fn the_first_free_address_is_given_and_kept() {
    let services = [
        service("a", balancer(), None),
        service("b", balancer(), Some("172.31.0.1")),
        service("c", json!({"type": "ClusterIP"}), None),
    ];
    let plan = plan(NETWORK, &services);
    assert_eq!(given(&plan), [("a", Some("172.31.0.2".to_owned()))]);
    assert_eq!(plan.addresses.len(), 2);
}

#[test]
fn a_wish_is_granted_where_it_is_possible() {
    let wish = |ip: &str| json!({"type": "LoadBalancer", "loadBalancerIP": ip});
    let services = [
        service("a", wish("172.31.0.77"), None),
        service("b", wish("172.31.0.77"), None),
        service("c", wish("8.8.8.8"), None),
    ];
    let expected = [("a", "172.31.0.77"), ("b", "172.31.0.1"), ("c", "172.31.0.2")];
    assert_eq!(given(&plan(NETWORK, &services)), expected.map(|(name, ip)| (name, Some(ip.to_owned()))));
}

#[test]
fn a_service_that_is_no_balancer_any_more_gives_its_address_back() {
    let plan = plan(NETWORK, &[service("a", json!({"type": "ClusterIP"}), Some("172.31.0.1"))]);
    assert_eq!(given(&plan), [("a", None)]);
    assert_eq!(plan.changes[0].patch(), json!({"status": {"loadBalancer": {"ingress": null}}}));
    assert!(plan.addresses.is_empty());
}

#[test]
fn other_controllers_services_are_left_alone() {
    let class = json!({"type": "LoadBalancer", "loadBalancerClass": "example.com/other"});
    assert_eq!(
        plan(NETWORK, &[service("a", class.clone(), None), service("b", class, Some("1.2.3.4"))]),
        Plan::default()
    );
}

#[test]
fn traffic_goes_to_a_ready_node_that_may_serve() {
    let local = json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local"});
    let plan = plan(NETWORK, &[service("any", balancer(), None), service("local", local, None)]);
    let endpoint = |node: &str, ready: bool| json!({"nodeName": node, "conditions": {"ready": ready}});
    let slice = json!({
        "metadata": {"namespace": "default", "labels": {"kubernetes.io/service-name": "local"}},
        "endpoints": [endpoint("node-2", false), endpoint("node-3", true)],
    });
    let nodes = [node(1, "Unknown"), node(2, "True"), node(3, "True")];
    let routes = routes(&plan, &nodes, &[slice]);
    let expected = [("172.31.0.1", 2), ("172.31.0.2", 3)].map(|(ip, node)| (ip.parse().unwrap(), node));
    assert_eq!(routes, expected.into());
    assert!(super::routes(&plan, &nodes, &[]).len() == 1, "no endpoint, no way");
}
