//! The screen, from recorded answers.

use serde_json::json;

use super::{Overview, render};
use crate::{admin::status::Status, install::rollout::Rollout};

fn status(node: &str, pods: serde_json::Value, problems: serde_json::Value) -> Status {
    serde_json::from_value(json!({
        "node": node, "version": "0.1.0", "up_seconds": 250.0, "ready": node != "node-b",
        "missing": if node == "node-b" { vec!["pod default/slow is not captured yet"] } else { vec![] },
        "trust_domain": "cluster.local",
        "snapshot": {"version": 12, "read_seconds_ago": 3.0, "objects": 40},
        "pods": pods, "problems": problems,
    }))
    .unwrap()
}

fn pod(namespace: &str, name: &str, capture: serde_json::Value) -> serde_json::Value {
    json!({"namespace": namespace, "name": name, "enrolled": !capture.is_null(), "not_enrolled_because": null,
        "capture": capture, "identity": "spiffe://cluster.local/ns/default/sa/a", "certificate": null})
}

fn overview() -> Overview {
    let problem = json!([{"severity": "warning", "file": "", "line": null, "object": "VirtualService default/name",
        "field": "spec.http[0].timeout", "message": "is not enforced yet", "next_step": ""}]);
    let proven = json!({"state": "proven", "seconds_ago": 5.0});
    let failed = json!({"state": "failed", "reason": "no such network namespace"});
    Overview {
        control: Some(Rollout { is_observed: true, wanted: 2, ready: 2, ..Rollout::default() }),
        agents: Some(Rollout {
            is_observed: true,
            wanted: 3,
            ready: 2,
            reasons: vec!["weft-agent-x on node-c: ImagePullBackOff".to_owned()],
            on_dead_nodes: 0,
        }),
        nodes: vec![
            status(
                "node-a",
                json!([
                    pod("default", "sentences-v1-5c4d8b7f9c-abcde", proven),
                    pod("kube-system", "dns", json!(null))
                ]),
                problem.clone(),
            ),
            status("node-b", json!([pod("default", "slow", failed)]), problem),
        ],
    }
}

#[test]
fn one_screen_says_how_the_mesh_is() {
    let text = render(&overview());
    assert_eq!(
        text,
        "\
CONTROL   2 of 2 replicas available
AGENTS    2 of 3 nodes ready

weft-agent-x on node-c: ImagePullBackOff

NODE     READY   VERSION   SNAPSHOT          PODS   CAPTURED   PROBLEMS   UP
node-a   yes     0.1.0     12, read 3s ago   2      1/1        1          4m10s
node-b   no      0.1.0     12, read 3s ago   1      0/1        1          4m10s

NAMESPACE    PODS   ENROLLED   CAPTURED
default      2      2          1
(1 others)   1      0          0

NOT READY
node-b: pod default/slow is not captured yet

PODS IN TROUBLE
default/slow: capture failed: no such network namespace

PROBLEMS
warning: VirtualService default/name: spec.http[0].timeout: is not enforced yet
"
    );
    assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
}

#[test]
fn what_is_not_installed_is_said() {
    let text = render(&Overview { control: None, agents: None, nodes: Vec::new() });
    assert!(text.starts_with("CONTROL   not installed: run `weft install`\nAGENTS    not installed"), "{text}");
}
