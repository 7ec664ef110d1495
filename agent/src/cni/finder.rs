//! Finds the namespaces of pods that run already: when the agent starts, when a pod enters the mesh by a label, and when
//! the process ends by whose number a namespace was found.
//!
//! /proc has no events. So the look is taken when the world has an enrolled pod of this node without a place, again after
//! growing pauses while it stays without, and a slow timer looks whether the places still lead where they did.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::watch, task::spawn_blocking, time::sleep};
use weft_model::snapshot::Snapshot;

use super::{
    registry::Registry,
    scan::{Scan, Scanner},
};

/// Pauses between looks for pods that were not found: the first, and the longest.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// How often places are checked without any reason.
const CHECK: Duration = Duration::from_secs(15);

/// Keeps the places of this node's enrolled pods.
pub struct Finder {
    node: Arc<str>,
    registry: Registry,
    scanner: Scanner,
    /// Pods that the last look did not find.
    missing: BTreeSet<Arc<str>>,
    pause: Duration,
}

impl Finder {
    /// A finder for the pods of `node`.
    pub fn new(node: Arc<str>, registry: Registry, scanner: Scanner) -> Self {
        Self { node, registry, scanner, missing: BTreeSet::new(), pause: PAUSE_MIN }
    }

    /// Follows the world until it ends.
    pub async fn run(mut self, mut snapshots: watch::Receiver<Arc<Snapshot>>) {
        let mut looked = None;
        loop {
            let snapshot = snapshots.borrow_and_update().clone();
            let unplaced = self.unplaced(&snapshot);
            let wait = self.wait(&unplaced, looked);
            if !unplaced.is_empty() && wait.is_zero() {
                self.look(&snapshot, unplaced).await;
                looked = Some(Instant::now());
                continue;
            }
            tokio::select! {
                changed = snapshots.changed() => if changed.is_err() { return },
                () = sleep(wait) => {}
            }
        }
    }

    /// Enrolled pods of this node of which nobody knows where they are. Forgets those that have left.
    fn unplaced(&self, snapshot: &Snapshot) -> BTreeSet<Arc<str>> {
        if snapshot.version == 0 {
            return BTreeSet::new();
        }
        let here = || {
            let of_node = snapshot.workloads.values().filter(|workload| workload.node == self.node);
            of_node.filter(|workload| !workload.uid.is_empty())
        };
        self.registry.retain(&here().map(|workload| workload.uid.clone()).collect(), Instant::now());
        let enrolled = here().filter(|workload| workload.is_enrolled());
        self.registry.without_place(enrolled.map(|workload| workload.uid.clone()))
    }

    /// How long to wait before the next look, or the next check. Pods that the last look did not find wait for longer and
    /// longer; a new one waits no longer than the shortest pause.
    fn wait(&self, unplaced: &BTreeSet<Arc<str>>, looked: Option<Instant>) -> Duration {
        if unplaced.is_empty() {
            return CHECK;
        }
        let pause = if unplaced.is_subset(&self.missing) { self.pause } else { PAUSE_MIN };
        looked.map_or(Duration::ZERO, |looked| pause.saturating_sub(looked.elapsed()))
    }

    async fn look(&mut self, snapshot: &Snapshot, unplaced: BTreeSet<Arc<str>>) {
        let (scanner, registry) = (self.scanner.clone(), self.registry.clone());
        let scanned = spawn_blocking(move || {
            let scan = scanner.scan(&unplaced).map(|scan| note(&registry, scan));
            (scan, unplaced)
        });
        let Ok((scan, unplaced)) = scanned.await else {
            tracing::error!("the look for pods' namespaces panicked");
            return;
        };
        let missing = match scan {
            Ok(missing) => missing,
            Err(error) => {
                let reason = format!("cannot read the node's /proc: {error} (the agent's pod needs hostPID)");
                unplaced.into_iter().map(|uid| (uid, reason.clone())).collect()
            }
        };
        let uids: BTreeSet<Arc<str>> = missing.iter().map(|(uid, _)| uid.clone()).collect();
        let is_known = uids == self.missing;
        self.pause = if is_known { (self.pause * 2).min(PAUSE_MAX) } else { PAUSE_MIN };
        for (uid, reason) in missing.iter().filter(|(uid, _)| !self.missing.contains(uid)) {
            let Some(workload) = snapshot.workloads.values().find(|workload| workload.uid == *uid) else { continue };
            // Without an address it has not begun: the plugin will say where it is.
            if !workload.addresses.is_empty() {
                let pod = &workload.pod;
                tracing::warn!(%pod, reason, "the network namespace of a pod is not known; looking again");
            }
        }
        self.missing = uids;
    }
}

/// Notes what was found, and returns what was not, with the reason.
fn note(registry: &Registry, scan: Scan) -> Vec<(Arc<str>, String)> {
    let mut missing: Vec<_> = scan.missing.into_iter().collect();
    missing.iter().for_each(|(uid, _)| registry.lost(uid));
    for (uid, found) in scan.found {
        let path = found.path.clone();
        match registry.found(&uid, found) {
            Ok(()) => tracing::debug!(%uid, netns = %path.display(), "found a pod's network namespace"),
            Err(error) => missing.push((uid, format!("network namespace {}: {error}", path.display()))),
        }
    }
    missing
}

#[cfg(test)]
mod tests;
