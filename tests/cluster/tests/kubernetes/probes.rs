//! Kubelet probes of all kinds reach the application and mean what it answers, whatever the mesh asks of everybody else.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use weft_cluster_tests::manifests::{DENY_ALL, STRICT, all, pinned};
use weft_cluster_tests::{Namespace, PATIENCE, Pod, eventually, two_nodes};

/// Several periods of every probe, and as many as make a kubelet restart a container.
const WATCHED: Duration = Duration::from_secs(8);

/// A server whose startup, liveness and readiness are this one probe, every second.
fn probed(name: &str, command: &str, probe: &str) -> String {
    format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  labels: {{app: {name}}}
spec:
  selector:
    matchLabels: {{app: {name}}}
  template:
    metadata:
      labels: {{app: {name}}}
    spec:
      containers:
      - name: server
        image: michaelvl/sentences:latest
        command: [{command}]
        startupProbe: {{{probe}, periodSeconds: 1, failureThreshold: 30}}
        livenessProbe: {{{probe}, periodSeconds: 1, failureThreshold: 3}}
        readinessProbe: {{{probe}, periodSeconds: 1, failureThreshold: 1}}
"
    )
}

const ECHO: &str = "demo-app, echo, --port, \"8080\"";

/// One server for each kind of probe that there is.
fn all_kinds() -> String {
    all(&[
        &probed("http", ECHO, "httpGet: {path: /healthz, port: 8080}"),
        &probed("tcp", "demo-app, echo, --tcp, --port, \"8080\"", "tcpSocket: {port: 8080}"),
        &probed("grpc", "demo-app, grpc-health, --port, \"8080\"", "grpc: {port: 8080}"),
        &probed("exec", ECHO, "exec: {command: [\"true\"]}"),
    ])
}

#[test]
fn every_kind_of_probe_passes_where_nobody_else_does() -> Result<()> {
    let (namespace, outside) = (Namespace::enrolled("probes")?, Namespace::plain("probes-outside")?);
    namespace.apply(&all(&[STRICT, DENY_ALL]))?;
    namespace.apply(&all_kinds())?;
    let (member, stranger) = (namespace.multitool()?, outside.multitool()?);
    std::thread::sleep(WATCHED);
    for kind in ["http", "tcp", "grpc", "exec"] {
        let pod = namespace.pod(&format!("app={kind}"))?;
        assert_eq!(pod.restarts()?, 0, "{kind} was restarted");
        let conditions = pod.object()?["status"]["conditions"].clone();
        let ready = conditions.as_array().into_iter().flatten().find(|condition| condition["type"] == "Ready");
        assert!(ready.is_some_and(|condition| condition["status"] == "True"), "{kind}: {conditions}");
        // Strangers speak plain text, which strict resets; members prove who they are, and nobody may ask anything.
        let url = format!("http://{}:8080/healthz", pod.ip());
        assert_eq!(stranger.curl(&[&url])?.exit, 56, "{kind} asked by a stranger");
        let answer = member.curl(&[&url])?;
        assert!(answer.status == 403 || answer.exit != 0, "{kind} asked by a member: {answer:?}");
    }
    outside.passed()?;
    namespace.passed()
}

/// The application sees the kubelet's own address, the same as without a mesh.
#[test]
fn the_application_sees_the_kubelet_itself() -> Result<()> {
    let (namespace, plain) = (Namespace::enrolled("probes-address")?, Namespace::plain("probes-plain")?);
    let [node, _] = two_nodes()?;
    let server = pinned(&probed("http", ECHO, "httpGet: {path: /healthz, port: 8080}"), "app: http", &node.name);
    namespace.apply(&all(&[STRICT, DENY_ALL]))?;
    let mut seen = Vec::new();
    for namespace in [&namespace, &plain] {
        namespace.apply(&server)?;
        namespace.wait_rollout()?;
        let pod = namespace.pod("app=http")?;
        seen.push(eventually(PATIENCE, || {
            let probes = probes_from(&pod)?;
            ensure!(!probes.is_empty(), "no probe in the log of {}", pod.pod());
            Ok(probes)
        }));
    }
    assert_eq!(seen[0], seen[1], "who probes in the mesh, and who does without one");
    plain.passed()?;
    namespace.passed()
}

/// The peers that asked for the probe's path.
fn probes_from(pod: &Pod) -> Result<BTreeSet<String>> {
    let log = pod.logs()?;
    let probes = log.lines().filter(|line| line.contains("GET /healthz"));
    Ok(probes.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect())
}

/// A probe is the application's own answer: one that says no keeps its pod from being ready, and one that hangs is restarted.
#[test]
fn a_failing_probe_fails() -> Result<()> {
    let namespace = Namespace::enrolled("probes-failing")?;
    let httpbin = "demo-app, httpbin-lite, --port, \"8080\"";
    let not_ready = probed("not-ready", httpbin, "httpGet: {path: /status/503, port: 8080}")
        .replace("startupProbe: {httpGet: {path: /status/503", "startupProbe: {httpGet: {path: /get")
        .replace("livenessProbe: {httpGet: {path: /status/503", "livenessProbe: {httpGet: {path: /get");
    let dies = probed("dies", httpbin, "httpGet: {path: /get, port: 8080}")
        .replace("livenessProbe: {httpGet: {path: /get", "livenessProbe: {httpGet: {path: /delay/5");
    namespace.apply(&all(&[&not_ready, &dies]))?;
    eventually(PATIENCE, || {
        let restarts = namespace.pod("app=dies")?.restarts()?;
        ensure!(restarts >= 1, "a container whose liveness hangs runs on");
        Ok(())
    });
    let pod = namespace.pod("app=not-ready")?;
    let status = pod.object()?["status"]["containerStatuses"][0].clone();
    assert_eq!((&status["ready"], &status["started"]), (&false.into(), &true.into()), "{status}");
    assert_eq!(pod.restarts()?, 0);
    namespace.passed()
}
