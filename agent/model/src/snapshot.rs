//! One consistent world: everything that exists and is configured, indexed for decisions.
//!
//! Built whole by discovery from [`World`] and published as `Arc<Snapshot>`; never changed after.
//! One decision reads one snapshot, so a connection never mixes two worlds.

use std::{collections::{BTreeMap, HashMap}, net::IpAddr, sync::Arc};

use crate::{
    mesh::MeshConfig,
    policy::{AuthorizationPolicy, PeerAuthentication},
    route::{DestinationRule, VirtualService},
    service::Service,
    workload::{Named, Workload},
};

/// The parts a snapshot is made of, as discovery found them.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// Counts up with each change; 0 means that nothing was read yet.
    pub version: u64,
    /// Mesh settings.
    pub mesh: MeshConfig,
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
    service_by_vip: HashMap<IpAddr, Arc<Service>>,
}

impl Snapshot {
    /// Indexes a world.
    pub fn new(world: World) -> Self {
        let mut snapshot = Self { version: world.version, mesh: world.mesh, ..Self::default() };
        for workload in world.workloads {
            // Pods on the node's own network share its address: it says nothing about who they are.
            if !workload.host_network {
                for address in &workload.addresses {
                    snapshot.workload_by_ip.insert(*address, workload.clone());
                }
            }
            snapshot.workloads.insert(workload.pod.clone(), workload);
        }
        for service in world.services {
            for vip in &service.vips {
                snapshot.service_by_vip.insert(*vip, service.clone());
            }
            snapshot.services.insert(service.host.clone(), service);
        }
        snapshot.virtual_services = world.virtual_services;
        snapshot.virtual_services.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
        snapshot.destination_rules = world.destination_rules;
        snapshot.destination_rules.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
        snapshot.peer_authentications = world.peer_authentications;
        snapshot.peer_authentications.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
        snapshot.authorization_policies = world.authorization_policies;
        snapshot.authorization_policies.sort_by(|a, b| a.name.cmp(&b.name));
        snapshot
    }

    /// The pod with that address (not for pods on the node's network).
    pub fn workload_by_ip(&self, ip: IpAddr) -> Option<&Arc<Workload>> {
        self.workload_by_ip.get(&ip)
    }

    /// The Service with that cluster IP.
    pub fn service_by_vip(&self, ip: IpAddr) -> Option<&Arc<Service>> {
        self.service_by_vip.get(&ip)
    }
}
