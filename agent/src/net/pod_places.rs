//! Where the pods of this node are: network namespace and addresses, by pod uid.
//!
//! Filled by whoever meets pods on the node (the CNI plugin's calls for new pods, the look through /proc for running
//! ones); read by discovery, for which the API server says neither the namespace nor, early in a pod's life, an
//! address. Nothing here opens a namespace or checks whose it is: capture does, before it trusts one.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;

/// Pods that a node may have places for: several times what a kubelet takes (110 by default, some run 500).
pub const MAX_PLACES: usize = 4096;

/// Where one pod is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Absolute path of its network namespace, for [`super::Netns::open`].
    pub netns: Arc<str>,
    /// Its addresses, the primary one first; empty while they are not known.
    pub addresses: Vec<IpAddr>,
}

/// More pods than [`MAX_PLACES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_PLACES} pods have places on this node already: none is kept for another one until some leave")]
pub struct TooMany;

/// All places of this node. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct PodPlaces {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    places: Mutex<HashMap<Arc<str>, Place>>,
    /// Counts changes; only to wake those who wait for one.
    changes: watch::Sender<u64>,
}

impl PodPlaces {
    /// Notes where a pod is, in place of what was known before. `uid` is the kubelet's name for the pod: for static
    /// pods not the uid of their mirror object, but its annotation `kubernetes.io/config.mirror`.
    ///
    /// # Errors
    /// When the pod is new and there is no room for it.
    pub fn set(&self, uid: &str, place: Place) -> Result<(), TooMany> {
        let mut places = self.shared.places.lock().unwrap_or_else(PoisonError::into_inner);
        let known = places.get(uid);
        if known == Some(&place) {
            return Ok(());
        }
        if known.is_none() && places.len() >= MAX_PLACES {
            return Err(TooMany);
        }
        places.insert(uid.into(), place);
        drop(places);
        self.shared.changes.send_modify(|count| *count += 1);
        Ok(())
    }

    /// Forgets a pod that has left.
    pub fn remove(&self, uid: &str) {
        let known = self.shared.places.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
        if known.is_some() {
            self.shared.changes.send_modify(|count| *count += 1);
        }
    }

    /// Where the pod is, when that is known.
    pub fn get(&self, uid: &str) -> Option<Place> {
        self.shared.places.lock().unwrap_or_else(PoisonError::into_inner).get(uid).cloned()
    }

    /// Wakes with every change: `changed().await` on it, then [`Self::get`]. Its number means nothing by itself.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }
}

#[cfg(test)]
mod tests;
