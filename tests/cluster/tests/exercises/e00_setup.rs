//! Introducing the setup: the application outside the mesh, in it, and one service out and in again.

use anyhow::{Result, ensure};
use weft_cluster_tests::manifests::{TRAINING, TRAINING_AGE, without};
use weft_cluster_tests::{APPLIES, Namespace, Pod, eventually};

/// `age.yaml` with the lines that the page adds to it.
fn opted_out() -> String {
    let added = "      annotations:\n        sidecar.istio.io/inject: 'false'\n    spec:\n      containers:";
    TRAINING_AGE.replace("    spec:\n      containers:", added)
}

/// Requests that the server's side of a pod has counted.
fn counted(client: &Pod, pod: &Pod) -> Result<f64> {
    Ok(client.mesh_page(pod)?.requests(&[("reporter", "destination"), ("response_code", "200")]))
}

#[test]
fn a_namespace_joins_and_one_service_leaves_and_comes_back() -> Result<()> {
    let namespace = Namespace::plain("e00")?;
    // Prometheus may be anywhere; here it is outside the mesh.
    let outside = Namespace::plain("e00-outside")?;
    let client = outside.multitool()?;
    namespace.apply(TRAINING)?;
    namespace.wait_rollout()?;
    let sentences = namespace.node_port("sentences", 5000)?;
    sentences.get_many(&[], 20).assert_sentences();
    for pod in namespace.pods("app=sentences")? {
        client.ensure_captured(&pod, false)?;
        assert_eq!(pod.annotation("ambient.istio.io/redirection")?, None, "{} shows a badge", pod.pod());
    }

    // `kubectl delete -f`, label the namespace, `kubectl apply -f` again.
    namespace.delete(TRAINING)?;
    namespace.wait_pods("app=sentences", 0);
    namespace.enrol()?;
    namespace.apply(TRAINING)?;
    namespace.wait_rollout()?;
    let sentences = namespace.node_port("sentences", 5000)?;
    sentences.get_many(&[], 50).assert_sentences();
    for pod in namespace.pods("app=sentences")? {
        // The page shows a second container here; here there is none, and the pod says otherwise that it is in the mesh.
        assert_eq!(pod.object()?["spec"]["containers"].as_array().map(Vec::len), Some(1));
        assert_eq!(pod.annotation("ambient.istio.io/redirection")?.as_deref(), Some("enabled"));
        client.ensure_captured(&pod, true)?;
        eventually(APPLIES, || {
            let requests = counted(&client, &pod)?;
            ensure!(requests == 50.0, "{requests} requests counted at {}", pod.pod());
            Ok(())
        });
    }

    // Out: no series of it, and everything still works, although sentences has to speak plain text to it.
    namespace.apply(&opted_out())?;
    namespace.wait_rollout()?;
    let age = namespace.pod("mode=age")?;
    client.ensure_captured(&age, false)?;
    sentences.get_many(&[], 20).assert_sentences();

    // `cat age.yaml | grep -v inject | kubectl apply -f -`: in again.
    namespace.apply(&without(&opted_out(), &["inject"]).replace("      annotations:\n", ""))?;
    namespace.wait_rollout()?;
    let age = namespace.pod("mode=age")?;
    client.ensure_captured(&age, true)?;
    sentences.get_many(&[], 20).assert_sentences();
    eventually(APPLIES, || {
        let requests = counted(&client, &age)?;
        ensure!(requests == 20.0, "{requests} requests counted at {}", age.pod());
        Ok(())
    });
    outside.passed()?;
    namespace.passed()
}
