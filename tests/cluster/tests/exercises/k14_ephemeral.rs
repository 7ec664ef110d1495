//! Debugging with ephemeral containers: plain text on `lo`, none on `eth0`, and a debug container is its pod to everybody else.

use anyhow::{Result, ensure};
use weft_cluster_tests::manifests::{AUTHZ, STRICT, multitool_on, pinned};
use weft_cluster_tests::{APPLIES, Namespace, eventually, nodes, two_nodes};

/// `kubectl create deploy nginx`, expose it, debug it, and watch both of its devices while a multitool asks it.
#[test]
fn plain_text_stays_inside_the_pod() -> Result<()> {
    let namespace = Namespace::enrolled("k14")?;
    namespace.kubectl(&["create", "deploy", "nginx", "--image", "nginx"])?;
    namespace.kubectl(&["expose", "deploy", "nginx", "--port", "80"])?;
    namespace.wait_rollout()?;
    let nginx = namespace.pod("app=nginx")?;
    let far = nodes()?.into_iter().find(|node| node.name != nginx.node());
    let far = far.ok_or_else(|| anyhow::anyhow!("this exercise needs a second node"))?;
    namespace.apply(&multitool_on("near", nginx.node()))?;
    namespace.apply(&multitool_on("far", &far.name))?;
    namespace.wait_rollout()?;
    let debugger = nginx.debug()?;
    for client in ["app=near", "app=far"] {
        let client = namespace.pod(client)?;
        let client_debugger = client.debug()?;
        let (eth0, lo) = (debugger.tcpdump("eth0", "tcp port 80")?, debugger.tcpdump("lo", "tcp port 80")?);
        let outgoing = client_debugger.tcpdump("eth0", "tcp port 80")?;
        for _ in 0..3 {
            let answer = client.curl(&["http://nginx/?secret-question"])?;
            ensure!(answer.body.contains("Welcome to nginx!"), "{} asks: {answer:?}", client.pod());
        }
        for wire in [eth0, outgoing] {
            let (packets, text) = wire.finish()?;
            assert!(packets >= 10, "{packets} packets on the original port, from {}", client.pod());
            assert!(text.contains(&format!("IP {}.", client.ip())), "from the client's own address: {text}");
            for secret in ["Welcome to nginx", "secret-question", "HTTP/1.1"] {
                assert!(!text.contains(secret), "{secret} is readable on the wire:\n{text}");
            }
        }
        let (_, text) = lo.finish()?;
        assert!(text.contains("Welcome to nginx!") && text.contains("GET /?secret-question"), "on lo:\n{text}");
    }
    namespace.passed()
}

/// What a debug container of `age` sends is captured and authenticated as `age`, wherever age and name are.
#[test]
fn a_debug_container_is_its_pod() -> Result<()> {
    let namespace = Namespace::enrolled("k14-identity")?;
    let [here, there] = two_nodes()?;
    namespace.apply(&pinned(&pinned(AUTHZ, "mode: age", &here.name), "mode: name", &there.name))?;
    namespace.apply(STRICT)?;
    namespace.wait_rollout()?;
    let age = namespace.pod("mode=age")?;
    let debugger = age.debug()?;
    let policy = |account: &str| {
        format!(
            "
apiVersion: security.istio.io/v1beta1
kind: AuthorizationPolicy
metadata: {{name: name}}
spec:
  selector:
    matchLabels: {{app: sentences, mode: name}}
  action: ALLOW
  rules:
  - from:
    - source: {{principals: [cluster.local/ns/$NS/sa/{account}]}}
"
        )
    };
    let answers = |status: u16, body: &str| -> Result<()> {
        let answer = debugger.curl(&["http://name:5000/"])?;
        ensure!(answer.status == status && answer.body.contains(body), "{answer:?}");
        Ok(())
    };
    answers(200, "")?;
    namespace.apply(&policy("sentences"))?;
    eventually(APPLIES, || answers(403, "RBAC: access denied"));
    namespace.apply(&policy("age"))?;
    eventually(APPLIES, || answers(200, ""));
    namespace.passed()
}
