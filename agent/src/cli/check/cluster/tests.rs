//! Checks of recorded answers.

use k8s_openapi::api::core::v1::Node;
use serde_json::json;

use super::{mesh, server};
use crate::{
    admin::status::Status,
    cli::check::{State, render},
};

fn node(name: &str, kernel: &str, ready: &str) -> Node {
    serde_json::from_value(json!({
        "metadata": {"name": name},
        "status": {
            "conditions": [{"type": "Ready", "status": ready, "message": "container runtime network not ready"}],
            "nodeInfo": {"kernelVersion": kernel, "operatingSystem": "linux", "architecture": "amd64", "bootID": "",
                "containerRuntimeVersion": "", "kernelVersion": kernel, "kubeProxyVersion": "", "kubeletVersion": "",
                "machineID": "", "osImage": "", "systemUUID": ""},
        },
    }))
    .unwrap()
}

#[test]
fn old_kernels_and_nodes_without_a_network_are_named() {
    let good = [node("a", "6.1.0-18-amd64", "True"), node("b", "5.18.0", "True")];
    let row = server::kernels(&good);
    assert_eq!((row.state, &*row.found), (State::Ok, "5.18.0 and later"));
    assert_eq!(server::ready(&good).found, "2 ready, with a pod network");
    let bad = [node("a", "5.18.0", "True"), node("b", "4.19.0", "False"), node("c", "5.4.0", "False")];
    let row = server::kernels(&bad);
    assert_eq!((row.state, &*row.found), (State::Missing, "node b: Linux 4.19.0 (and 1 more)"));
    assert_eq!(row.detail, "node b: Linux 4.19.0\nnode c: Linux 5.4.0");
    let row = server::ready(&bad);
    assert_eq!(row.state, State::Warn, "installing goes on with the others");
    assert_eq!(row.found, "node b: container runtime network not...");
    let network = "container runtime network not ready";
    assert_eq!(row.detail, format!("node b: {network}\nnode c: {network}"));
}

fn status(node: &str, version: &str, age: f64, capture: serde_json::Value) -> Status {
    serde_json::from_value(json!({
        "node": node, "version": version, "up_seconds": 1.0, "ready": true, "missing": [],
        "trust_domain": "cluster.local",
        "snapshot": {"version": 1, "read_seconds_ago": age, "objects": 1},
        "pods": [{"namespace": "default", "name": node, "enrolled": true, "not_enrolled_because": null,
            "capture": capture, "identity": "", "certificate": null}],
        "problems": [{"severity": "error", "file": "", "line": null, "object": "VirtualService default/x",
            "field": null, "message": "wrong", "next_step": ""}],
    }))
    .unwrap()
}

#[test]
fn agents_are_compared_with_one_another_and_with_the_clock() {
    let proven = json!({"state": "proven", "seconds_ago": 1.0});
    let statuses = [status("a", "0.1.0", 2.0, proven), status("b", "0.2.0", 300.0, json!(null))];
    let rows = [mesh::agreement(&statuses), mesh::pods(&statuses)].concat();
    let found: Vec<(State, &str)> = rows.iter().map(|row| (row.state, &*row.found)).collect();
    assert_eq!(
        found,
        [
            (State::Warn, "2 versions"),
            (State::Missing, "node b: read 5m0s ago"),
            (State::Missing, "pod default/b"),
            (State::Missing, "error: VirtualService default/x: wrong"),
        ]
    );
    let (text, is_fine) = render(&rows);
    assert!(!is_fine);
    assert!(text.contains("0.1.0 on a\n    0.2.0 on b\n"), "{text}");
    let rows = [mesh::agreement(&statuses[..1]), mesh::pods(&[])].concat();
    assert!(rows.iter().all(|row| row.state == State::Ok), "{rows:?}");
}
