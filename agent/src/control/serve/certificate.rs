//! What control's own servers show: a certificate of the mesh, made in memory and renewed.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwapOption;
use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use crate::{
    control::ca::authority::Following,
    identity::{MAX_TTL, ServerKey},
};

/// Names by which agents, sidecars and the API server know the control plane.
pub const NAMES: [&str; 6] = [
    "istiod.istio-system.svc",
    "istiod.istio-system.svc.cluster.local",
    "istiod.istio-system",
    "weft-control.istio-system.svc",
    "weft-control.istio-system.svc.cluster.local",
    "weft-control.istio-system",
];

/// How soon a failed attempt is repeated, and the shortest time between two certificates.
const RETRY: Duration = Duration::from_secs(5);

/// The certificate in use.
pub struct Certificate {
    names: Vec<String>,
    current: ArcSwapOption<CertifiedKey>,
}

impl Certificate {
    /// For [`NAMES`], and others by which this control plane is known.
    pub fn new(others: &[String]) -> Arc<Self> {
        let names = NAMES.iter().map(|name| (*name).to_owned()).chain(others.iter().cloned()).collect();
        Arc::new(Self { names, current: ArcSwapOption::empty() })
    }

    /// Is there one?
    pub fn is_there(&self) -> bool {
        self.current.load().is_some()
    }

    /// Keeps one from whatever signs, for as long as it is polled: a new one when other material signs, and at half life.
    pub async fn keep(&self, mut authority: Following) {
        loop {
            let current = authority.borrow_and_update().clone();
            let now = SystemTime::now();
            let wait = match current.map(|current| current.signer.server_key(&self.names, MAX_TTL, now)) {
                Some(Ok(ServerKey { key, not_after })) => {
                    self.current.store(Some(key));
                    (not_after.duration_since(now).unwrap_or_default() / 2).max(RETRY)
                }
                Some(Err(reason)) => {
                    tracing::error!(reason, "no certificate for control's own servers; the last one serves on");
                    RETRY
                }
                None => RETRY,
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                changed = authority.changed() => if changed.is_err() { return },
            }
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current.load_full()
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate(there: {})", self.is_there())
    }
}
