//! `kubectl debug`: an ephemeral container with tools in a running pod.

use anyhow::{Result, ensure};
use serde_json::Value;
use weft_scenario::{PATIENCE, try_eventually};

use crate::container::Container;
use crate::kubectl::kubectl;
use crate::pod::Pod;

/// The exercises' image of tools.
const IMAGE: &str = "praqma/network-multitool";
/// How long the container stays without anybody: longer than any scenario.
const LIFETIME: &str = "3600";

impl Pod {
    /// `kubectl debug POD --image praqma/network-multitool`, and waits until it runs. Ephemeral containers cannot be removed.
    pub fn debug(&self) -> Result<Container> {
        let name = format!("debugger-{:04x}", fastrand::u16(..));
        let args = ["debug", self.pod(), "--image", IMAGE, "--container", &name, "--quiet", "--", "sleep", LIFETIME];
        kubectl(&[&["--namespace", self.namespace()], &args[..]].concat())?;
        try_eventually(PATIENCE, || {
            let object = self.object()?;
            let statuses = object["status"]["ephemeralContainerStatuses"].as_array().cloned().unwrap_or_default();
            let runs = |status: &Value| status["name"] == *name && status["state"]["running"].is_object();
            ensure!(
                statuses.iter().any(runs),
                "ephemeral container {name} of {} does not run: {statuses:?}",
                self.pod()
            );
            Ok(())
        })?;
        Ok(Container::new(self.namespace(), self.pod(), Some(&name)))
    }
}
