//! One pod as its object says it is; it derefs to its first container, where commands run.

use std::net::IpAddr;
use std::ops::Deref;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::container::Container;
use crate::kubectl::{kubectl, object};

/// A running pod.
#[derive(Clone, Debug)]
pub struct Pod {
    container: Container,
    ip: IpAddr,
    node: String,
}

impl Deref for Pod {
    type Target = Container;

    fn deref(&self) -> &Container {
        &self.container
    }
}

impl Pod {
    /// Reads a Pod object that runs.
    pub(crate) fn of(namespace: &str, object: &Value) -> Result<Self> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let name = text("/metadata/name").context("a pod without a name")?;
        let ip = text("/status/podIP").and_then(|ip| ip.parse().ok());
        Ok(Self {
            ip: ip.with_context(|| format!("pod {name} has no address"))?,
            node: text("/spec/nodeName").with_context(|| format!("pod {name} has no node"))?,
            container: Container::new(namespace, &name, text("/spec/containers/0/name").as_deref()),
        })
    }

    /// Its address.
    pub fn ip(&self) -> IpAddr {
        self.ip
    }

    /// The name of its node.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Its object as it is now.
    pub fn object(&self) -> Result<Value> {
        object(&["--namespace", self.namespace(), "get", "pod", self.pod()])
    }

    /// An annotation as it is now.
    pub fn annotation(&self, name: &str) -> Result<Option<String>> {
        Ok(self.object()?["metadata"]["annotations"][name].as_str().map(str::to_owned))
    }

    /// How often its containers have been restarted.
    pub fn restarts(&self) -> Result<u64> {
        let object = self.object()?;
        let statuses = object["status"]["containerStatuses"].as_array().cloned().unwrap_or_default();
        Ok(statuses.iter().filter_map(|status| status["restartCount"].as_u64()).sum())
    }

    /// `kubectl logs` of all its containers.
    pub fn logs(&self) -> Result<String> {
        kubectl(&["--namespace", self.namespace(), "logs", self.pod(), "--all-containers"])
    }

    /// `kubectl delete pod`; returns at once.
    pub fn delete(&self) -> Result<()> {
        kubectl(&["--namespace", self.namespace(), "delete", "pod", self.pod(), "--wait=false"]).map(drop)
    }
}
