//! Which pods there are, and where: the part of building a world that differs between files and an API server.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use weft_model::workload::Named;

use super::{
    super::{
        convert::{capture, pod::PodFacts},
        netns_addresses::NetnsAddresses,
        objects::{Content, Key, Kind},
        store::InForce,
    },
    Builder, Whereabouts,
    members::{Changed, Member, Members},
    workload::Around,
};
use crate::net::Place;

/// A pod as written, or derived from a Deployment, with the object that says so.
type Written<'a> = (&'a Key, InForce<'a>, Named, &'a Arc<PodFacts>);

impl<'a> Builder<'a> {
    /// Pods as written, and those derived from Deployments.
    fn pods(&mut self) -> Vec<Written<'a>> {
        let mut pods = Vec::new();
        for (key, object) in self.of_kind(Kind::Pod) {
            if let Content::Pod(pod) = &object.parsed.content
                && !pod.is_over
            {
                let name = Named { namespace: key.namespace.clone(), name: key.name.clone() };
                pods.push((key, object, name, pod));
            }
        }
        if let Whereabouts::Files { .. } = self.inputs.whereabouts {
            self.derived_pods(&mut pods);
        }
        pods
    }

    fn derived_pods(&mut self, pods: &mut Vec<Written<'a>>) {
        let written: BTreeSet<Named> = pods.iter().map(|(_, _, name, _)| name.clone()).collect();
        let owners =
            pods.iter().filter_map(|(_, _, name, pod)| Some((name.namespace.clone(), pod.controller.clone()?)));
        let owners: BTreeSet<(Arc<str>, Arc<str>)> = owners.collect();
        for (key, object) in self.of_kind(Kind::Deployment) {
            let Content::Deployment(deployment) = &object.parsed.content else { continue };
            if owners.contains(&(key.namespace.clone(), key.name.clone())) {
                // A dump of a cluster: its pods are here themselves.
                continue;
            }
            if deployment.lacks_namespaces {
                let message = format!("has fewer network namespaces than pods ({} names them)", capture::NETNS);
                let next = "add the annotation to spec.template.metadata, for example weft.dev/netns: pod-a, pod-b";
                self.warn(key, object, message, next);
            }
            for (name, pod) in &deployment.pods {
                let name = Named { namespace: key.namespace.clone(), name: name.clone() };
                if !written.contains(&name) {
                    pods.push((key, object, name, pod));
                }
            }
        }
    }

    /// The pods, each with what surrounds it. Those that are not as in the world before go to `changed`.
    pub(super) fn members(&mut self, mut before: BTreeMap<Named, Member>, changed: &mut Changed) -> Members {
        let mesh = self.built.world.mesh.clone();
        let (namespaces, nodes) = (self.labels_of(Kind::Namespace), self.labels_of(Kind::Node));
        let mut members = Members::default();
        for (key, object, name, pod) in self.pods() {
            let (node, netns, addresses) = self.whereabouts(key, object, &name, pod);
            let around = Around {
                namespace: namespaces.get(&*name.namespace).copied(),
                node_labels: nodes.get(&*node).copied(),
                node,
                netns,
                addresses,
            };
            let member = Member::make(&name, pod, around, &mesh, before.remove(&name), changed);
            if let Some((address, other)) = members.add(name.clone(), member) {
                let message = format!("pods {other} and {name} have the same address {address}");
                self.warn(key, object, message, "give each pod an address of its own");
            }
        }
        before.values().for_each(|gone| changed.add(&gone.workload));
        members
    }

    /// Node, network namespace and addresses of a pod.
    fn whereabouts(
        &mut self,
        key: &Key,
        object: InForce<'_>,
        name: &Named,
        pod: &PodFacts,
    ) -> (Arc<str>, Option<Arc<str>>, Vec<IpAddr>) {
        match self.inputs.whereabouts {
            Whereabouts::Files { node, addresses: who } => {
                let netns = pod.capture.netns.clone();
                let addresses = match (&netns, who) {
                    (Some(netns), Some(who)) if pod.addresses.is_empty() && !pod.host_network => {
                        self.ask(key, object, name, netns, who)
                    }
                    _ => pod.addresses.clone(),
                };
                (pod.node.clone().unwrap_or_else(|| node.clone()), netns, addresses)
            }
            Whereabouts::ApiServer { node, places } => {
                let is_here = pod.node.as_ref() == Some(node) && !pod.host_network;
                let place = if is_here { places.get(&pod.uid) } else { None };
                let own = pod.node.clone().unwrap_or_default();
                match place {
                    Some(place) => (own, Some(place.netns.clone()), placed(pod, place)),
                    None => (own, None, pod.addresses.clone()),
                }
            }
        }
    }

    /// Addresses of a pod without status, from its namespace.
    fn ask(
        &mut self,
        key: &Key,
        object: InForce<'_>,
        pod: &Named,
        netns: &Arc<str>,
        who: &dyn NetnsAddresses,
    ) -> Vec<IpAddr> {
        self.built.netns_pods += 1;
        let next = "create the namespace and its interface; it is looked for again";
        match who.addresses(netns) {
            Ok(addresses) if !addresses.is_empty() => {
                return addresses.into_iter().map(|ip| ip.to_canonical()).collect();
            }
            Ok(_) => self.warn(key, object, format!("network namespace {netns} of pod {pod} has no address"), next),
            Err(error) => {
                let message = format!("addresses of pod {pod} in network namespace {netns}: {error}");
                self.warn(key, object, message, next);
            }
        }
        self.built.awaits_addresses = true;
        Vec::new()
    }
}

/// The status knows which address is the primary one, but it is late: of a pod without addresses there, and of one
/// whose sandbox was made anew, the node knows better.
fn placed(pod: &PodFacts, place: Place) -> Vec<IpAddr> {
    let is_confirmed = place.addresses.is_empty() || pod.addresses.iter().any(|ip| place.addresses.contains(ip));
    if is_confirmed { pod.addresses.clone() } else { place.addresses.iter().map(|ip| ip.to_canonical()).collect() }
}
