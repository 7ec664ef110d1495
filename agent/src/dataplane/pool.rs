//! Upstream connections kept for the next request. One pool for each worker, keyed by the pod that
//! owns the connections, so that no pod ever rides on another's identity.

use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    time::{Duration, Instant},
};

use weft_model::decision::UpstreamTls;

use super::http::Wire;

/// What makes two connections interchangeable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PoolKey {
    /// Namespace cookie of the pod that the connection leaves from.
    pub source: u64,
    /// Where it leads.
    pub address: SocketAddr,
    /// How it is secured, and by whom the other end is.
    pub tls: UpstreamTls,
}

struct Idle {
    wire: Wire,
    since: Instant,
}

/// Idle upstream connections of one worker.
#[derive(Default)]
pub struct Pool {
    idle: RefCell<HashMap<PoolKey, VecDeque<Idle>>>,
}

impl Pool {
    /// The connection used last among those that still live: the others may age out.
    pub fn take(&self, key: &PoolKey) -> Option<Wire> {
        let mut idle = self.idle.borrow_mut();
        let queue = idle.get_mut(key)?;
        while let Some(mut candidate) = queue.pop_back() {
            if candidate.wire.is_quiet() {
                return Some(candidate.wire);
            }
        }
        idle.remove(key);
        None
    }

    /// Keeps a connection; the one unused for longest goes when there are more than `max`.
    pub fn put(&self, key: PoolKey, wire: Wire, max: usize) {
        let mut idle = self.idle.borrow_mut();
        let queue = idle.entry(key).or_default();
        queue.push_back(Idle { wire, since: Instant::now() });
        if queue.len() > max {
            queue.pop_front();
        }
    }

    /// Closes what was unused for longer than `age`, or ended meanwhile.
    pub fn expire(&self, age: Duration) {
        let now = Instant::now();
        self.idle.borrow_mut().retain(|_, queue| {
            queue.retain_mut(|idle| now.duration_since(idle.since) < age && idle.wire.is_quiet());
            !queue.is_empty()
        });
    }

    /// Closes all idle connections of a pod.
    pub fn forget(&self, source: u64) {
        self.idle.borrow_mut().retain(|key, _| key.source != source);
    }
}
