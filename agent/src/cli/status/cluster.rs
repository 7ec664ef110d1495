//! The whole mesh of a cluster on one screen.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    super::{
        mesh::Cluster,
        output::{ListForm, duration},
        table::Table,
    },
    node::{keeper, problem, reasons, section, snapshot, yes},
};
use crate::{
    admin::status::{Capture, PodStatus, Problem, Status},
    install::{
        AGENTS, CONTROL,
        rollout::{self, Rollout},
    },
    kubernetes::SYSTEM_NAMESPACE,
};

/// Problems and troubled pods that are shown; the rest is counted.
const SHOWN_MAX: usize = 20;

/// What is known about the mesh.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Overview {
    /// The control plane; `None`: there is none.
    pub(in crate::cli) control: Option<Rollout>,
    /// The agents' DaemonSet; `None`: there is none.
    pub(in crate::cli) agents: Option<Rollout>,
    /// What each agent that answered says.
    pub(in crate::cli) nodes: Vec<Status>,
}

/// Pods of one namespace.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    pods: usize,
    enrolled: usize,
    captured: usize,
}

impl Overview {
    /// Asks the server for what agents do not know.
    ///
    /// # Errors
    /// When it does not say.
    pub(super) async fn of(cluster: &Cluster, nodes: Vec<Status>) -> anyhow::Result<Self> {
        let control = rollout::deployment(&cluster.client, SYSTEM_NAMESPACE, CONTROL).await?;
        let agents = rollout::daemon_set(&cluster.client, SYSTEM_NAMESPACE, AGENTS).await?;
        Ok(Self { control, agents, nodes })
    }
}

/// The screen, or the data behind it.
pub(super) fn report(overview: Overview, form: ListForm) -> anyhow::Result<String> {
    match form.data(&overview)? {
        Some(data) => Ok(data),
        None => Ok(render(&overview)),
    }
}

/// The screen.
pub(in crate::cli) fn render(overview: &Overview) -> String {
    let mut out = format!("CONTROL   {}\n", part(overview.control.as_ref(), "replicas available"));
    out.push_str(&format!("AGENTS    {}\n", part(overview.agents.as_ref(), "nodes ready")));
    let held_up = [&overview.control, &overview.agents].into_iter().flatten().flat_map(|part| &part.reasons);
    section(&mut out, "", held_up.cloned().collect());
    out.push('\n');
    out.push_str(&nodes(&overview.nodes).render());
    let counts = counts(overview.nodes.iter().flat_map(|status| &status.pods));
    if !counts.is_empty() {
        out.push('\n');
        out.push_str(&namespaces(&counts).render());
    }
    let missing = overview
        .nodes
        .iter()
        .flat_map(|status| status.missing.iter().map(move |missing| format!("{}: {missing}", status.node)));
    section(&mut out, "NOT READY", some(missing.collect()));
    let keepers = overview
        .nodes
        .iter()
        .flat_map(|status| keeper(status).into_iter().map(move |words| format!("{}: {words}", status.node)));
    section(&mut out, "", some(keepers.collect()));
    let pods = overview.nodes.iter().flat_map(|status| &status.pods).filter(|pod| pod.enrolled);
    section(&mut out, "PODS IN TROUBLE", some(pods.flat_map(reasons).collect()));
    section(&mut out, "PROBLEMS", some(problems(&overview.nodes).iter().map(|one| problem(one)).collect()));
    out
}

/// Problems of all nodes. Every agent reads the same objects and finds the same fault with them: it is said once.
pub(in crate::cli) fn problems(nodes: &[Status]) -> Vec<&Problem> {
    let mut seen = BTreeSet::new();
    let all = nodes.iter().flat_map(|status| &status.problems);
    all.filter(|one| seen.insert((&one.object, &one.field, &one.message, &one.file))).collect()
}

fn part(rollout: Option<&Rollout>, what: &str) -> String {
    match rollout {
        None => "not installed: run `weft install`".to_owned(),
        Some(Rollout { is_observed: false, .. }) => "the controller manager has not looked at it yet".to_owned(),
        Some(rollout) => format!("{} of {} {what}", rollout.ready, rollout.wanted),
    }
}

fn nodes(nodes: &[Status]) -> Table {
    let mut table = Table::new(&["NODE", "READY", "VERSION", "SNAPSHOT", "PODS", "CAPTURED", "PROBLEMS", "UP"]);
    for status in nodes {
        let count = count(&status.pods);
        table.add(vec![
            status.node.clone(),
            yes(status.ready),
            status.version.clone(),
            snapshot(status),
            count.pods.to_string(),
            format!("{}/{}", count.captured, count.enrolled),
            status.problems.len().to_string(),
            duration(status.up_seconds),
        ]);
    }
    table
}

fn namespaces(counts: &BTreeMap<&str, Count>) -> Table {
    let mut table = Table::new(&["NAMESPACE", "PODS", "ENROLLED", "CAPTURED"]);
    for (namespace, count) in counts.iter().filter(|(_, count)| count.enrolled > 0) {
        table.add(vec![
            (*namespace).to_owned(),
            count.pods.to_string(),
            count.enrolled.to_string(),
            count.captured.to_string(),
        ]);
    }
    let rest: Vec<&Count> = counts.values().filter(|count| count.enrolled == 0).collect();
    if !rest.is_empty() {
        let pods: usize = rest.iter().map(|count| count.pods).sum();
        table.add(vec![format!("({} others)", rest.len()), pods.to_string(), "0".to_owned(), "0".to_owned()]);
    }
    table
}

fn counts<'a>(pods: impl Iterator<Item = &'a PodStatus>) -> BTreeMap<&'a str, Count> {
    let mut counts: BTreeMap<&str, Count> = BTreeMap::new();
    for pod in pods {
        counts.entry(&pod.namespace).or_default().add(pod);
    }
    counts
}

fn count(pods: &[PodStatus]) -> Count {
    let mut count = Count::default();
    pods.iter().for_each(|pod| count.add(pod));
    count
}

impl Count {
    fn add(&mut self, pod: &PodStatus) {
        self.pods += 1;
        self.enrolled += usize::from(pod.enrolled);
        self.captured += usize::from(matches!(pod.capture, Some(Capture::Proven { .. })));
    }
}

fn some(mut lines: Vec<String>) -> Vec<String> {
    let more = lines.len().saturating_sub(SHOWN_MAX);
    if more > 0 {
        lines.truncate(SHOWN_MAX);
        lines.push(format!("and {more} more: `weft status -A`, `weft check`"));
    }
    lines
}

#[cfg(test)]
mod tests;
