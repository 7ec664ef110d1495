//! A debug container in a pod of the mesh: sees plain text on `lo` and none on `eth0`, and is the pod to everybody else.

use anyhow::{Result, ensure};
use weft_testbed::{APPLIES, Cluster, PATIENCE, Program, Sentences, eventually, sentences_service};

const STRICT: &str = "apiVersion: security.istio.io/v1beta1\nkind: PeerAuthentication\nmetadata: {name: default}\nspec: {mtls: {mode: STRICT}}\n---\n";

/// `kubectl create deploy nginx`, expose it, ask it from a multitool, and look at both of the server's devices meanwhile.
fn plain_text_stays_inside(name: &str, client_node: &str) -> Result<()> {
    let cluster = Cluster::exercise(name)?;
    cluster.service("nginx").port(80, 80).apply()?;
    let server = cluster.workload("nginx").node("b").program(Program::Nginx).start()?;
    let client = cluster.workload("multitool").node(client_node).start()?;
    cluster.start_exercise("")?;
    let [eth0, lo] = ["eth0", "lo"].map(|device| server.capture(device, 80));
    let (eth0, lo, client_eth0) = (eth0?, lo?, client.capture("eth0", 80)?);
    for _ in 0..5 {
        let output = client.exec("curl", &["-s", "http://nginx/?secret-question"])?;
        assert!(output.stdout.contains("Welcome to nginx!"), "{output:?}");
    }
    for wire in [&eth0, &client_eth0] {
        assert!(wire.payloads().len() >= 10, "there are packets on the original port: {:?}", wire.packets().len());
        for secret in ["Welcome to nginx", "secret-question", "HTTP/1.1"] {
            assert!(!wire.contains(secret), "{secret} is readable on the wire");
        }
    }
    assert!(lo.contains("Welcome to nginx!") && lo.contains("GET /?secret-question"));
    // From the client's own address, as NetworkPolicies and people expect.
    let syns: Vec<_> = eth0.packets().into_iter().filter(|packet| packet.is_syn()).collect();
    assert!(!syns.is_empty() && syns.iter().all(|syn| syn.source.ip() == client.ip()), "{syns:?}");
    Ok(())
}

#[test]
fn plain_text_stays_inside_the_pod_with_both_on_one_node() -> Result<()> {
    plain_text_stays_inside("k14-one", "b")
}

#[test]
fn plain_text_stays_inside_the_pod_across_nodes() -> Result<()> {
    plain_text_stays_inside("k14-two", "a")
}

/// What a debug container of `age` sends is captured and authenticated as `age`.
#[test]
fn a_debug_container_is_its_pod() -> Result<()> {
    let cluster = Cluster::exercise("k14-identity")?;
    let near_and_far = ["a", "b"].map(|node| {
        let role = Sentences::new("age").version(node).node(node).account("age");
        role.yaml()
    });
    let name = Sentences::new("name").node("b").account("name").yaml() + &sentences_service("name", "default");
    cluster.start_exercise(&(near_and_far.concat() + &name + STRICT))?;
    let policy = |principal: &str| {
        format!(
            "apiVersion: security.istio.io/v1beta1\nkind: AuthorizationPolicy\nmetadata: {{name: name}}\nspec:\n  \
             selector: {{matchLabels: {{app: sentences, mode: name}}}}\n  action: ALLOW\n  rules:\n  \
             - from: [{{source: {{principals: ['cluster.local/ns/default/sa/{principal}']}}}}]\n"
        )
    };
    let debug = ["age-a", "age-b"].map(|name| cluster.pods_of("default", name).remove(0));
    let asks = |expected: &str| -> Result<()> {
        for pod in &debug {
            let output = pod.exec("curl", &["-s", "-w", " %{http_code}", "http://name:5000/"])?;
            ensure!(output.stdout.ends_with(expected), "from {}: {output:?}", pod.name());
        }
        Ok(())
    };
    eventually(PATIENCE, || asks(" 200"));
    cluster.apply(&policy("age"))?;
    asks(" 200")?;
    cluster.apply(&policy("sentences"))?;
    eventually(APPLIES, || asks("RBAC: access denied 403"));
    cluster.apply(&policy("age"))?;
    eventually(APPLIES, || asks(" 200"));
    Ok(())
}
