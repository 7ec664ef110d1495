//! One consistent world: everything that exists and is configured, indexed for decisions.
//!
//! Built whole by discovery from [`World`] and published as `Arc<Snapshot>`; never changed after.
//! One decision reads one snapshot, so a connection never mixes two worlds.

mod backend;
mod index;
mod virtual_hosts;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

pub(crate) use backend::{Backend, Pool, Upstream};
pub(crate) use index::Index;

use crate::{
    mesh::MeshConfig,
    policy::{AuthorizationPolicy, PeerAuthentication},
    route::{DestinationRule, VirtualService},
    service::{Service, ServicePort},
    workload::{Named, Workload},
};

/// The parts a snapshot is made of, as discovery found them.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// Counts up with each change; 0 means that nothing was read yet.
    pub version: u64,
    /// Mesh settings.
    pub mesh: MeshConfig,
    /// Namespaces: are their pods enrolled, unless one says otherwise?
    pub namespaces: BTreeMap<Arc<str>, bool>,
    /// Pods.
    pub workloads: Vec<Arc<Workload>>,
    /// Services with endpoints.
    pub services: Vec<Arc<Service>>,
    /// VirtualServices.
    pub virtual_services: Vec<Arc<VirtualService>>,
    /// DestinationRules.
    pub destination_rules: Vec<Arc<DestinationRule>>,
    /// PeerAuthentications.
    pub peer_authentications: Vec<Arc<PeerAuthentication>>,
    /// AuthorizationPolicies.
    pub authorization_policies: Vec<Arc<AuthorizationPolicy>>,
}

/// [`World`] with its indices.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Counts up with each change; 0 means that nothing was read yet.
    pub version: u64,
    /// Mesh settings.
    pub mesh: MeshConfig,
    /// Namespaces: are their pods enrolled, unless one says otherwise?
    pub namespaces: BTreeMap<Arc<str>, bool>,
    /// Pods by name.
    pub workloads: BTreeMap<Named, Arc<Workload>>,
    /// Services by fully qualified host.
    pub services: BTreeMap<Arc<str>, Arc<Service>>,
    /// VirtualServices in order of precedence: oldest first, then by namespace and name.
    pub virtual_services: Vec<Arc<VirtualService>>,
    /// DestinationRules in the same order.
    pub destination_rules: Vec<Arc<DestinationRule>>,
    /// PeerAuthentications in the same order.
    pub peer_authentications: Vec<Arc<PeerAuthentication>>,
    /// AuthorizationPolicies by namespace and name.
    pub authorization_policies: Vec<Arc<AuthorizationPolicy>>,
    workload_by_ip: HashMap<IpAddr, Arc<Workload>>,
    pub(crate) index: Index,
}

impl Snapshot {
    /// Indexes a world.
    pub fn new(world: World) -> Self {
        let World { version, mesh, namespaces, .. } = world;
        let mut snapshot = Self { version, mesh, namespaces, ..Self::default() };
        snapshot.add_workloads(world.workloads);
        snapshot.services = world.services.into_iter().map(|service| (service.host.clone(), service)).collect();
        snapshot.virtual_services = world.virtual_services;
        snapshot.virtual_services.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
        snapshot.destination_rules = world.destination_rules;
        snapshot.destination_rules.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
        snapshot.peer_authentications = world.peer_authentications;
        snapshot.peer_authentications.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
        snapshot.authorization_policies = world.authorization_policies;
        snapshot.authorization_policies.sort_by(|a, b| a.name.cmp(&b.name));
        snapshot.index = Index::new(&snapshot);
        snapshot
    }

    fn add_workloads(&mut self, mut workloads: Vec<Arc<Workload>>) {
        // An address may be claimed twice while a pod ends and another begins: the ready one has it, and then the
        // first by name, whatever the order in which discovery saw them.
        workloads.sort_by(|a, b| (!a.ready, &a.pod).cmp(&(!b.ready, &b.pod)));
        for workload in workloads {
            // Pods on the node's own network share its address: it says nothing about who they are.
            if !workload.host_network {
                for address in &workload.addresses {
                    self.workload_by_ip.entry(*address).or_insert_with(|| workload.clone());
                }
            }
            self.workloads.insert(workload.pod.clone(), workload);
        }
    }

    /// The pod with that address (not for pods on the node's network).
    pub fn workload_by_ip(&self, ip: IpAddr) -> Option<&Arc<Workload>> {
        self.workload_by_ip.get(&ip)
    }

    /// Services, with their ports, that have an endpoint at that address and port.
    pub fn services_at(&self, address: SocketAddr) -> impl Iterator<Item = (&Arc<Service>, &ServicePort)> {
        self.index.leading_to(address).map(|(backend, port)| (&backend.service, port))
    }

    /// The Service with that cluster IP.
    pub fn service_by_vip(&self, ip: IpAddr) -> Option<&Arc<Service>> {
        self.index.backend_by_vip(ip).map(|backend| &backend.service)
    }

    /// The VirtualService that speaks for `host` to clients in `namespace`.
    pub fn virtual_service_for(&self, host: &str, namespace: &str) -> Option<&Arc<VirtualService>> {
        self.index.virtual_hosts.find(&host.to_ascii_lowercase(), namespace)
    }

    /// The DestinationRule that clients in `namespace` use for the Service with that fully qualified host.
    pub fn destination_rule_for(&self, host: &str, namespace: &str) -> Option<&Arc<DestinationRule>> {
        let backend = self.index.backend(&host.to_ascii_lowercase())?;
        backend.rule_for(namespace, &self.mesh.root_namespace).map(|rule| &rule.rule)
    }
}
