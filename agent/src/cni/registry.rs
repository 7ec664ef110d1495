//! The places of this node's pods as they are found: by the CNI plugin's calls and by looking through /proc.
//!
//! Discovery reads [`PodPlaces`]; what is kept here beside it says which namespace each place means, so that a path that
//! came to lead elsewhere is noticed, and that a late call about an earlier sandbox changes nothing.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    net::IpAddr,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::scan::Found;
use crate::net::{Netns, Place, PodPlaces, netns::NetnsId, pod_places::TooMany, routes};

/// A place whose pod never appears in the world is forgotten after this time: the API server may be away for long,
/// and pods that failed to start leave by a call of their own.
const UNSEEN_MAX: Duration = Duration::from_secs(15 * 60);

/// Places, and what they are known by. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    places: PodPlaces,
    entries: Arc<Mutex<HashMap<Arc<str>, Entry>>>,
}

#[derive(Debug)]
struct Entry {
    netns: Arc<str>,
    id: NetnsId,
    /// The sandbox that a call of the plugin named.
    container: Option<String>,
    since: Instant,
    /// The world has, or had, a pod with this uid.
    is_seen: bool,
}

impl Entry {
    /// Does the path still lead there?
    fn is_current(&self) -> bool {
        NetnsId::at(&*self.netns).is_ok_and(|now| now == self.id)
    }
}

impl Registry {
    /// A registry that fills `places`.
    pub fn new(places: PodPlaces) -> Self {
        Self { places, entries: Arc::default() }
    }

    /// A runtime has made a sandbox for the pod: that is where it is, whatever was known before.
    ///
    /// # Errors
    /// When the path leads nowhere, or there are too many pods.
    pub fn add(&self, uid: &str, container: &str, netns: &Path, addresses: Vec<IpAddr>) -> io::Result<()> {
        let id = NetnsId::at(netns)?;
        let container = Some(container.to_owned());
        self.set(&mut self.entries(), uid, netns, id, container, addresses).map_err(io::Error::other)
    }

    /// A sandbox has ended. The call may come late, or twice, when the pod has another one already.
    pub fn delete(&self, container: &str) {
        self.entries().retain(|uid, entry| {
            let is_it = entry.container.as_deref() == Some(container);
            if is_it {
                self.places.remove(uid);
            }
            !is_it
        });
    }

    /// What a look through /proc has found. A place that is still current is left as it is.
    ///
    /// # Errors
    /// When the namespace cannot be entered, or there are too many pods.
    pub fn found(&self, uid: &str, found: Found) -> io::Result<()> {
        let Found { file, path, id } = found;
        let addresses = routes::addresses(&Netns::from_file(file, path.clone())?)?;
        let mut entries = self.entries();
        if entries.get(uid).is_some_and(Entry::is_current) {
            return Ok(());
        }
        self.set(&mut entries, uid, &path, id, None, addresses).map_err(io::Error::other)
    }

    /// Those of `uids` that have no place, or one whose path leads elsewhere by now.
    pub fn without_place(&self, uids: impl Iterator<Item = Arc<str>>) -> BTreeSet<Arc<str>> {
        let entries = self.entries();
        uids.filter(|uid| !entries.get(uid).is_some_and(Entry::is_current)).collect()
    }

    /// Forgets a place that is not current any more, and of which nothing else was found.
    pub fn lost(&self, uid: &str) {
        let mut entries = self.entries();
        if entries.get(uid).is_some_and(|entry| !entry.is_current()) {
            entries.remove(uid);
            self.places.remove(uid);
        }
    }

    /// Forgets pods that the world does not have any more. `present` are the uids of all pods of this node.
    pub fn retain(&self, present: &BTreeSet<Arc<str>>, now: Instant) {
        self.entries().retain(|uid, entry| {
            let is_present = present.contains(uid);
            entry.is_seen |= is_present;
            let stays = is_present || (!entry.is_seen && now.duration_since(entry.since) < UNSEEN_MAX);
            if !stays {
                self.places.remove(uid);
            }
            stays
        });
    }

    fn set(
        &self,
        entries: &mut HashMap<Arc<str>, Entry>,
        uid: &str,
        netns: &Path,
        id: NetnsId,
        container: Option<String>,
        addresses: Vec<IpAddr>,
    ) -> Result<(), TooMany> {
        let netns: Arc<str> = netns.to_string_lossy().into();
        let is_seen = entries.get(uid).is_some_and(|entry| entry.is_seen);
        self.places.set(uid, Place { netns: netns.clone(), addresses })?;
        entries.insert(uid.into(), Entry { netns, id, container, since: Instant::now(), is_seen });
        Ok(())
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Arc<str>, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
