//! A map that never grows beyond its maximum: the entry used longest ago makes room.
//!
//! [`super::sessions`] and [`super::WorkloadIdentity`] keep what peers cause here, so its size needs a bound.

use std::{collections::HashMap, hash::Hash};

/// Least-recently-used map. Making room scans all entries, which costs little beside what is stored here
/// (a TLS configuration, a session): both follow a handshake.
pub(super) struct BoundedMap<K, V> {
    entries: HashMap<K, (u64, V)>,
    max: usize,
    uses: u64,
}

impl<K: Clone + Eq + Hash, V> BoundedMap<K, V> {
    /// An empty map for `max` entries (at least one).
    pub(super) fn new(max: usize) -> Self {
        Self { entries: HashMap::new(), max: max.max(1), uses: 0 }
    }

    /// The value of `key`, which thereby becomes the most recently used.
    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.uses += 1;
        let uses = self.uses;
        self.entries.get_mut(key).map(|(used, value)| {
            *used = uses;
            value
        })
    }

    /// The value of `key`, made by `make` when there is none.
    pub(super) fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        self.uses += 1;
        if self.entries.len() >= self.max && !self.entries.contains_key(&key) {
            let oldest = self.entries.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                self.entries.remove(&oldest);
            }
        }
        let uses = self.uses;
        let (used, value) = self.entries.entry(key).or_insert_with(|| (uses, make()));
        *used = uses;
        value
    }
}

#[cfg(test)]
mod tests;
