//! Workloads of a namespace as they come, go and are replaced.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weft_scenario::{eventually, try_eventually};

use crate::kubectl::output;
use crate::namespace::Namespace;
use crate::pod::Pod;

/// How long a rollout may take on a busy machine, image pulls included.
const ROLLOUT: Duration = Duration::from_secs(180);
/// How soon everybody who has to know learns of pods that are ready: kube-proxy may take a second, the mesh as long as any change.
const KNOWN: Duration = Duration::from_secs(1);
/// What has a rollout.
const KINDS: &str = "deployments,statefulsets,daemonsets";

impl Namespace {
    /// `kubectl rollout status` for everything here that has a rollout, and a moment for the news to spread.
    pub fn wait_rollout(&self) -> Result<()> {
        for workload in self.kubectl(&["get", KINDS, "--output=name"])?.lines() {
            self.wait_rollout_of(workload)?;
        }
        std::thread::sleep(KNOWN);
        Ok(())
    }

    /// `kubectl rollout status` of one workload, for instance `deployment/name-v1`.
    pub fn wait_rollout_of(&self, workload: &str) -> Result<()> {
        let timeout = format!("--timeout={}s", ROLLOUT.as_secs());
        let args = ["--namespace", self.name(), "rollout", "status", workload, &timeout];
        output(&args, "", ROLLOUT + Duration::from_secs(10))?.success(&format!("rollout of {workload}")).map(drop)
    }

    /// `kubectl scale`, and waits until it is so.
    pub fn scale(&self, workload: &str, replicas: usize) -> Result<()> {
        self.kubectl(&["scale", workload, &format!("--replicas={replicas}")])?;
        self.wait_rollout_of(workload)
    }

    /// Waits until there are exactly `count` pods of that selector, those that are ending included.
    #[track_caller]
    pub fn wait_pods(&self, selector: &str, count: usize) {
        eventually(ROLLOUT, || {
            let now = self.all_pods(selector)?.len();
            ensure!(now == count, "{now} pods {selector}, {count} wanted");
            Ok(())
        });
    }

    /// The running pods of that selector, without those that are ending.
    pub fn pods(&self, selector: &str) -> Result<Vec<Pod>> {
        let living =
            |pod: &Value| pod["metadata"]["deletionTimestamp"].is_null() && pod["status"]["phase"] == "Running";
        self.all_pods(selector)?.iter().filter(|pod| living(pod)).map(|pod| Pod::of(self.name(), pod)).collect()
    }

    /// The one running pod of that selector; waits for the others to go.
    pub fn pod(&self, selector: &str) -> Result<Pod> {
        let only = || {
            let mut pods = self.pods(selector)?;
            ensure!(pods.len() == 1, "{} running pods {selector} in {}, not one", pods.len(), self.name());
            pods.pop().context("one pod")
        };
        try_eventually(ROLLOUT, only)
    }

    fn all_pods(&self, selector: &str) -> Result<Vec<Value>> {
        let list = self.object(&["get", "pods", "--selector", selector])?;
        list["items"].as_array().cloned().context("a list of pods without items")
    }
}
