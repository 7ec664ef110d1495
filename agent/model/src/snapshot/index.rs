//! The tables behind a [`super::Snapshot`]: what a decision finds by name, address or host without searching.
//!
//! Built eagerly by `Snapshot::new`; 1,000 Services with 10,000 endpoints take some ten milliseconds.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use super::{
    Snapshot,
    backend::Backend,
    virtual_hosts::{VirtualHosts, lower_case},
};
use crate::{
    policy::PeerModes,
    route::DestinationRule,
    service::{Service, ServicePort},
};

/// Tables of one snapshot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    backends: Vec<Backend>,
    by_host: HashMap<Arc<str>, usize>,
    /// Namespace, then name.
    by_name: HashMap<Arc<str>, HashMap<Arc<str>, usize>>,
    by_vip: HashMap<IpAddr, usize>,
    /// (address of an endpoint with its port, position of the backend, Service port), sorted.
    endpoints: Vec<(SocketAddr, usize, u16)>,
    /// VirtualServices by host.
    pub(crate) virtual_hosts: VirtualHosts,
    /// PeerAuthentications by namespace.
    pub(crate) peers: PeerModes,
}

impl Index {
    /// Indexes the lists of `snapshot`, which are already in order of precedence.
    pub(super) fn new(snapshot: &Snapshot) -> Self {
        let peers = PeerModes::new(&snapshot.peer_authentications, &snapshot.mesh.root_namespace);
        let rules = RulesByHost::new(&snapshot.destination_rules);
        let mut index = Self { virtual_hosts: VirtualHosts::new(&snapshot.virtual_services), ..Self::default() };
        for service in snapshot.services.values() {
            index.add(service, rules.naming(&service.host), &peers);
        }
        index.endpoints.sort_unstable();
        index.peers = peers;
        index
    }

    fn add(&mut self, service: &Arc<Service>, rules: Vec<Arc<DestinationRule>>, peers: &PeerModes) {
        let position = self.backends.len();
        self.by_host.insert(lower_case(&service.host), position);
        let names = self.by_name.entry(service.name.namespace.clone()).or_default();
        names.insert(service.name.name.clone(), position);
        for vip in &service.vips {
            // Two Services never share a cluster IP; should they, the first host keeps it in every snapshot.
            self.by_vip.entry(*vip).or_insert(position);
        }
        for endpoint in &service.endpoints {
            for (number, target) in &endpoint.ports {
                self.endpoints.push((SocketAddr::new(endpoint.address, *target), position, *number));
            }
        }
        self.backends.push(Backend::new(service.clone(), rules, peers));
    }

    /// The Service with that fully qualified host (lower case).
    pub(crate) fn backend(&self, host: &str) -> Option<&Backend> {
        self.backends.get(*self.by_host.get(host)?)
    }

    /// The Service with that cluster IP.
    pub(crate) fn backend_by_vip(&self, ip: IpAddr) -> Option<&Backend> {
        self.backends.get(*self.by_vip.get(&ip)?)
    }

    /// The Service that clients in `namespace` mean by `host` (lower case, no port, no trailing dot): `name`,
    /// `name.ns`, `name.ns.svc` or `name.ns.svc.<cluster domain>`, the domains Istio gives a Service's virtual host.
    pub(crate) fn backend_named(&self, host: &str, namespace: &str, cluster_domain: &str) -> Option<&Backend> {
        if let Some(backend) = self.backend(host) {
            return Some(backend);
        }
        let mut labels = host.splitn(3, '.');
        let name = labels.next()?;
        let namespace = match (labels.next(), labels.next()) {
            (None, _) => namespace,
            (Some(namespace), None | Some("svc")) => namespace,
            (Some(namespace), Some(rest)) if rest.strip_prefix("svc.") == Some(cluster_domain) => namespace,
            _ => return None,
        };
        self.backends.get(*self.by_name.get(namespace)?.get(name)?)
    }

    /// Services, with their ports, that lead to that address and port of an endpoint.
    pub(crate) fn leading_to(&self, address: SocketAddr) -> impl Iterator<Item = (&Backend, &ServicePort)> {
        let first = self.endpoints.partition_point(|(one, ..)| *one < address);
        self.endpoints.get(first..).unwrap_or_default().iter().take_while(move |(one, ..)| *one == address).filter_map(
            |(_, position, number)| {
                let backend = self.backends.get(*position)?;
                Some((backend, backend.service.port(*number)?))
            },
        )
    }
}

/// DestinationRules by the host they name.
struct RulesByHost<'a> {
    exact: HashMap<&'a str, Vec<&'a Arc<DestinationRule>>>,
    /// What follows the `*`, longest first, then oldest first.
    suffixes: Vec<(&'a str, &'a Arc<DestinationRule>)>,
}

impl<'a> RulesByHost<'a> {
    fn new(all: &'a [Arc<DestinationRule>]) -> Self {
        let mut exact: HashMap<_, Vec<_>> = HashMap::new();
        let mut suffixes = Vec::new();
        for rule in all {
            match rule.host.strip_prefix('*') {
                Some(suffix) => suffixes.push((suffix, rule)),
                None => exact.entry(&*rule.host).or_default().push(rule),
            }
        }
        suffixes.sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
        Self { exact, suffixes }
    }

    fn naming(&self, host: &str) -> Vec<Arc<DestinationRule>> {
        let exact = self.exact.get(host).into_iter().flatten().copied();
        let wild = self.suffixes.iter().filter(|(suffix, _)| host.ends_with(suffix)).map(|(_, rule)| *rule);
        exact.chain(wild).cloned().collect()
    }
}
