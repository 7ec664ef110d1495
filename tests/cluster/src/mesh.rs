//! The mesh itself: its agents, and scenarios that disturb it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::container::Container;
use crate::kubectl::{kubectl, object};
use crate::pod::Pod;

/// The namespace of everything that belongs to the mesh.
pub const SYSTEM: &str = "istio-system";
/// The selector of the agents, one on each node.
pub const AGENT: &str = "app=weft-agent";
/// The selector of the control plane.
pub const CONTROL: &str = "app=istiod";

/// Where an agent answers the pods that it has captured, in TEST-NET-1 (RFC 5737), and what it says.
const PROBE: &str = "http://192.0.2.1:15021/";
const ANSWER: &str = "captured by weft";

/// Held by a scenario that disturbs the whole cluster: no other such scenario runs meanwhile.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    // A scenario that failed leaves a cluster in which the next one says what is wrong.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The running agents, or other pods of [`SYSTEM`].
pub fn system_pods(selector: &str) -> Result<Vec<Pod>> {
    let list = object(&["--namespace", SYSTEM, "get", "pods", "--selector", selector])?;
    let living = |pod: &&Value| pod["metadata"]["deletionTimestamp"].is_null() && pod["status"]["phase"] == "Running";
    let items = list["items"].as_array().context("a list of pods without items")?;
    items.iter().filter(living).map(|pod| Pod::of(SYSTEM, pod)).collect()
}

/// The agent of a node.
pub fn agent_on(node: &str) -> Result<Pod> {
    let found = system_pods(AGENT)?.into_iter().find(|agent| agent.node() == node);
    found.with_context(|| format!("no agent runs on {node}: is weft installed?"))
}

/// `kubectl rollout status` of one of [`SYSTEM`]'s workloads, for instance `daemonset/weft-agent`.
pub fn wait_rollout_of(workload: &str) -> Result<()> {
    kubectl(&["--namespace", SYSTEM, "rollout", "status", workload, "--timeout=110s"]).map(drop)
}

impl Container {
    /// Whether a connection from inside the pod comes out at its agent right now.
    pub fn is_captured(&self) -> Result<bool> {
        Ok(self.curl(&["-m", "3", "--http0.9", PROBE])?.body.contains(ANSWER))
    }

    /// Fails unless another pod is in the mesh, or is not, as said; seen from here by who answers at its port 15020.
    pub fn ensure_captured(&self, pod: &Pod, captured: bool) -> Result<()> {
        let answer = self.curl(&["-m", "3", &format!("http://{}:15020/healthz/ready", pod.ip())])?;
        let now = (answer.exit, answer.status) == (0, 200);
        ensure!(now == captured, "pod {} is captured: {now} ({answer:?})", pod.pod());
        Ok(())
    }
}
