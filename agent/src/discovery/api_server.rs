//! The world from an API server, watched.
//!
//! `weft agent` without `--manifests` calls [`spawn`]. Every kind has a watch ([`watch`]) that survives what happens to
//! an API server; [`source`] owns what they tell, and publishes a world when all of them were read once, then soon after
//! each change. While the server is away the last world stays in force, and the report says since when.
//!
//! All of it runs in a thread of its own: reading ten thousand pods takes its time, and nothing else waits for it.

pub mod catalog;
mod clients;
mod contact;
mod failure;
mod health;
mod message;
mod objects;
mod pace;
mod retry;
mod source;
mod watch;

use std::{io, sync::Arc};

use tokio::sync::{oneshot, watch as channel};
use weft_model::snapshot::Snapshot;

use self::{clients::Clients, source::Source};
use super::{handle::Handle, parse::Settings, publish::Publisher};
use crate::{
    kubernetes::{ApiServer, ConnectError},
    net::PodPlaces,
};

/// Where problems of objects are, as files are in a directory.
pub const PLACE: &str = "api server";

/// What to read, and for whom.
#[derive(Clone, Debug)]
pub struct Config {
    /// The API server.
    pub server: ApiServer,
    /// The agent's node.
    pub node: Arc<str>,
    /// DNS suffix of the cluster.
    pub cluster_domain: Arc<str>,
    /// Who knows where the pods of this node are.
    pub places: PodPlaces,
}

impl Config {
    /// The usual configuration: `cluster.local`.
    pub fn new(server: ApiServer, node: impl Into<Arc<str>>, places: PodPlaces) -> Self {
        Self { server, node: node.into(), cluster_domain: Settings::default().cluster_domain, places }
    }
}

/// Why an API server cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// Nobody says where it is.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The machine has no thread left.
    #[error("cannot start the thread that follows the API server: {0}")]
    Thread(#[from] io::Error),
}

/// Follows the API server. It need not be there yet: the snapshot has version 0 until everything was read, and the report
/// says what is missing.
///
/// # Errors
/// When nothing says where the API server is, or what does cannot be read.
pub async fn spawn(config: Config) -> Result<(channel::Receiver<Arc<Snapshot>>, Handle), SpawnError> {
    let (publisher, snapshots, reports) = Publisher::new();
    let (started, start) = oneshot::channel();
    let (stop, stopped) = channel::channel(());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("weft-discovery".to_owned()).spawn(move || {
        runtime.block_on(async move {
            let clients = match Clients::new(config.server.clone()).await {
                Ok(clients) => clients,
                Err(error) => {
                    // Whoever waited may have gone.
                    let _ = started.send(Err(error));
                    return;
                }
            };
            let _ = started.send(Ok(()));
            let (source, inbox) = Source::new(config, clients, publisher);
            source.run(inbox, stopped).await;
        });
    })?;
    start.await.map_err(|_panicked| io::Error::other("it ended at once"))??;
    Ok((snapshots, Handle::new(reports, move || drop(stop))))
}

#[cfg(test)]
mod tests;
