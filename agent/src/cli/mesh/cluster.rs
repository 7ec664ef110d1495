//! Agents of a cluster, by their pods.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, ResourceExt, api::ListParams};

use super::super::{ApiServerArgs, client::Agent, transport::Transport};
use crate::{
    install::rollout::is_ready,
    kubernetes::{SYSTEM_NAMESPACE, failure, is_absent},
};

/// Label of the agents' pods.
const AGENT_LABEL: &str = "app=weft-agent";

/// Label of the control plane's pods, as Istio's.
const CONTROL_LABEL: &str = "app=istiod";

/// Port of an agent's pages in its pod.
const AGENT_PORT: u16 = 15021;

/// Port of the control plane's pages.
const CONTROL_PORT: u16 = 15014;

/// The cluster.
pub(in crate::cli) struct Cluster {
    /// Its server.
    pub(in crate::cli) client: Client,
}

impl Cluster {
    /// The cluster that the arguments mean.
    ///
    /// # Errors
    /// When nothing says where it is.
    pub(in crate::cli) async fn new(args: &ApiServerArgs) -> anyhow::Result<Self> {
        Ok(Self { client: args.client().await? })
    }

    /// The namespace of the context.
    pub(super) fn default_namespace(&self) -> &str {
        self.client.default_namespace()
    }

    /// One agent per node, by node.
    ///
    /// # Errors
    /// When the server does not say, or weft is not installed.
    pub(in crate::cli) async fn agents(&self) -> anyhow::Result<Vec<Agent>> {
        let pods = self.pods(AGENT_LABEL).await?;
        if pods.is_empty() {
            bail!(
                "no agents in this cluster (pods {AGENT_LABEL} in {SYSTEM_NAMESPACE}): `weft install` installs weft, and \
                 `weft check` says whether it can run"
            );
        }
        let agent = |(node, pod)| Agent { node, transport: self.to(pod, AGENT_PORT) };
        Ok(one_per_node(&pods).into_iter().map(agent).collect())
    }

    /// Replicas of the control plane: pod's name, and the way to it.
    ///
    /// # Errors
    /// When the server does not say.
    pub(in crate::cli) async fn control(&self) -> anyhow::Result<Vec<(String, Transport)>> {
        let pods = self.pods(CONTROL_LABEL).await?;
        let running = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
        Ok(running.map(|pod| (pod.name_any(), self.to(pod.name_any(), CONTROL_PORT))).collect())
    }

    /// The node of a pod, `namespace/name`.
    ///
    /// # Errors
    /// When there is no such pod, or it is on no node.
    pub(super) async fn node_of(&self, pod: &str) -> anyhow::Result<String> {
        let (namespace, name) = pod.split_once('/').context("a pod is namespace/name")?;
        let found = match Api::<Pod>::namespaced(self.client.clone(), namespace).get(name).await {
            Ok(found) => found,
            Err(error) if is_absent(&error) => {
                bail!("there is no pod {pod}; `kubectl get pods -n {namespace}` lists those that are")
            }
            Err(error) => bail!("asking for pod {pod}: {}", failure(&error)),
        };
        let node = found.spec.and_then(|spec| spec.node_name);
        node.with_context(|| format!("pod {pod} is not scheduled to a node yet"))
    }

    async fn pods(&self, label: &str) -> anyhow::Result<Vec<Pod>> {
        let pods = Api::<Pod>::namespaced(self.client.clone(), SYSTEM_NAMESPACE);
        let list = pods.list(&ListParams::default().labels(label)).await;
        Ok(list.map_err(|error| anyhow::anyhow!("listing pods {label}: {}", failure(&error)))?.items)
    }

    fn to(&self, pod: String, port: u16) -> Transport {
        Transport::Forward { client: self.client.clone(), pod, port }
    }
}

/// Node and pod. While an agent is being replaced a node has two: the one that is ready answers, then the younger.
fn one_per_node(pods: &[Pod]) -> BTreeMap<String, String> {
    let rank = |pod: &&Pod| {
        let is_ending = pod.metadata.deletion_timestamp.is_some();
        (!is_ending, is_ready(pod), pod.metadata.creation_timestamp.as_ref().map(|at| at.0))
    };
    let mut ranked: Vec<&Pod> = pods.iter().collect();
    ranked.sort_by_key(rank);
    let node = |pod: &Pod| pod.spec.as_ref()?.node_name.clone();
    ranked.into_iter().filter_map(|pod| Some((node(pod)?, pod.name_any()))).collect()
}

#[cfg(test)]
mod tests;
