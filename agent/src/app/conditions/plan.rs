//! Which pod's condition is to be written next, and which one has to wait.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;
use weft_model::{snapshot::Snapshot, workload::Named};

use super::{RETRY_MAX, RETRY_MIN, of_pod};
use crate::{
    ebpf::manager::{CaptureState, States},
    kubernetes::conditions::Condition,
};

/// How long an agent may take to find the pods that run already.
const SETTLING: Duration = Duration::from_secs(15);

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The kubelet's uid for the pod.
    pub uid: Arc<str>,
    /// Its name.
    pub pod: Named,
    /// What to write; `None`: it should have no condition.
    pub condition: Option<Condition>,
}

/// What is to be written, and what was.
#[derive(Debug)]
pub struct Plan {
    node: Arc<str>,
    begun: Instant,
    wanted: BTreeMap<Arc<str>, (Named, Option<Condition>)>,
    written: HashMap<Arc<str>, Option<Condition>>,
    /// Pods about which the last write failed: when to try again, and how long was waited for that.
    failed: HashMap<Arc<str>, (Instant, Duration)>,
    /// Pods that ran before this agent did: an earlier one may have left a condition on those outside of the mesh.
    earlier: Option<BTreeSet<Arc<str>>>,
}

impl Plan {
    /// For the pods of `node`.
    pub fn new(node: Arc<str>, now: Instant) -> Self {
        let (wanted, written, failed) = (BTreeMap::new(), HashMap::new(), HashMap::new());
        Self { node, begun: now, wanted, written, failed, earlier: None }
    }

    /// The world has changed.
    pub fn follow(&mut self, snapshot: &Snapshot, states: &States, now: Instant) {
        let is_settled = now.duration_since(self.begun) > SETTLING;
        let here = || {
            let of_node = snapshot.workloads.values().filter(|workload| workload.node == self.node);
            of_node.filter(|workload| !workload.uid.is_empty())
        };
        if self.earlier.is_none() && snapshot.version > 0 {
            self.earlier = Some(here().map(|workload| workload.uid.clone()).collect());
        }
        let may_have_one = |uid: &Arc<str>| {
            self.written.contains_key(uid) || self.earlier.as_ref().is_some_and(|earlier| earlier.contains(uid))
        };
        let each = here().filter_map(|workload| {
            let condition = match (workload.is_enrolled(), states.get(&workload.pod)) {
                // It is being captured.
                (true, None) => return None,
                // It has not begun, or was not looked for.
                (true, Some(CaptureState::Pending { .. })) if workload.addresses.is_empty() || !is_settled => {
                    return None;
                }
                (true, Some(state)) => Some(of_pod(&self.node, state)),
                (false, _) => None,
            };
            let is_of_interest = condition.is_some() || may_have_one(&workload.uid);
            is_of_interest.then(|| (workload.uid.clone(), (workload.pod.clone(), condition)))
        });
        let wanted: BTreeMap<_, _> = each.collect();
        self.written.retain(|uid, _| wanted.contains_key(uid));
        self.failed.retain(|uid, _| wanted.contains_key(uid));
        self.wanted = wanted;
    }

    /// The next write that is due.
    pub fn next(&self, now: Instant) -> Option<Write> {
        let due = |uid: &Arc<str>| self.failed.get(uid).is_none_or(|(at, _)| *at <= now);
        let mut missing = self.wanted.iter().filter(|(uid, (_, condition))| self.written.get(*uid) != Some(condition));
        let (uid, (pod, condition)) = missing.find(|(uid, _)| due(uid))?;
        Some(Write { uid: uid.clone(), pod: pod.clone(), condition: condition.clone() })
    }

    /// It is written.
    pub fn done(&mut self, write: Write) {
        self.failed.remove(&write.uid);
        self.written.insert(write.uid, write.condition);
    }

    /// It could not be written; true when no other write is failing.
    pub fn failed(&mut self, uid: &Arc<str>, now: Instant) -> bool {
        let is_first = self.failed.is_empty();
        let pause = self.failed.get(uid).map_or(RETRY_MIN, |(_, pause)| (*pause * 2).min(RETRY_MAX));
        self.failed.insert(uid.clone(), (now + pause, pause));
        is_first
    }

    /// How long until the next write that failed is due again.
    pub fn retry_in(&self, now: Instant) -> Option<Duration> {
        self.failed.values().map(|(at, _)| at.saturating_duration_since(now)).min()
    }
}

#[cfg(test)]
mod tests;
