//! Who is asked: the agents whose sockets are on this machine, or those of a cluster.
//!
//! A cluster is meant when one is named (`--kubeconfig`, `--context`, `KUBECONFIG`), this machine when a folder of
//! sockets is (`--state-dir`). When neither is, the agents on this machine answer if there are any, else those of the
//! cluster that kubectl would ask.

mod cluster;
mod local;

use std::path::{Path, PathBuf};

use anyhow::bail;
use futures::{StreamExt, stream};
use serde::de::DeserializeOwned;

pub(super) use self::cluster::Cluster;
use super::{
    ApiServerArgs,
    client::{Agent, Answer},
    pod,
};
use crate::admin::ON_ANOTHER_NODE;

/// Agents asked at once.
const ASKED_MAX: usize = 16;

/// Where agents listen when nobody says so.
const STATE_DIR: &str = "/run/weft";

/// Whom to ask.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Where {
    #[command(flatten)]
    pub(super) cluster: ApiServerArgs,
    /// Folder of agents' sockets, to ask agents on this machine [default: /run/weft]
    #[arg(long, value_name = "DIR", env = "WEFT_STATE_DIR", help_heading = "Cluster")]
    pub state_dir: Option<PathBuf>,
}

/// Where that is.
#[derive(Debug, PartialEq, Eq)]
enum Place<'a> {
    Machine(&'a Path),
    Cluster,
}

/// The agents.
pub(super) struct Mesh {
    /// By node.
    pub(super) agents: Vec<Agent>,
    /// The cluster they are of; `None`: this machine.
    pub(super) cluster: Option<Cluster>,
}

/// What the agents said, by node.
pub(super) struct Answers<T> {
    pub(super) answers: Vec<(Agent, T)>,
    /// Nodes whose agents refused, and their words.
    pub(super) refusals: Vec<(String, String)>,
    /// Why others did not answer.
    pub(super) silent: Vec<String>,
}

impl Where {
    fn place(&self, is_kubeconfig_set: bool, has_agents: impl Fn(&Path) -> bool) -> Place<'_> {
        let usual = Path::new(STATE_DIR);
        match &self.state_dir {
            _ if self.cluster.is_named() => Place::Cluster,
            Some(state_dir) => Place::Machine(state_dir),
            None if !is_kubeconfig_set && has_agents(usual) => Place::Machine(usual),
            None => Place::Cluster,
        }
    }

    /// The agents there.
    ///
    /// # Errors
    /// When there is none, or the cluster does not answer.
    pub(super) async fn find(&self) -> anyhow::Result<Mesh> {
        let is_kubeconfig_set = std::env::var_os("KUBECONFIG").is_some_and(|value| !value.is_empty());
        match self.place(is_kubeconfig_set, local::has_agents) {
            Place::Machine(folder) => Mesh::of_machine(folder),
            Place::Cluster => {
                let cluster = Cluster::new(&self.cluster).await?;
                Ok(Mesh { agents: cluster.agents().await?, cluster: Some(cluster) })
            }
        }
    }
}

impl Mesh {
    /// The agents with sockets in a folder.
    ///
    /// # Errors
    /// When there are none.
    pub(super) fn of_machine(folder: &Path) -> anyhow::Result<Self> {
        Ok(Self { agents: local::agents(folder)?, cluster: None })
    }

    /// The pod that a person means, as agents spell it: `namespace/name`.
    ///
    /// # Errors
    /// When what is named is no pod.
    pub(super) fn pod(&self, text: &str, namespace: Option<&str>) -> anyhow::Result<String> {
        let usual = self.cluster.as_ref().map(Cluster::default_namespace);
        pod::qualify(text, namespace, usual)
    }

    /// The pod or Service that a person means, `namespace/name`.
    ///
    /// # Errors
    /// When what is named is neither.
    pub(super) fn pod_or_service(&self, text: &str, namespace: Option<&str>) -> anyhow::Result<(pod::Kind, String)> {
        pod::kind_and_name(text, namespace, self.cluster.as_ref().map(Cluster::default_namespace))
    }

    /// Asks one agent after the other until one has an answer.
    ///
    /// # Errors
    /// What they say when none has.
    pub(super) async fn ask_any(&self, page: &str) -> anyhow::Result<(Agent, String)> {
        ask_each(&self.agents, page).await
    }

    /// Asks every agent for a page.
    pub(super) async fn ask_all(&self, page: &str) -> Answers<Answer> {
        let questions = self.agents.iter().map(|agent| async move { (agent.clone(), agent.get(page).await) });
        let mut all: Vec<_> = stream::iter(questions).buffer_unordered(ASKED_MAX).collect().await;
        all.sort_by(|(a, _), (b, _)| a.node.cmp(&b.node));
        let mut said = Answers { answers: Vec::new(), refusals: Vec::new(), silent: Vec::new() };
        for (agent, answer) in all {
            match answer {
                Ok(answer) if answer.status.is_success() => said.answers.push((agent, answer)),
                Ok(answer) => said.refusals.push((agent.node, answer.body.trim_end().to_owned())),
                Err(error) => said.silent.push(format!("{error:#}")),
            }
        }
        said
    }

    /// Asks the agent of the pod's node for a page about it; returns that agent and what it said.
    ///
    /// # Errors
    /// What is said about the pod when nobody has it, and who did not answer.
    pub(super) async fn ask_pods_agent(&self, pod: &str, page: &str) -> anyhow::Result<(Agent, String)> {
        let Some(cluster) = &self.cluster else { return ask_each(&self.agents, page).await };
        let node = cluster.node_of(pod).await?;
        let Some(agent) = self.agents.iter().find(|agent| agent.node == node) else {
            bail!("pod {pod} runs on node {node}, where no agent runs: `weft status` says why");
        };
        let answer = agent.get(page).await?;
        anyhow::ensure!(answer.status.is_success(), "{}", answer.body.trim_end());
        Ok((agent.clone(), answer.body))
    }
}

/// Asks one after the other until one has the pod.
async fn ask_each(agents: &[Agent], page: &str) -> anyhow::Result<(Agent, String)> {
    let mut refusals = Vec::new();
    let mut silent = Vec::new();
    for agent in agents {
        match agent.get(page).await {
            Ok(answer) if answer.status.is_success() => return Ok((agent.clone(), answer.body)),
            Ok(answer) => refusals.push(answer),
            Err(error) => silent.push(format!("{error:#}")),
        }
    }
    // An agent that knows where the pod is says more than one that does not know the pod.
    refusals.sort_by_key(|answer| answer.status != ON_ANOTHER_NODE);
    let said = refusals.first().map(|answer| answer.body.trim_end().to_owned());
    let elsewhere = refusals.first().is_some_and(|answer| answer.status == ON_ANOTHER_NODE);
    let hint = if elsewhere { Some("run this on that node, or name its --state-dir".to_owned()) } else { None };
    let parts: Vec<String> = said.into_iter().chain(hint).chain(silent).collect();
    bail!("{}", parts.join("; "))
}

impl Answers<Answer> {
    /// The answers, read. One that cannot be is another version's, and as good as none: the others still count.
    pub(super) fn parsed<T: DeserializeOwned>(self) -> Answers<T> {
        let mut parsed = Answers { answers: Vec::new(), refusals: self.refusals, silent: self.silent };
        for (agent, answer) in self.answers {
            match serde_json::from_str(&answer.body) {
                Ok(value) => parsed.answers.push((agent, value)),
                Err(error) => {
                    parsed.silent.push(format!("the agent of node {} is of another version: {error}", agent.node));
                }
            }
        }
        parsed
    }
}

impl<T> Answers<T> {
    /// Whoever was asked and has no answer, a line each.
    pub(super) fn complaints(&self) -> Vec<String> {
        let refused = self.refusals.iter().map(|(node, words)| format!("agent of node {node}: {words}"));
        refused.chain(self.silent.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests;
