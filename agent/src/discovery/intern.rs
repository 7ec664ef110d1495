//! One copy of each string that objects share: names, label keys and values, whole sets of labels.
//!
//! Ten thousand pods have a few hundred different labels; reading gives each of them the same [`Arc`]. What nobody
//! uses any more is forgotten in passing, so the pool is never more than about twice what is in use.

use std::{
    collections::{BTreeMap, HashSet},
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use weft_model::workload::Labels;

/// A pool smaller than this is not worth a look.
const SWEEP_FROM: usize = 1024;

/// The pool. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Interner {
    pools: Arc<Mutex<Pools>>,
}

#[derive(Debug, Default)]
struct Pools {
    strings: Pool<str>,
    labels: Pool<Labels>,
}

impl Interner {
    /// The string, shared with all who asked for the same.
    pub fn text(&self, text: &str) -> Arc<str> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner).strings.text(text)
    }

    /// A map of strings as labels, shared as a whole and in its parts.
    pub fn labels(&self, map: Option<&BTreeMap<String, String>>) -> Arc<Labels> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let Pools { strings, labels } = &mut *pools;
        let written = map.into_iter().flatten();
        let set: Labels = written.map(|(key, value)| (strings.text(key), strings.text(value))).collect();
        labels.share(Arc::new(set))
    }
}

#[derive(Debug)]
struct Pool<T: ?Sized> {
    known: HashSet<Arc<T>>,
    /// Size at which to look for what nobody uses.
    sweep_at: usize,
}

impl<T: ?Sized> Default for Pool<T> {
    fn default() -> Self {
        Self { known: HashSet::new(), sweep_at: SWEEP_FROM }
    }
}

impl<T: ?Sized + Eq + Hash> Pool<T> {
    fn share(&mut self, value: Arc<T>) -> Arc<T> {
        if let Some(known) = self.known.get(&value) {
            return known.clone();
        }
        if self.known.len() >= self.sweep_at {
            self.known.retain(|one| Arc::strong_count(one) > 1);
            self.sweep_at = (2 * self.known.len()).max(SWEEP_FROM);
        }
        self.known.insert(value.clone());
        value
    }
}

impl Pool<str> {
    fn text(&mut self, text: &str) -> Arc<str> {
        match self.known.get(text) {
            Some(known) => known.clone(),
            None => self.share(text.into()),
        }
    }
}

#[cfg(test)]
mod tests;
