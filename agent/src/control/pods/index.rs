//! The index itself: pods by uid, and how many each identity has on each node.

use std::{collections::HashMap, sync::Arc};

use kube::ResourceExt;

use super::slim::SlimPod;

/// A service account on a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NodeIdentity {
    /// Node.
    pub node: Arc<str>,
    /// Namespace.
    pub namespace: Arc<str>,
    /// Service account.
    pub service_account: Arc<str>,
}

/// A pod of an account that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
    /// Node.
    pub node: Arc<str>,
}

/// What is kept of a pod.
pub(super) struct Entry {
    uid: Arc<str>,
    name: Arc<str>,
    /// `None`: it is not scheduled, or nobody.
    pub(super) place: Option<NodeIdentity>,
}

/// Pods by uid, and their number by place.
#[derive(Default)]
pub(super) struct Index {
    pods: HashMap<Arc<str>, (Arc<str>, NodeIdentity)>,
    counts: HashMap<NodeIdentity, usize>,
    /// A list that is under way; what is not in it is gone when it ends.
    listing: Option<Vec<Entry>>,
}

impl From<SlimPod> for Entry {
    fn from(pod: SlimPod) -> Self {
        let (node, account) = (&pod.spec.node_name, &pod.spec.service_account_name);
        let place = (!node.is_empty() && !account.is_empty()).then(|| NodeIdentity {
            node: node.as_str().into(),
            namespace: pod.namespace().unwrap_or_default().into(),
            service_account: account.as_str().into(),
        });
        Self { uid: pod.uid().unwrap_or_default().into(), name: pod.name_any().into(), place }
    }
}

impl Index {
    /// A whole list begins. Until it ends, the old one serves.
    pub(super) fn begin(&mut self) {
        self.listing = Some(Vec::new());
    }

    /// One pod of the list.
    pub(super) fn listed(&mut self, pod: Entry) {
        self.listing.get_or_insert_default().push(pod);
    }

    /// The list is whole.
    pub(super) fn end(&mut self) {
        let Some(listing) = self.listing.take() else { return };
        self.pods.clear();
        self.counts.clear();
        for pod in listing {
            self.put(pod);
        }
    }

    /// A pod that is new or has changed.
    pub(super) fn put(&mut self, pod: Entry) {
        self.remove(&pod);
        let Some(place) = pod.place else { return };
        *self.counts.entry(place.clone()).or_default() += 1;
        self.pods.insert(pod.uid, (pod.name, place));
    }

    /// A pod that is gone.
    pub(super) fn remove(&mut self, pod: &Entry) {
        let Some((_, place)) = self.pods.remove(&pod.uid) else { return };
        if let Some(count) = self.counts.get_mut(&place) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&place);
            }
        }
    }

    /// Does that identity have a pod on that node?
    pub(super) fn has(&self, wanted: &NodeIdentity) -> bool {
        self.counts.contains_key(wanted)
    }

    /// Who a pod is, and where.
    pub(super) fn place(&self, uid: &str) -> Option<&NodeIdentity> {
        self.pods.get(uid).map(|(_, place)| place)
    }

    /// Pods known.
    pub(super) fn len(&self) -> usize {
        self.pods.len()
    }

    /// Pods of the accounts that `is_wanted` says, by name.
    pub(super) fn agents(&self, is_wanted: impl Fn(&str, &str) -> bool) -> Vec<Agent> {
        let wanted = self.pods.values().filter(|(_, place)| is_wanted(&place.namespace, &place.service_account));
        let mut agents: Vec<_> = wanted
            .map(|(name, place)| Agent {
                namespace: place.namespace.clone(),
                name: name.clone(),
                node: place.node.clone(),
            })
            .collect();
        agents.sort_unstable_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        agents
    }
}

#[cfg(test)]
mod tests;
