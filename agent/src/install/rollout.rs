//! How far a DaemonSet or Deployment is, and what holds its pods up: the words of the scheduler, the kubelet and the
//! container itself, which are spread over statuses and events.

mod pod;

use std::collections::BTreeSet;

use anyhow::Context;
use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, Deployment},
        core::v1::{Event, Node, Pod},
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use kube::{
    Api, Client,
    api::{ListParams, ObjectMeta},
};

pub use pod::{complaint, is_ready};

use crate::kubernetes::{failure, is_absent};

/// Pods looked at for reasons; a cluster has more nodes than a person reads lines.
const PODS_MAX: u32 = 500;

/// Events looked at for reasons.
const EVENTS_MAX: u32 = 100;

/// State of one workload.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Rollout {
    /// Its controller has seen its present form.
    pub is_observed: bool,
    /// Pods that should run.
    pub wanted: usize,
    /// Pods of the present form that are ready.
    pub ready: usize,
    /// What holds the others up, a line each.
    pub reasons: Vec<String>,
    /// Pods held up by nothing but their node, which is not ready.
    pub on_dead_nodes: usize,
}

impl Rollout {
    /// All that can be ready are. Pods of nodes that are down are not waited for: nobody knows for how long.
    pub fn is_done(&self) -> bool {
        self.is_observed && self.ready + self.on_dead_nodes >= self.wanted
    }
}

/// State of a Deployment; `None`: there is none.
///
/// # Errors
/// When the server cannot be asked.
pub async fn deployment(client: &Client, namespace: &str, name: &str) -> anyhow::Result<Option<Rollout>> {
    let Some(found) = fetch::<Deployment>(client, namespace, name).await? else { return Ok(None) };
    let (spec, status) = (found.spec.unwrap_or_default(), found.status.unwrap_or_default());
    let ready = status.updated_replicas.unwrap_or(0).min(status.available_replicas.unwrap_or(0));
    let mut rollout = Rollout {
        is_observed: is_observed(&found.metadata, status.observed_generation),
        wanted: count(spec.replicas.unwrap_or(1)),
        ready: count(ready),
        ..Rollout::default()
    };
    if !rollout.is_done() {
        rollout.explain(client, namespace, name, &spec.selector).await?;
    }
    Ok(Some(rollout))
}

/// State of a DaemonSet; `None`: there is none.
///
/// # Errors
/// When the server cannot be asked.
pub async fn daemon_set(client: &Client, namespace: &str, name: &str) -> anyhow::Result<Option<Rollout>> {
    let Some(found) = fetch::<DaemonSet>(client, namespace, name).await? else { return Ok(None) };
    let (spec, status) = (found.spec.unwrap_or_default(), found.status.unwrap_or_default());
    let ready = status.updated_number_scheduled.unwrap_or(0).min(status.number_available.unwrap_or(0));
    let mut rollout = Rollout {
        is_observed: is_observed(&found.metadata, status.observed_generation),
        wanted: count(status.desired_number_scheduled),
        ready: count(ready),
        ..Rollout::default()
    };
    if !rollout.is_done() {
        rollout.explain(client, namespace, name, &spec.selector).await?;
    }
    Ok(Some(rollout))
}

/// Nodes that are not ready.
///
/// # Errors
/// When the server cannot be asked.
pub async fn dead_nodes(client: &Client) -> anyhow::Result<BTreeSet<String>> {
    let nodes = Api::<Node>::all(client.clone()).list(&ListParams::default()).await;
    let nodes = nodes.map_err(|error| anyhow::anyhow!("listing nodes: {}", failure(&error)))?;
    let dead = nodes.items.into_iter().filter(|node| !is_node_ready(node));
    Ok(dead.filter_map(|node| node.metadata.name).collect())
}

/// Does the node say that it is ready?
pub fn is_node_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

impl Rollout {
    async fn explain(
        &mut self,
        client: &Client,
        namespace: &str,
        name: &str,
        selector: &LabelSelector,
    ) -> anyhow::Result<()> {
        let labels = selector.match_labels.iter().flatten().map(|(key, value)| format!("{key}={value}"));
        let params = ListParams::default().labels(&labels.collect::<Vec<_>>().join(",")).limit(PODS_MAX);
        let pods = Api::<Pod>::namespaced(client.clone(), namespace).list(&params).await;
        let pods = pods.map_err(|error| anyhow::anyhow!("listing pods: {}", failure(&error)))?.items;
        let dead = dead_nodes(client).await?;
        let warnings = warnings(client, namespace).await;
        self.add_reasons(&pods, &dead, &warnings);
        if !self.is_done() && self.reasons.is_empty() {
            // No pod is in trouble because there is none: who was to make it may have said why.
            let made_for = |event: &&Event| {
                let about = &event.involved_object;
                about.kind.as_deref() != Some("Pod") && about.name.as_deref().is_some_and(|of| is_of(of, name))
            };
            let said = warnings.iter().filter(made_for).filter_map(|event| event.message.clone());
            self.reasons = said.collect::<BTreeSet<_>>().into_iter().collect();
        }
        Ok(())
    }

    fn add_reasons(&mut self, pods: &[Pod], dead: &BTreeSet<String>, warnings: &[Event]) {
        for pod in pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none() && !is_ready(pod)) {
            let name = pod.metadata.name.as_deref().unwrap_or_default();
            let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
            if let Some(node) = node.filter(|node| dead.contains(*node)) {
                self.on_dead_nodes += 1;
                self.reasons.push(format!("node {node} is not ready: its pod starts when it is"));
                continue;
            }
            let place = node.map(|node| format!(" on {node}")).unwrap_or_default();
            let said = || {
                let about = |event: &&Event| event.involved_object.name.as_deref() == Some(name);
                warnings.iter().rev().find(about).and_then(|event| event.message.clone())
            };
            if let Some(why) = complaint(pod).or_else(said) {
                self.reasons.push(format!("{name}{place}: {}", one_line(&why)));
            }
        }
    }
}

/// `name`, or an object that a controller made for it: `name-5d4f8c7b9`.
fn is_of(object: &str, name: &str) -> bool {
    object.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// Warnings, oldest first. Nobody is kept from installing by not being allowed to read them.
async fn warnings(client: &Client, namespace: &str) -> Vec<Event> {
    let params = ListParams::default().fields("type=Warning").limit(EVENTS_MAX);
    let events = Api::<Event>::namespaced(client.clone(), namespace).list(&params).await;
    let mut events = events.map(|list| list.items).unwrap_or_default();
    events.sort_by(|a, b| a.last_timestamp.as_ref().map(|at| at.0).cmp(&b.last_timestamp.as_ref().map(|at| at.0)));
    events
}

async fn fetch<K>(client: &Client, namespace: &str, name: &str) -> anyhow::Result<Option<K>>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    match Api::<K>::namespaced(client.clone(), namespace).get(name).await {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(anyhow::anyhow!("{}", failure(&error))).context(format!("asking for {namespace}/{name}")),
    }
}

fn is_observed(metadata: &ObjectMeta, observed: Option<i64>) -> bool {
    observed.unwrap_or(0) >= metadata.generation.unwrap_or(0)
}

/// Kubernetes counts in signed numbers that are never negative.
fn count(number: i32) -> usize {
    usize::try_from(number).unwrap_or(0)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
