//! Agents by their pods.

use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use super::one_per_node;

fn pod(name: &str, node: Option<&str>, born: &str, is_ready: bool, is_ending: bool) -> Pod {
    let ready = if is_ready { "True" } else { "False" };
    serde_json::from_value(json!({
        "metadata": {"name": name, "creationTimestamp": born,
            "deletionTimestamp": is_ending.then_some("2026-01-02T00:00:00Z")},
        "spec": {"nodeName": node, "containers": []},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }))
    .unwrap()
}

#[test]
fn of_two_agents_on_a_node_the_ready_one_answers_then_the_younger() {
    let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z");
    let pods = [
        pod("a-new", Some("a"), late, false, false),
        pod("a-old", Some("a"), early, true, false),
        pod("b-new", Some("b"), late, true, false),
        pod("b-old", Some("b"), early, true, false),
        pod("c-new", Some("c"), late, false, false),
        pod("c-old", Some("c"), early, true, true),
        pod("waiting", None, late, false, false),
    ];
    let found = one_per_node(&pods);
    let found: Vec<(&str, &str)> = found.iter().map(|(node, pod)| (&**node, &**pod)).collect();
    assert_eq!(found, [("a", "a-old"), ("b", "b-new"), ("c", "c-new")]);
}
