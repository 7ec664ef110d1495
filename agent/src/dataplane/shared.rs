//! What all workers share: the world, the identities, the ear, and the bounds.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;
use weft_model::snapshot::Snapshot;

use super::event::Observe;
use crate::{identity::Identities, lifecycle::Drain};

/// Shared by all workers of an agent.
pub struct Shared {
    /// The world as it is now.
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    /// Certificates of this node's workloads.
    pub identities: Arc<Identities>,
    /// Told about every request and connection.
    pub observe: Arc<dyn Observe>,
    /// Tells when the agent ends.
    pub drain: Drain,
    /// Bounds.
    pub limits: Limits,
}

/// Named bounds of the data plane.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Time to connect upstream (Istio: `meshConfig.connectTimeout`, 10 s).
    pub connect_timeout: Duration,
    /// Time for a TLS handshake (Envoy: `transport_socket_connect_timeout`, 15 s).
    pub handshake_timeout: Duration,
    /// How long a peer of unknown protocol may be silent before the server is asked to speak.
    pub sniff_wait: Duration,
    /// Time from a request's first byte to the end of its head.
    pub head_timeout: Duration,
    /// How long a client's connection may be idle between requests (Envoy: 1 h).
    pub idle_timeout: Duration,
    /// How long an unused upstream connection is kept: less than `idle_timeout` of the peer.
    pub pool_idle_timeout: Duration,
    /// Unused upstream connections kept per worker and destination.
    pub pool_idle_max: usize,
    /// Open connections per pod, worker and direction; further ones are reset.
    pub connections_per_pod_max: usize,
}

impl Limits {
    /// The default bounds, lowered to what a process with `descriptors` can keep: each connection needs two, and one pod
    /// may have half of all, so that its neighbours' are still accepted.
    pub fn within(descriptors: u64, workers: usize) -> Self {
        let limits = Self::default();
        let share = usize::try_from(descriptors).unwrap_or(usize::MAX) / (4 * workers.max(1));
        Self { connections_per_pod_max: limits.connections_per_pod_max.min(share.max(1)), ..limits }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(15),
            sniff_wait: Duration::from_millis(100),
            head_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(3600),
            pool_idle_timeout: Duration::from_secs(90),
            pool_idle_max: 512,
            connections_per_pod_max: 20_000,
        }
    }
}
