//! The world as it is read, from where the flags say.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::watch;
use weft_model::snapshot::Snapshot;

use super::{Config, pods::Cluster};
use crate::{
    discovery::{self, api_server},
    kubernetes::{ApiServer, conditions::Conditions},
    net::PodPlaces,
};

/// How long the first snapshot may take before the agent says that it is waiting.
const FIRST_SNAPSHOT: Duration = Duration::from_secs(10);

/// Where the world is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorldSource {
    /// A directory of Kubernetes manifests.
    Directory(PathBuf),
    /// An API server.
    ApiServer(ApiServer),
}

/// The world as it is read, and what else its source knows.
pub(super) struct World {
    pub(super) snapshot: watch::Receiver<Arc<Snapshot>>,
    pub(super) reports: discovery::Handle,
    /// Where pods are.
    pub(super) places: PodPlaces,
    /// What only an API server answers and takes.
    pub(super) cluster: Option<Cluster>,
}

impl World {
    pub(super) async fn open(config: &Config) -> anyhow::Result<Self> {
        let places = PodPlaces::default();
        match &config.world {
            WorldSource::Directory(directory) => {
                let (snapshot, reports) = discovery::spawn(discovery::Config::new(directory, config.node.clone()));
                Ok(Self { snapshot, reports, places, cluster: None })
            }
            WorldSource::ApiServer(server) => {
                let client = server.client().await?;
                let cluster =
                    Cluster { lookup: discovery::Lookup::new(client.clone()), conditions: Conditions::new(client) };
                let followed = api_server::Config::new(server.clone(), config.node.clone(), places.clone());
                let (snapshot, reports) = api_server::spawn(followed).await?;
                Ok(Self { snapshot, reports, places, cluster: Some(cluster) })
            }
        }
    }
}

/// Waits for it. Until then nothing on this node is touched: pods that an earlier agent captured stay refused.
pub(super) async fn first_snapshot(mut snapshot: watch::Receiver<Arc<Snapshot>>, reports: &discovery::Handle) {
    let ready = snapshot.wait_for(|snapshot| snapshot.version > 0);
    let mut ready = std::pin::pin!(ready);
    loop {
        match tokio::time::timeout(FIRST_SNAPSHOT, ready.as_mut()).await {
            Ok(Ok(_)) => return,
            // Whoever reads the world has ended, and has said why.
            Ok(Err(_closed)) => std::future::pending().await,
            Err(_elapsed) => {
                let awaited = reports.report().awaited.join(", ");
                tracing::warn!(awaited, "still waiting for the first whole snapshot of the world");
            }
        }
    }
}
