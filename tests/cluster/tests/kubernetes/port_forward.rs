//! `kubectl port-forward` reaches an application in the mesh, as it does without one: it comes from inside the pod.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use weft_cluster_tests::manifests::{DENY_ALL, STRICT, all, mirror};
use weft_cluster_tests::{Namespace, PATIENCE, curl_here, eventually};

/// A running port-forward; ended when dropped.
struct Forward {
    kubectl: Child,
    port: u16,
}

impl Forward {
    fn start(namespace: &Namespace, target: &str, port: u16) -> Result<Self> {
        // Free a moment ago; kubectl's own choice would have to be read from its output.
        let own = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let program = std::env::var_os("WEFT_KUBECTL").unwrap_or_else(|| "kubectl".into());
        let kubectl = Command::new(program)
            .args(["--namespace", namespace.name(), "port-forward", target, &format!("{own}:{port}")])
            .stdout(Stdio::null())
            .spawn()
            .context("cannot start kubectl port-forward")?;
        Ok(Self { kubectl, port: own })
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.kubectl.kill();
        let _ = self.kubectl.wait();
    }
}

#[test]
fn a_port_forward_reaches_a_pod_that_nobody_else_may_ask() -> Result<()> {
    let namespace = Namespace::enrolled("port-forward")?;
    namespace.apply(&all(&[STRICT, DENY_ALL, &mirror("web", "")]))?;
    namespace.wait_rollout()?;
    let pod = namespace.pod("app=web")?;
    for (target, port) in [(format!("pod/{}", pod.pod()), 8080), ("service/web".to_owned(), 80)] {
        let forward = Forward::start(&namespace, &target, port)?;
        let url = format!("http://127.0.0.1:{}/", forward.port);
        let answer = eventually(PATIENCE, || {
            let answer = curl_here(&[&url])?;
            ensure!(answer.exit == 0, "{target}: {answer:?}");
            Ok(answer)
        });
        assert_eq!(answer.status, 200, "{target}: {answer:?}");
        assert!(answer.body.contains(pod.pod()), "{target}: {answer:?}");
        // More than one connection, and a larger body.
        for _ in 0..5 {
            let answer = curl_here(&["--data", &"x".repeat(50_000), &url])?;
            assert!(answer.status == 200 && answer.body.contains("\"body_length\":50000"), "{target}: {answer:?}");
        }
    }
    namespace.passed()
}
