//! The pods of the world by name and address, made anew only where something about them changed.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use weft_model::{
    mesh::MeshConfig,
    workload::{Labels, Named, Workload},
};

use super::{
    super::convert::pod::PodFacts,
    workload::{Around, workload},
};

/// A pod with the workload it became, and what that was made from.
#[derive(Debug)]
pub struct Member {
    /// What the pod says.
    pub facts: Arc<PodFacts>,
    /// As the mesh sees it.
    pub workload: Arc<Workload>,
    namespace: Option<Arc<Labels>>,
    node: Option<Arc<Labels>>,
}

/// Pods by name and by address.
#[derive(Debug, Default)]
pub struct Members {
    /// All pods, by namespace and name.
    pub by_name: BTreeMap<Named, Member>,
    /// Those with an address of their own.
    pub by_address: HashMap<IpAddr, Arc<Workload>>,
}

/// Pods that differ from those of the world before, or were not in it, or are not any more.
#[derive(Debug, Default)]
pub struct Changed {
    names: HashSet<Named>,
    addresses: HashSet<IpAddr>,
}

impl Changed {
    /// Notes a pod.
    pub fn add(&mut self, workload: &Workload) {
        self.names.insert(workload.pod.clone());
        self.addresses.extend(&workload.addresses);
    }

    /// Is the pod of that name, or one with that address, among them?
    pub fn includes(&self, name: Option<&Named>, address: IpAddr) -> bool {
        !self.names.is_empty()
            && (self.addresses.contains(&address) || name.is_some_and(|name| self.names.contains(name)))
    }
}

impl Member {
    /// The pod, with its workload of before when all that it is made from is as before.
    pub fn make(
        name: &Named,
        facts: &Arc<PodFacts>,
        around: Around<'_>,
        mesh: &MeshConfig,
        before: Option<Self>,
        changed: &mut Changed,
    ) -> Self {
        if let Some(before) = before {
            if before.is_made_from(facts, &around) {
                return before;
            }
            changed.add(&before.workload);
        }
        let (namespace, node) = (around.namespace.cloned(), around.node_labels.cloned());
        let workload = Arc::new(workload(name, facts, around, mesh));
        changed.add(&workload);
        Self { facts: facts.clone(), workload, namespace, node }
    }

    fn is_made_from(&self, facts: &Arc<PodFacts>, around: &Around<'_>) -> bool {
        let is_same = |before: &Option<Arc<Labels>>, now: Option<&Arc<Labels>>| match (before, now) {
            (Some(before), Some(now)) => Arc::ptr_eq(before, now) || before == now,
            (before, now) => before.is_none() && now.is_none(),
        };
        Arc::ptr_eq(&self.facts, facts)
            && is_same(&self.namespace, around.namespace)
            && is_same(&self.node, around.node_labels)
            && self.workload.node == around.node
            && self.workload.capture.netns == around.netns
            && self.workload.addresses == around.addresses
    }
}

impl Members {
    /// Adds a pod. Returns the other one when two that both go on living claim one address.
    pub fn add(&mut self, name: Named, member: Member) -> Option<(IpAddr, Named)> {
        let mut twice = None;
        if !member.workload.host_network {
            for address in &member.workload.addresses {
                let Some(other) = self.by_address.insert(*address, member.workload.clone()) else { continue };
                let is_leaving = self.by_name.get(&other.pod).is_some_and(|other| other.facts.is_leaving);
                if member.facts.is_leaving {
                    // What comes has the address, what goes had it.
                    self.by_address.insert(*address, other);
                } else if !is_leaving {
                    twice = Some((*address, other.pod.clone()));
                }
            }
        }
        self.by_name.insert(name, member);
        twice
    }
}

#[cfg(test)]
mod tests;
