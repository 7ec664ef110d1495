//! The control plane of the mesh gone: running traffic does not need it, and new identities are given as soon as it is back.

use std::time::Duration;

use anyhow::{Result, ensure};
use weft_cluster_tests::manifests::multitool_on;
use weft_cluster_tests::{
    CONTROL, PATIENCE, SYSTEM, alone, eventually, kubectl, system_pods, two_nodes, wait_rollout_of,
};

use super::{RATE, Town, figure};

const DEPLOYMENT: &str = "deployment/weft-control";

#[test]
fn traffic_flows_without_a_control_plane() -> Result<()> {
    let _alone = alone();
    let town = Town::enrolled("control")?;
    town.strict_inside()?;
    let [_, there] = two_nodes()?;
    let object = weft_cluster_tests::object(&["--namespace", SYSTEM, "get", DEPLOYMENT])?;
    let replicas = object["spec"]["replicas"].as_u64().unwrap_or(1);
    let load = town.sentences.load(RATE);
    kubectl(&["--namespace", SYSTEM, "scale", DEPLOYMENT, "--replicas=0"])?;
    eventually(PATIENCE, || {
        ensure!(system_pods(CONTROL)?.is_empty(), "the control plane still runs");
        Ok(())
    });
    std::thread::sleep(Duration::from_secs(10));
    // A pod of an identity that nobody has given yet, on a node that never had it.
    town.namespace.kubectl(&["create", "serviceaccount", "late"])?;
    let late = multitool_on("late", &there.name).replace("    spec:\n", "    spec:\n      serviceAccountName: late\n");
    let made = town.namespace.apply(&late);
    println!("figure: a new pod without a control plane: {}", if made.is_ok() { "made" } else { "refused" });
    let failed = figure("control plane away", &load.finish());
    assert_eq!(failed, 0);

    kubectl(&["--namespace", SYSTEM, "scale", DEPLOYMENT, &format!("--replicas={replicas}")])?;
    wait_rollout_of(DEPLOYMENT)?;
    if made.is_err() {
        town.namespace.apply(&late)?;
    }
    town.namespace.wait_rollout()?;
    let pod = town.namespace.pod("app=late")?;
    eventually(PATIENCE, || {
        let status = pod.status("http://name:5000/")?;
        ensure!(status == 200, "the new identity is not accepted: {status}");
        Ok(())
    });
    town.namespace.passed()
}

/// Control pods that are deleted cost nothing, and identities that nobody has given yet are given right after.
#[test]
fn a_control_pod_that_is_deleted_comes_back() -> Result<()> {
    let _alone = alone();
    let town = Town::enrolled("control-deleted")?;
    town.strict_inside()?;
    let load = town.sentences.load(RATE);
    for pod in system_pods(CONTROL)? {
        pod.delete()?;
    }
    wait_rollout_of(DEPLOYMENT)?;
    for node in two_nodes()? {
        let name = format!("early-{}", node.name);
        town.namespace.kubectl(&["create", "serviceaccount", &name])?;
        let account = format!("    spec:\n      serviceAccountName: {name}\n");
        let pod = multitool_on(&name, &node.name).replace("    spec:\n", &account);
        // Admission may still be on its way back.
        eventually(PATIENCE, || town.namespace.apply(&pod));
        town.namespace.wait_rollout_of(&format!("deployment/{name}"))?;
        let pod = town.namespace.pod(&format!("app={name}"))?;
        eventually(PATIENCE, || {
            let status = pod.status("http://name:5000/")?;
            ensure!(status == 200, "{name}: {status}");
            Ok(())
        });
    }
    assert_eq!(figure("control pods deleted", &load.finish()), 0);
    town.namespace.passed()
}
