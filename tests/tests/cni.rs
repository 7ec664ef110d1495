//! New pods: the CNI plugin, behind a real chain of Debian's plugins, holds each until its capture is proven, and without an
//! agent lets only those start that are known to be outside of the mesh.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use weft_testbed::{Cluster, CniRuntime, Refusal, Sandbox, eventually};

const PATIENCE: Duration = Duration::from_secs(20);
/// weft's copy of the node's network configuration, which the runtime finds before it.
const COPY: &str = "0-weft.conflist";

/// Node `a` with an agent that serves a container runtime's plugin: `default` is enrolled, `outside` is not.
fn node(name: &str) -> Result<(Cluster, CniRuntime)> {
    let cluster = Cluster::new(name)?.node("a")?;
    cluster.enrol("default", true)?;
    cluster.namespace("outside", &[])?;
    let runtime = CniRuntime::new(&cluster, "a")?;
    let path = |name: &str| runtime.path(name).display().to_string();
    cluster.agent_args(&[
        &format!("--cni-socket={}", path("cni.socket")),
        &format!("--cni-state-file={}", path("cni-state.json")),
        &format!("--cni-bin-dir={}", runtime.bin_dir().display()),
        &format!("--cni-conf-dir={}", runtime.conf_dir().display()),
    ]);
    cluster.start_agents()?;
    eventually(PATIENCE, || installed(&runtime));
    Ok((cluster, runtime))
}

fn installed(runtime: &CniRuntime) -> Result<()> {
    let list = fs::read_to_string(runtime.conf_dir().join(COPY)).context(COPY)?;
    ensure!(list.contains("weft-cni"), "no entry: {list}");
    ensure!(runtime.bin_dir().join("weft-cni").exists(), "no binary");
    Ok(())
}

/// The pod's object, as the API server would have it for a sandbox.
fn announce(cluster: &Cluster, namespace: &str, pod: &str, sandbox: &Sandbox) -> Result<()> {
    let text = format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {pod}\n  namespace: {namespace}\n  annotations:\n    \
         weft.dev/netns: {}@a\nspec:\n  containers: [{{name: x, image: x}}]\n",
        sandbox.netns.name()
    );
    // Not through the testbed: its kubelet would give the pod another sandbox.
    fs::write(cluster.dir().join(format!("manifests/of-the-runtime-{pod}.yaml")), text).context("writing a manifest")
}

/// Takes the pod's object away.
fn withdraw(cluster: &Cluster, pod: &str) -> Result<()> {
    fs::remove_file(cluster.dir().join(format!("manifests/of-the-runtime-{pod}.yaml"))).context("removing a manifest")
}

fn refused(runtime: &CniRuntime, sandbox: &Sandbox) -> Result<Refusal> {
    runtime.add(sandbox)?.err().context("the pod was let start")
}

#[test]
fn a_pod_starts_when_its_capture_is_proven_and_not_before() -> Result<()> {
    let (cluster, runtime) = node("hold")?;
    let sandbox = runtime.sandbox("default", "early")?;
    thread::scope(|scope| {
        let adding = scope.spawn(|| (runtime.add(&sandbox), sandbox.netns.reaches_agent()));
        thread::sleep(Duration::from_secs(1));
        ensure!(!adding.is_finished(), "the agent does not know the pod yet, and let it start");
        announce(&cluster, "default", "early", &sandbox)?;
        let (added, is_captured) = adding.join().map_err(|_| anyhow::anyhow!("the call panicked"))?;
        let result = added?.map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?;
        ensure!(is_captured, "captured the moment it may start");
        ensure!(result["ips"][0]["address"].as_str().is_some_and(|ip| ip.starts_with("10.99.0.")), "{result}");
        ensure!(result["interfaces"].as_array().is_some_and(|all| !all.is_empty()), "{result}");
        Ok(())
    })?;
    let metrics = cluster.agent("a")?.admin("/metrics")?.text();
    for line in [
        "weft_cni_calls_total{answer=\"pass\"} 1",
        "weft_cni_installed 1",
        "weft_pod_capture{pod=\"early\",pod_namespace=\"default\",state=\"proven\"} 1",
    ] {
        ensure!(metrics.contains(line), "{line}: {metrics}");
    }
    runtime.call_last("CHECK", &sandbox)?.map_err(|refusal| anyhow::anyhow!("CHECK: {refusal:?}"))?;
    let version = runtime.call_last("VERSION", &sandbox)?.map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?;
    ensure!(version.contains("\"1.1.0\""), "{version}");
    runtime.delete(&sandbox)?.map_err(|refusal| anyhow::anyhow!("DEL: {refusal:?}"))?;
    Ok(())
}

#[test]
fn pods_whose_traffic_may_go_everywhere_unseen_are_proven_like_all_others() -> Result<()> {
    let (cluster, runtime) = node("excluded")?;
    for (pod, annotation, value) in [
        ("nothing-out", "includeOutboundIPRanges", ""),
        ("some-out", "includeOutboundIPRanges", "10.99.0.0/24"),
        ("all-excluded", "excludeOutboundIPRanges", "0.0.0.0/0"),
    ] {
        let sandbox = runtime.sandbox("default", pod)?;
        announce(&cluster, "default", pod, &sandbox)?;
        let path = cluster.dir().join(format!("manifests/of-the-runtime-{pod}.yaml"));
        let text = fs::read_to_string(&path)?;
        let annotated = format!("  annotations:\n    traffic.sidecar.istio.io/{annotation}: {value:?}");
        fs::write(&path, text.replace("  annotations:", &annotated))?;
        runtime.add(&sandbox)?.map_err(|refusal| anyhow::anyhow!("{pod}: {refusal:?}"))?;
        ensure!(sandbox.netns.reaches_agent(), "{pod}");
    }
    Ok(())
}

#[test]
fn a_pod_outside_of_the_mesh_is_not_held() -> Result<()> {
    let (cluster, runtime) = node("outside")?;
    let sandbox = runtime.sandbox("outside", "plain")?;
    announce(&cluster, "outside", "plain", &sandbox)?;
    let started = Instant::now();
    runtime.add(&sandbox)?.map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?;
    ensure!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    ensure!(!sandbox.netns.reaches_agent(), "nobody asked for its capture");
    Ok(())
}

#[test]
fn a_sandbox_made_anew_is_held_until_it_is_captured_itself() -> Result<()> {
    let (cluster, runtime) = node("anew")?;
    let first = runtime.sandbox("default", "pod")?;
    announce(&cluster, "default", "pod", &first)?;
    runtime.add(&first)?.map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?;
    // The pod's object still says that it is where it was, and captured: that is another namespace.
    let second = runtime.sandbox("default", "pod")?;
    thread::scope(|scope| {
        let adding = scope.spawn(|| (runtime.add(&second), second.netns.reaches_agent()));
        thread::sleep(Duration::from_secs(2));
        ensure!(!adding.is_finished(), "the capture of the first sandbox was taken for that of the second");
        announce(&cluster, "default", "pod", &second)?;
        let (added, is_captured) = adding.join().map_err(|_| anyhow::anyhow!("the call panicked"))?;
        added?.map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?;
        ensure!(is_captured);
        Ok(())
    })
}

#[test]
fn without_an_agent_pods_of_the_mesh_are_held_and_others_start() -> Result<()> {
    let (cluster, runtime) = node("away")?;
    cluster.agent("a")?.kill9()?;
    for (namespace, pod) in [("outside", "plain"), ("kube-system", "dns"), ("istio-system", "weft-agent-1")] {
        let sandbox = runtime.sandbox(namespace, pod)?;
        let added = runtime.add(&sandbox)?;
        ensure!(added.is_ok(), "{namespace}/{pod}: {added:?}");
    }
    let held = runtime.sandbox("default", "held")?;
    for (sandbox, word) in [(&held, "has pods in the mesh"), (&runtime.sandbox("made-since", "x")?, "has not seen")] {
        let refusal = refused(&runtime, sandbox)?;
        ensure!(refusal.plugin == "weft-cni" && refusal.code == 11, "{refusal:?}");
        ensure!(refusal.message.contains("weft's agent on this node is not running"), "{refusal:?}");
        ensure!(refusal.message.contains("is held until it is") && refusal.message.contains(word), "{refusal:?}");
        // A pod that could not start goes again, also without an agent.
        runtime.delete(sandbox)?.map_err(|refusal| anyhow::anyhow!("DEL: {refusal:?}"))?;
    }
    announce(&cluster, "default", "held", &held)?;
    cluster.agent("a")?.start()?;
    runtime.add(&held)?.map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?;
    ensure!(held.netns.reaches_agent(), "captured before it starts, by the agent that came back");
    Ok(())
}

#[test]
fn a_node_that_has_just_booted_holds_pods_although_its_network_is_written_anew() -> Result<()> {
    let (cluster, runtime) = node("boot")?;
    cluster.agent("a")?.kill9()?;
    // Installers of networks start before the agent does, and write their file as if nobody else were there.
    fs::write(runtime.conf_dir().join("10-net.conflist"), runtime.original())?;
    let early = runtime.sandbox("default", "early")?;
    let refusal = refused(&runtime, &early)?;
    ensure!(refusal.message.contains("is held until it is"), "{refusal:?}");
    // Another network than before: nobody keeps the old one, also without an agent.
    let updated = runtime.original().replace("\"0.0.0.0/0\"", "\"10.0.0.0/8\"");
    fs::write(runtime.conf_dir().join("10-net.conflist"), updated)?;
    let plain = runtime.sandbox("outside", "plain")?;
    let refusal = refused(&runtime, &plain)?;
    ensure!(refusal.message.contains("has changed"), "{refusal:?}");
    runtime.delete(&plain)?.map_err(|refusal| anyhow::anyhow!("DEL: {refusal:?}"))?;
    let result = runtime.add(&plain)?.map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?;
    ensure!(result["routes"][0]["dst"] == "10.0.0.0/8", "{result}");
    Ok(())
}

#[test]
fn the_plugin_keeps_its_place_and_leaves_as_it_came() -> Result<()> {
    let (cluster, runtime) = node("place")?;
    let (list, copy) = (runtime.conf_dir().join("10-net.conflist"), runtime.conf_dir().join(COPY));
    for _ in 0..2 {
        fs::write(&copy, runtime.original())?;
        fs::write(runtime.bin_dir().join("weft-cni"), "nonsense")?;
        eventually(PATIENCE, || {
            installed(&runtime)?;
            ensure!(fs::metadata(runtime.bin_dir().join("weft-cni"))?.len() > 100, "the binary is theirs");
            Ok(())
        });
    }
    // What the installer of the network does when it is updated.
    let updated = runtime.original().replace("\"0.0.0.0/0\"", "\"10.0.0.0/8\"");
    fs::write(&list, &updated)?;
    eventually(PATIENCE, || {
        ensure!(fs::read_to_string(&copy)?.contains("10.0.0.0/8"), "the copy is that of before");
        Ok(())
    });
    let sandbox = runtime.sandbox("default", "pod")?;
    announce(&cluster, "default", "pod", &sandbox)?;
    runtime.add(&sandbox)?.map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?;
    withdraw(&cluster, "pod")?;
    ensure!(cluster.agent("a")?.stop()?.success());
    installed(&runtime).context("both stay when the agent ends")?;
    // The plugin is weft itself, under another name.
    let weft = runtime.path("weft").display().to_string();
    fs::copy(runtime.bin_dir().join("weft-cni"), &weft)?;
    let path = |name: &str| runtime.path(name).display().to_string();
    let cleaned = cluster.on_node("a")?.exec(
        &weft,
        &[
            "cleanup",
            "--cni",
            &format!("--state-dir={}", cluster.dir().join("state").display()),
            &format!("--bpf-dir={}", path("no-pins")),
            &format!("--cni-bin-dir={}", runtime.bin_dir().display()),
            &format!("--cni-conf-dir={}", runtime.conf_dir().display()),
            &format!("--cni-state-file={}", path("cni-state.json")),
        ],
    )?;
    ensure!(cleaned.code() == 0, "{cleaned:?}");
    ensure!(!copy.exists() && fs::read_to_string(&list)? == updated, "the file of others is as they wrote it");
    ensure!(fs::read_dir(runtime.bin_dir())?.count() == 0 && !runtime.path("cni-state.json").exists());
    Ok(())
}
