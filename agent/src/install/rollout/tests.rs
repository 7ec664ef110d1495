//! What statuses and events come to, from documents as an API server gives them.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Event, Pod};
use serde_json::{Value, json};

use super::{Rollout, complaint, is_of};

fn pod(name: &str, node: Option<&str>, status: Value) -> Pod {
    let spec = json!({"nodeName": node, "containers": []});
    serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec, "status": status})).unwrap()
}

fn container(state: Value, last: Value, ready: bool) -> Value {
    json!({"containerStatuses": [{"name": "agent", "image": "x", "imageID": "", "ready": ready, "restartCount": 3,
        "state": state, "lastState": last}]})
}

fn event(about: &str, message: &str) -> Event {
    serde_json::from_value(json!({"metadata": {}, "involvedObject": {"name": about}, "message": message})).unwrap()
}

#[test]
fn a_pods_status_says_why() {
    let died = json!({"terminated": {"exitCode": 1, "reason": "Error",
        "message": "weft: cannot attach:\n  no BTF in this kernel\n"}});
    let cases = [
        (
            container(json!({"waiting": {"reason": "ErrImagePull", "message": "not found"}}), json!({}), false),
            Some("ErrImagePull: not found"),
        ),
        (
            container(
                json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting"}}),
                died.clone(),
                false,
            ),
            Some("CrashLoopBackOff: ended with code 1 (Error): weft: cannot attach: no BTF in this kernel"),
        ),
        (container(json!({"waiting": {"reason": "ContainerCreating"}}), json!({}), false), None),
        (
            container(json!({"running": {}}), died.clone(), false),
            Some("restarted 3 times, last ended with code 1 (Error): weft: cannot attach: no BTF in this kernel"),
        ),
        (container(json!({"running": {}}), died, true), None),
        (
            json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/2 nodes are available"}]}),
            Some("not scheduled: 0/2 nodes are available"),
        ),
        (json!({"phase": "Failed", "reason": "Evicted", "message": "low on memory"}), Some("Evicted: low on memory")),
        (json!({"phase": "Pending"}), None),
    ];
    for (status, expected) in cases {
        assert_eq!(complaint(&pod("p", Some("a"), status.clone())).as_deref(), expected, "{status}");
    }
}

#[test]
fn reasons_name_pod_and_node_and_dead_nodes_are_not_waited_for() {
    let pods = [
        pod("ok", Some("a"), json!({"conditions": [{"type": "Ready", "status": "True"}]})),
        pod("stuck", Some("b"), json!({"phase": "Pending"})),
        pod("lost", Some("c"), json!({"phase": "Running"})),
    ];
    let events = [event("stuck", "old"), event("other", "x"), event("stuck", "FailedMount: no such\n directory")];
    let mut rollout = Rollout { is_observed: true, wanted: 3, ready: 1, ..Rollout::default() };
    rollout.add_reasons(&pods, &BTreeSet::from(["c".to_owned()]), &events);
    assert_eq!(
        rollout.reasons,
        ["stuck on b: FailedMount: no such directory", "node c is not ready: its pod starts when it is"]
    );
    assert!(!rollout.is_done(), "b is up");
    rollout.ready = 2;
    assert!(rollout.is_done(), "all but the dead one");
    rollout.is_observed = false;
    assert!(!rollout.is_done(), "the figures are of an earlier form");
}

#[test]
fn an_event_is_about_an_object_or_what_was_made_for_it() {
    assert!(is_of("weft-control", "weft-control") && is_of("weft-control-5d4f8c7b9", "weft-control"));
    assert!(!is_of("weft-controller", "weft-control"));
}
