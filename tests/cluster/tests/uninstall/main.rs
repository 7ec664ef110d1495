//! `weft uninstall`, the last scenario of all: traffic goes on without the mesh, and the cluster is as it was.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use weft_cluster_tests::manifests::{TRAINING, all, echo};
use weft_cluster_tests::{Namespace, Observer, PATIENCE, SYSTEM, eventually, is_sentence, kubectl, nodes, rig};

/// Cluster-wide kinds of which weft brings some.
const CLUSTER_WIDE: &str = "namespaces,customresourcedefinitions,clusterroles,clusterrolebindings,priorityclasses,\
    mutatingwebhookconfigurations,validatingwebhookconfigurations,validatingadmissionpolicies,\
    validatingadmissionpolicybindings,apiservices";
/// What has to be gone on a node; `/node` is its root.
const ON_NODE: &str = r#"
find /node/opt/cni /node/etc/cni /node/run/weft /node/var/lib/weft /node/sys/fs/bpf -name '*weft*' 2>/dev/null
grep -rl weft /node/etc/cni 2>/dev/null
for process in /proc/[0-9]*; do case "$(readlink "$process/exe")" in */weft) echo "process $process";; esac; done
true
"#;

fn is_ours(name: &str) -> bool {
    name.contains("weft") || name.contains("istio")
}

#[test]
fn uninstalling_leaves_the_cluster_as_it_was() -> Result<()> {
    let namespace = Namespace::enrolled("uninstall")?;
    let look = Namespace::plain("uninstall-observer")?;
    namespace.apply(&all(&[TRAINING, &echo("lines")]))?;
    let (client, outside) = (namespace.multitool()?, look.multitool()?);
    let sentences = namespace.node_port("sentences", 5000)?;
    let pods = namespace.pods("app=sentences")?;
    for pod in &pods {
        outside.ensure_captured(pod, true)?;
    }
    let held = client.hold("lines", 9000)?;
    let load = sentences.load(20);
    // Objects of other scenarios, whose namespaces are going: their definitions would be kept for them.
    eventually(PATIENCE, || {
        let left = kubectl(&["get", "vs,dr,se,gw,pa,ap,ra", "--all-namespaces", "--output=name"])?;
        ensure!(left.trim().is_empty(), "still there: {left}");
        Ok(())
    });
    let said = rig::weft(&["uninstall"])?;
    ensure!(said.code == 0, "weft uninstall: {}\n{}", said.stdout, said.stderr);
    std::thread::sleep(Duration::from_secs(3));
    let answers = load.finish();
    let whole = answers.count(|response| response.status == 200 && is_sentence(&response.text()));
    println!(
        "figure: weft uninstall: {} of {} requests failed: {:?}; an open connection: {:?}",
        answers.results.len() - whole,
        answers.results.len(),
        answers.summary(),
        held.finish()
    );

    // The application runs on, outside any mesh.
    sentences.get_many(&[], 50).assert_sentences();
    for pod in &pods {
        outside.ensure_captured(pod, false)?;
        assert_eq!(pod.restarts()?, 0, "{} was restarted", pod.pod());
    }
    let left = kubectl(&["get", CLUSTER_WIDE, "--output=name"])?;
    let left: Vec<&str> = left.lines().filter(|name| is_ours(name)).collect();
    assert!(left.is_empty(), "left in the cluster: {left:?}");
    let left = kubectl(&[
        "get",
        "configmaps,secrets,roles,rolebindings,leases,serviceaccounts",
        "--all-namespaces",
        "--output=name",
    ])?;
    let left: Vec<&str> = left.lines().filter(|name| is_ours(name)).collect();
    assert!(left.is_empty(), "left in namespaces: {left:?}");
    assert!(kubectl(&["get", "namespace", SYSTEM]).is_err(), "namespace {SYSTEM} is there");

    let observer = Observer::start(&look)?;
    for node in nodes()? {
        eventually(PATIENCE, || {
            let left = observer.on(&node.name)?.shell(ON_NODE, &[])?;
            ensure!(left.trim().is_empty(), "left on {}:\n{left}", node.name);
            Ok(())
        });
    }
    // And pods start as on any cluster.
    namespace.kubectl(&["rollout", "restart", "deployment/name-v1"])?;
    namespace.wait_rollout().context("pods do not start any more")?;
    eventually(PATIENCE, || {
        let text = sentences.get()?.text();
        ensure!(is_sentence(&text), "{text:?}");
        Ok(())
    });
    look.passed()?;
    namespace.passed()
}
