//! The rig itself, without a mesh: that Kubernetes behaves as the other scenarios assume, and that what they observe with is right.
//!
//! What fails here is not the mesh's fault.

use anyhow::{Result, ensure};
use weft_cluster_tests::manifests::{AUTHZ, V1, V2, all, echo, mirror, multitool_on, pinned};
use weft_cluster_tests::{
    APPLIES, FailureKind, Namespace, Observer, PATIENCE, curl_here, eventually, nodes, two_nodes,
};

#[test]
fn kubernetes_divides_requests_among_pods() -> Result<()> {
    let namespace = Namespace::plain("rig-v1-v2")?;
    namespace.apply(&all(&[V1, V2]))?;
    namespace.wait_rollout()?;
    for node in nodes()? {
        let answers = namespace.node_port("sentences", 5000)?.on(&node).get_many(&[], 200);
        answers.assert_sentences();
        let v2 = answers.share_with("(v2)");
        assert!((0.383..=0.617).contains(&v2), "v2 got {v2} by way of {}", node.name);
    }
    namespace.passed()
}

#[test]
fn failures_are_told_apart() -> Result<()> {
    let namespace = Namespace::plain("rig-failures")?;
    namespace.apply(&mirror("web", ""))?;
    let client = namespace.multitool()?;
    let web = namespace.pod("app=web")?;
    eventually(PATIENCE, || client.status("http://web/"));
    let answers = client.get_many("http://web/", &["x-test: use-v2"], 25, 3)?;
    assert_eq!(answers.count(|r| r.status == 200 && r.text().contains("use-v2")), 25, "{:?}", answers.summary());
    for (url, exit, kind) in [
        (format!("http://{}:8081/", web.ip()), 7, FailureKind::Refused),
        ("http://nobody/".to_owned(), 6, FailureKind::NotFound),
        // TEST-NET-1: no host has it.
        ("http://192.0.2.7/".to_owned(), 28, FailureKind::Timeout),
    ] {
        let answer = client.curl(&["-m", "2", &url])?;
        assert_eq!((answer.exit, answer.status), (exit, 0), "{url}: {answer:?}");
        if kind != FailureKind::Timeout {
            let kinds: Vec<_> = client.get_many(&url, &[], 2, 2)?.failures().map(|failure| failure.kind).collect();
            assert_eq!(kinds, [kind, kind], "{url}");
        }
    }
    assert_eq!(client.exec(&["sh", "-c", "exit 3"])?.code, 3);
    assert!(client.shell("exit 3", &[]).is_err());
    assert!(!client.is_captured()? && client.ensure_captured(&web, true).is_err());
    assert!(client.mesh_page(&web).is_err(), "nobody serves a page of the mesh here");
    assert_eq!(curl_here(&["-m", "2", "http://127.0.0.1:1/"])?.exit, 7);
    let said = namespace.apply_refused("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {}\nfoo: bar\n")?;
    assert!(said.contains("foo"), "{said}");
    namespace.passed()
}

#[test]
fn network_policies_are_enforced() -> Result<()> {
    let namespace = Namespace::plain("rig-policy")?;
    let [here, there] = two_nodes()?;
    let policy = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: name}
spec:
  podSelector:
    matchLabels: {app: sentences, mode: name}
  policyTypes: [Ingress]
  ingress:
  - from:
    - podSelector:
        matchLabels: {app: sentences, mode: sentence}
    ports: [{port: 5000, protocol: TCP}]
";
    let yaml = pinned(&pinned(AUTHZ, "mode: name", &here.name), "mode: age", &here.name);
    namespace.apply(&pinned(&yaml, "mode: sentence", &there.name))?;
    namespace.wait_rollout()?;
    let (age, sentences) = (namespace.pod("mode=age")?.debug()?, namespace.pod("mode=sentence")?.debug()?);
    eventually(PATIENCE, || age.status("http://name:5000/choices"));
    namespace.apply(policy)?;
    eventually(PATIENCE, || {
        let answer = age.curl(&["-m", "2", "http://name:5000/"])?;
        ensure!(answer.exit == 28, "from age: {answer:?}");
        Ok(())
    });
    assert_eq!(sentences.status("http://name:5000/choices")?, 200);
    assert_eq!(sentences.curl(&["-m", "2", "http://name:8000/metrics"])?.exit, 28);
    namespace.delete(policy)?;
    eventually(PATIENCE, || {
        ensure!(age.curl(&["-m", "2", "http://name:5000/"])?.exit == 0, "the policy is still in force");
        Ok(())
    });
    namespace.passed()
}

#[test]
fn a_debug_container_sees_the_wire() -> Result<()> {
    let namespace = Namespace::plain("rig-wire")?;
    namespace.kubectl(&["create", "deploy", "nginx", "--image", "nginx"])?;
    namespace.kubectl(&["expose", "deploy", "nginx", "--port", "80"])?;
    let [_, there] = two_nodes()?;
    namespace.apply(&multitool_on("far", &there.name))?;
    namespace.wait_rollout()?;
    let (client, nginx) = (namespace.pod("app=far")?, namespace.pod("app=nginx")?);
    assert_eq!(client.node(), there.name);
    let debugger = nginx.debug()?;
    let (eth0, lo) = (debugger.tcpdump("eth0", "tcp port 80")?, debugger.tcpdump("lo", "tcp port 80")?);
    assert_eq!(client.status("http://nginx/?secret-question")?, 200);
    let (packets, text) = eth0.finish()?;
    assert!(
        packets >= 8 && text.contains("Welcome to nginx!") && text.contains("secret-question"),
        "{packets}\n{text}"
    );
    assert!(text.contains(&format!("IP {}.", client.ip())), "the client's own address:\n{text}");
    assert_eq!(lo.finish()?.0, 0, "without a mesh nothing is on lo");
    namespace.passed()
}

#[test]
fn loads_and_held_connections_tell_what_happened() -> Result<()> {
    let namespace = Namespace::plain("rig-load")?;
    namespace.apply(&all(&[&mirror("web", ""), &echo("lines")]))?;
    let client = namespace.multitool()?;
    eventually(PATIENCE, || client.status("http://web/"));
    let load = client.load("http://web/", 20)?;
    let held = client.hold("lines", 9000)?;
    held.assert_works();
    let answers = load.finish()?;
    assert!(answers.results.len() >= 5, "{:?}", answers.summary());
    assert_eq!(answers.count(|response| response.status == 200), answers.results.len(), "{:?}", answers.summary());
    assert!(held.finish()? >= 3);

    // And when it breaks, they say so.
    let held = client.hold("lines", 9000)?;
    let load = client.load("http://web/", 20)?;
    namespace.pod("app=lines")?.delete()?;
    namespace.kubectl(&["scale", "deployment/web", "--replicas=0"])?;
    eventually(PATIENCE, || {
        ensure!(held.lines().is_err(), "the server is gone and the connection whole");
        Ok(())
    });
    assert!(held.finish().is_err());
    namespace.wait_pods("app=web", 0);
    eventually(APPLIES, || {
        ensure!(client.curl(&["-m", "2", "http://web/"])?.exit != 0, "nobody serves, and somebody answers");
        Ok(())
    });
    let answers = load.finish()?;
    assert!(answers.failures().count() > 0, "{:?}", answers.summary());
    namespace.passed()
}

#[test]
fn the_observer_sees_the_nodes() -> Result<()> {
    let namespace = Namespace::plain("rig-observer")?;
    let observer = Observer::start(&namespace)?;
    let counts = observer.count()?;
    for node in nodes()? {
        let count = &counts[&node.name];
        assert!(
            count["namespaces"] > 0 && count["mounts"] > 0 && count.contains_key("pins"),
            "{}: {count:?}",
            node.name
        );
        let name =
            observer.on(&node.name)?.shell("cat /node/etc/hostname 2>/dev/null; ls /node/var/lib/kubelet", &[])?;
        assert!(name.contains("pods"), "the node's own files: {name}");
    }
    namespace.passed()
}
