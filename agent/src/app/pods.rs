//! Assembles what has to do with the node's pods as Kubernetes sees them: where they are, that none starts before it is
//! captured, and that their states can be read from their objects.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use async_trait::async_trait;
use tokio::sync::{Mutex, watch};
use weft_model::{
    snapshot::Snapshot,
    workload::{Enrolment, Named},
};

use super::{Config, conditions, world::WorldSource};
use crate::{
    cni::{
        finder::Finder,
        install::{self, Installed, Installer, binary},
        known::Known,
        registry::Registry,
        scan::Scanner,
        server::{Ability, PodLookup, Server},
    },
    discovery::Lookup,
    ebpf::manager::{Standing, States},
    kubernetes::conditions::Conditions,
    lifecycle::Drain,
    net::PodPlaces,
    telemetry::agent::AgentMetrics,
};

/// How often what could not be written is written again.
const RETRY: Duration = Duration::from_secs(5);

/// The CNI plugin and its place on the node.
#[derive(Clone, Debug)]
pub struct CniConfig {
    /// Socket on which the plugin asks.
    pub socket: PathBuf,
    /// What the plugin knows without an agent.
    pub state: PathBuf,
    /// Folders of plugins and of network configurations; `None` leaves them alone.
    pub folders: Option<(PathBuf, PathBuf)>,
    /// Namespace of weft's own pods.
    pub agent_namespace: String,
}

/// An API server's answers about pods, and the place for theirs; `None` in directory mode.
pub struct Cluster {
    /// Asks about one pod.
    pub lookup: Lookup,
    /// Writes conditions.
    pub conditions: Conditions,
}

/// What these parts need of the others.
pub struct Surroundings {
    /// This node.
    pub node: Arc<str>,
    /// Where pods are.
    pub registry: Registry,
    /// The world.
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    /// What became of enrolled pods.
    pub states: watch::Receiver<States>,
    /// What this agent is to the node.
    pub standing: watch::Receiver<Standing>,
    /// The agent's own metrics.
    pub metrics: Arc<AgentMetrics>,
    /// When the agent ends.
    pub drain: Drain,
    /// Can this machine capture?
    pub ability: Ability,
}

/// Where the node's pods are. Those of a cluster are looked for from now on, in a task of the caller's runtime; in a
/// directory it is written.
pub fn find(config: &Config, places: PodPlaces, snapshot: watch::Receiver<Arc<Snapshot>>) -> Registry {
    let registry = Registry::new(places);
    if matches!(config.world, WorldSource::ApiServer(_)) {
        tokio::spawn(Finder::new(config.node.clone(), registry.clone(), Scanner::default()).run(snapshot));
    }
    registry
}

/// Starts the others, in tasks of the caller's runtime.
///
/// # Errors
/// When the plugin's socket cannot be made.
pub async fn start(config: Option<&CniConfig>, cluster: Option<Cluster>, around: Surroundings) -> anyhow::Result<()> {
    let (lookup, conditions) = cluster.map(|cluster| (cluster.lookup, cluster.conditions)).unzip();
    let installed = match config {
        Some(config) => serve(config, lookup, &around).await?,
        None => None,
    };
    if let Some(conditions) = conditions {
        let Surroundings { node: name, snapshot, states, standing, ability, .. } = around;
        let (of_node, of_pods, name_too) = (conditions.clone(), conditions, name.clone());
        tokio::spawn(while_owner(standing.clone(), move || {
            conditions::keep_node(of_node.clone(), name_too.clone(), ability.clone(), installed.clone())
        }));
        tokio::spawn(while_owner(standing, move || {
            conditions::keep_pods(of_pods.clone(), name.clone(), snapshot.clone(), states.clone())
        }));
    }
    Ok(())
}

/// Does what only the owner of the node may do: from the beginning whenever this agent has the node, until another one
/// has taken it over.
async fn while_owner<F: Future<Output = ()>>(mut standing: watch::Receiver<Standing>, work: impl Fn() -> F) {
    // Where nobody can tell of a change any more, there is none.
    while standing.wait_for(|standing| standing.is_owner()).await.is_ok() {
        tokio::select! {
            () = work() => return,
            Ok(_) = standing.wait_for(|standing| !standing.is_owner()) => {}
        }
    }
}

async fn serve(
    config: &CniConfig,
    lookup: Option<Lookup>,
    around: &Surroundings,
) -> anyhow::Result<Option<watch::Receiver<Installed>>> {
    let server = Server {
        node: around.node.clone(),
        registry: around.registry.clone(),
        snapshot: around.snapshot.clone(),
        states: around.states.clone(),
        lookup: lookup.map(|lookup| Arc::new(ByApiServer(lookup)) as Arc<dyn PodLookup>),
        ability: around.ability.clone(),
        scanner: Scanner::default(),
        metrics: around.metrics.clone(),
        standing: around.standing.clone(),
        drain: around.drain.clone(),
    };
    server.serve(&config.socket).await.with_context(|| "the CNI plugin could not ask".to_owned())?;
    let (known, snapshot) = (config.state.clone(), around.snapshot.clone());
    tokio::spawn(while_owner(around.standing.clone(), move || keep_known(known.clone(), snapshot.clone())));
    let Some((bin_dir, conf_dir)) = config.folders.clone() else { return Ok(None) };
    let (installer, installed) = Installer::new(install::Config {
        program: binary::SELF.into(),
        bin_dir,
        conf_dir,
        socket: config.socket.clone(),
        state: config.state.clone(),
        agent_namespace: config.agent_namespace.clone(),
    });
    // Two agents would install their plugins in turns.
    let installer = Arc::new(Mutex::new(installer));
    tokio::spawn(while_owner(around.standing.clone(), move || {
        let installer = installer.clone();
        async move { installer.lock().await.keep().await }
    }));
    tokio::spawn(count(installed.clone(), around.metrics.clone()));
    Ok(Some(installed))
}

/// Writes down which namespaces are in the mesh, whenever that changes.
async fn keep_known(path: PathBuf, mut snapshot: watch::Receiver<Arc<Snapshot>>) {
    let mut written = None;
    let mut is_failing = false;
    loop {
        let now = snapshot.borrow_and_update().clone();
        let known = Known::of(&now);
        if now.version > 0 && written.as_ref() != Some(&known) {
            match known.write(&path) {
                Ok(()) => (written, is_failing) = (Some(known), false),
                Err(error) => {
                    if !std::mem::replace(&mut is_failing, true) {
                        tracing::error!(%error, path = %path.display(), "cannot write down which namespaces are enrolled");
                    }
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
            }
        }
        if snapshot.changed().await.is_err() {
            return;
        }
    }
}

async fn count(mut installed: watch::Receiver<Installed>, metrics: Arc<AgentMetrics>) {
    loop {
        let is_installed = matches!(&*installed.borrow_and_update(), Installed::Yes { .. });
        metrics.cni_installed.set(is_installed.into());
        if installed.changed().await.is_err() {
            return;
        }
    }
}

/// [`Lookup`] for the plugin's desk.
struct ByApiServer(Lookup);

#[async_trait]
impl PodLookup for ByApiServer {
    async fn enrolment(&self, pod: &Named, uid: &str) -> Result<Option<Enrolment>, String> {
        self.0.enrolment(pod, uid).await.map_err(|error| error.to_string())
    }
}
