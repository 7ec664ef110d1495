//! What a person or a probe asks a running agent, over HTTP on a unix socket (and on TCP when asked for).
//!
//! | path | answer |
//! |---|---|
//! | `/live` | 200 while the agent answers at all |
//! | `/ready` | 200 when everything this node needs is in place, else 503 and the reasons, one per line |
//! | `/metrics` | the agent's own metrics, for Prometheus |
//! | `/status` | [`status::Status`]: the pods of this node, and what is wrong |
//! | `/explain?from=&to=` | [`explain::Explanation`]: what would become of a request, and by which rule |
//! | `/logs?pod=&after=` | [`LogLines`]: a pod's access log |
//! | `/stats?pod=` | a pod's Istio series, for Prometheus |
//! | `/trust` | [`Trust`]: the roots that peers are judged by; `weft control` asks before a new one signs |
//! | `/config?pod=` | [`config::PodConfig`]: what a pod's traffic is decided by |
//! | `/describe?pod=`, `?service=` | [`describe`]: everything that applies to one of them |
//! | `/snapshot` | what the decisions are made from, in short |
//!
//! `app` serves a [`Front`], and fills [`Admin`] for it when there is a world; `cli` asks. Nothing here changes anything: who may read the socket (mode
//! 0600) or reach the TCP address may know what the mesh does, never direct it.

pub mod config;
pub mod describe;
pub mod explain;
mod front;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod pods;
mod query;
mod ready;
mod route;
mod server;
mod socket;
pub mod status;
mod summary;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, sync::Arc, time::Instant};

pub use front::Front;
pub(crate) use socket::OwnersSocket;
pub use socket::{BindError, answers, ensure_possible};
use tokio::sync::watch;
use weft_model::snapshot::Snapshot;

use crate::{
    discovery::Report,
    ebpf::{
        kubelet::Recognised,
        manager::{KeeperState, Standing, States},
    },
    identity::Identities,
    telemetry::{Telemetry, agent::AgentMetrics},
};

/// What the agent's parts have to say, for those who ask.
pub struct Admin {
    /// This node.
    pub node: Arc<str>,
    /// The world as it is now.
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    /// What became of this node's enrolled pods.
    pub states: watch::Receiver<States>,
    /// What this agent is to the node.
    pub standing: watch::Receiver<Standing>,
    /// How the keeper of the pods' listeners is.
    pub keeper: watch::Receiver<KeeperState>,
    /// What is known of the node's kubelet.
    pub kubelet: watch::Receiver<Recognised>,
    /// Certificates of this node's workloads.
    pub identities: Arc<Identities>,
    /// Series and logs of this node's pods.
    pub telemetry: Arc<Telemetry>,
    /// The agent's own metrics.
    pub metrics: Arc<AgentMetrics>,
    /// What is wrong with the configuration.
    pub report: watch::Receiver<Arc<Report>>,
    /// When the agent started.
    pub started: Instant,
}

/// Lines of a pod's access log (`/logs`).
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LogLines {
    /// Lines, oldest first.
    pub lines: Vec<Arc<str>>,
    /// Pass it as `after` to get what came since.
    pub next: u64,
}

/// Whom this node believes (`/trust`).
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Trust {
    /// SHA-256 of each root, hexadecimal.
    pub roots: std::collections::BTreeSet<String>,
}

impl Admin {
    /// The roots that peers are judged by now.
    pub fn trust(&self) -> Trust {
        let roots = self.identities.roots();
        Trust { roots: roots.iter().flat_map(crate::identity::TrustBundle::fingerprints).collect() }
    }
}

/// Where the agent of `node` listens.
pub fn socket_path(state_dir: &std::path::Path, node: &str) -> PathBuf {
    state_dir.join(format!("{node}{}", SOCKET_SUFFIX))
}

/// Ending of the sockets' file names.
pub const SOCKET_SUFFIX: &str = ".sock";

/// Status of answers about a pod that runs on another node (421 Misdirected Request, RFC 9110 section 15.5.20).
pub const ON_ANOTHER_NODE: http::StatusCode = http::StatusCode::MISDIRECTED_REQUEST;
