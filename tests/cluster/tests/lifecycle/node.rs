//! A node whose plug is pulled: its pods come back into the mesh before they speak, and nobody speaks to them before.

use std::time::Duration;

use anyhow::{Result, ensure};
use weft_cluster_tests::manifests::{STRICT, all, mirror, pinned};
use weft_cluster_tests::{Namespace, alone, eventually, rig, two_nodes};

/// How long everything of a node may take to be there again.
const BACK: Duration = Duration::from_secs(180);

/// A pod that asks a strict server from its first moment on, and logs curl's exit code and the status each time.
fn impatient(node: &str) -> String {
    format!(
        r#"
apiVersion: apps/v1
kind: Deployment
metadata:
  name: impatient
  labels: {{app: impatient}}
spec:
  selector:
    matchLabels: {{app: impatient}}
  template:
    metadata:
      labels: {{app: impatient}}
    spec:
      terminationGracePeriodSeconds: 0
      nodeSelector: {{kubernetes.io/hostname: {node}}}
      containers:
      - name: impatient
        image: praqma/network-multitool
        command:
        - sh
        - -c
        - while true; do curl -s -o /dev/null -m 2 -w 'asked %{{exitcode}} %{{http_code}}\n' http://web/; sleep 0.1; done
"#
    )
}

#[test]
fn a_node_that_reboots_has_its_pods_in_the_mesh_before_they_speak() -> Result<()> {
    let _alone = alone();
    let (namespace, outside) = (Namespace::enrolled("node-reboot")?, Namespace::plain("node-stranger")?);
    let [here, there] = two_nodes()?;
    let server = pinned(&mirror("web", ""), "app: web", &here.name);
    let reborn = pinned(&mirror("reborn", ""), "app: reborn", &there.name);
    namespace.apply(&all(&[STRICT, &server, &reborn, &impatient(&there.name)]))?;
    namespace.wait_rollout()?;
    let stranger_yaml = weft_cluster_tests::manifests::multitool_on("stranger", &here.name);
    outside.apply(&stranger_yaml)?;
    outside.wait_rollout()?;
    let stranger = outside.pod("app=stranger")?;
    let before = namespace.pod("app=impatient")?.restarts()?;

    // A stranger asks in plain text all the time: it must never get an answer.
    let load = stranger.load(&format!("http://reborn.{}/", namespace.name()), 20)?;
    rig::reboot(&there)?;
    eventually(BACK, || {
        let pod = namespace.pods("app=impatient")?;
        ensure!(pod.len() == 1 && pod[0].restarts()? > before, "the node's pods have not been started again");
        let log = pod[0].logs()?;
        ensure!(log.lines().filter(|line| *line == "asked 0 200").count() >= 20, "not in the mesh yet:\n{log}");
        Ok(())
    });
    let log = namespace.pod("app=impatient")?.logs()?;
    let plain = log.lines().filter(|line| line.starts_with("asked 56") || line.starts_with("asked 52")).count();
    println!("figure: first words of a pod after the reboot: {:?}", log.lines().take(8).collect::<Vec<_>>());
    assert_eq!(plain, 0, "the pod spoke plain text, which strict reset, before it was in the mesh:\n{log}");

    eventually(BACK, || {
        let pod = namespace.pod("app=reborn")?;
        stranger.ensure_captured(&pod, true)
    });
    std::thread::sleep(Duration::from_secs(3));
    let answers = load.finish()?;
    let let_in = answers.count(|response| response.status == 200);
    println!("figure: a stranger during the reboot: {:?}", answers.summary());
    assert_eq!(let_in, 0, "plain text was answered by a strict server: {:?}", answers.summary());
    outside.passed()?;
    namespace.passed()
}
