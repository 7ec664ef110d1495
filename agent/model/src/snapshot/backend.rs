//! A Service as decisions need it: its ready upstreams per port and subset, and the DestinationRules that name it.
//!
//! Built once per snapshot by [`super::index`], read by the outbound half of [`crate::decision`]; a decision therefore
//! allocates and filters nothing.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use crate::{
    balance::ClusterKey,
    policy::{MtlsMode, PeerModes},
    route::{DestinationRule, Subset},
    service::{Endpoint, Resolution, Service},
    workload::Workload,
};

/// One address that may be chosen.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    /// Address to dial.
    pub(crate) address: SocketAddr,
    /// The pod there, when it is one.
    pub(crate) workload: Option<Arc<Workload>>,
    /// Auto mTLS uses mesh mTLS towards it.
    pub(crate) speaks_mtls: bool,
}

impl Upstream {
    pub(crate) fn new(address: SocketAddr, workload: Option<Arc<Workload>>, peers: &PeerModes) -> Self {
        let speaks_mtls = workload.as_deref().is_some_and(|workload| speaks_mtls(workload, address.port(), peers));
        Self { address, workload, speaks_mtls }
    }
}

/// Does weft terminate mesh mTLS on that port of the pod? Not when the pod is left alone, the port is excluded from
/// capture, or PeerAuthentication says DISABLE.
fn speaks_mtls(workload: &Workload, port: u16, peers: &PeerModes) -> bool {
    workload.is_enrolled()
        && !workload.capture.excludes_inbound(port)
        && peers.mode(workload, port) != MtlsMode::Disable
}

/// The ready upstreams that share one balancer.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    /// Name of the balancer.
    pub(crate) key: ClusterKey,
    /// Ready upstreams by address.
    pub(crate) upstreams: Vec<Upstream>,
}

/// A DestinationRule that names the Service, with the pools of its subsets.
#[derive(Clone, Debug)]
pub(crate) struct BackendRule {
    /// The rule.
    pub(crate) rule: Arc<DestinationRule>,
    /// `[subset][port]`, both in the order of the manifests.
    subsets: Vec<Vec<Pool>>,
}

impl BackendRule {
    /// A subset and its pool of the port at `position`.
    pub(crate) fn subset(&self, name: &str, position: usize) -> Option<(&Subset, &Pool)> {
        let (subset, pools) = self.rule.subsets.iter().zip(&self.subsets).find(|(subset, _)| &*subset.name == name)?;
        Some((subset, pools.get(position)?))
    }
}

/// A Service with everything that is looked up per decision.
#[derive(Clone, Debug)]
pub(crate) struct Backend {
    /// The Service.
    pub(crate) service: Arc<Service>,
    /// One pool per port, in the order of `service.ports`.
    pools: Vec<Pool>,
    /// DestinationRules whose host names the Service: most specific host first, then the oldest.
    rules: Vec<BackendRule>,
}

impl Backend {
    /// `rules` are those that name the host, in order of precedence.
    pub(super) fn new(service: Arc<Service>, rules: Vec<Arc<DestinationRule>>, peers: &PeerModes) -> Self {
        let pools: Vec<Pool> = service.ports.iter().map(|port| pool(&service, port.number, peers)).collect();
        let rules = rules
            .into_iter()
            .map(|rule| {
                let subsets = rule.subsets.iter().map(|subset| narrow(&pools, subset)).collect();
                BackendRule { rule, subsets }
            })
            .collect();
        Self { service, pools, rules }
    }

    /// Clients dial pod addresses of it.
    pub(crate) fn is_headless(&self) -> bool {
        self.service.resolution == Resolution::Headless
    }

    /// Position of the port with that number in `service.ports`.
    pub(crate) fn position(&self, port: u16) -> Option<usize> {
        self.service.ports.iter().position(|one| one.number == port)
    }

    /// All ready upstreams of the port at `position`.
    pub(crate) fn pool(&self, position: usize) -> Option<&Pool> {
        self.pools.get(position)
    }

    /// The DestinationRule that clients of `namespace` use. Istio looks in the client's namespace, in the Service's and
    /// in the root namespace, and takes the first that has one whose `exportTo` includes the client.
    pub(crate) fn rule_for(&self, namespace: &str, root_namespace: &str) -> Option<&BackendRule> {
        [namespace, &self.service.name.namespace, root_namespace].into_iter().find_map(|place| {
            self.rules.iter().find(|one| &*one.rule.name.namespace == place && one.rule.export_to.includes(namespace))
        })
    }

    /// The endpoint (ready or not) at that address.
    pub(crate) fn endpoint(&self, address: IpAddr) -> Option<&Endpoint> {
        self.service.endpoints.iter().find(|endpoint| endpoint.address == address)
    }

    /// The Service port that leads to `dialled` at its pod; the port of the same number is preferred.
    pub(crate) fn port_towards(&self, dialled: SocketAddr) -> Option<u16> {
        let endpoint = self.endpoint(dialled.ip())?;
        let leads = |number: &u16| endpoint.ports.get(number) == Some(&dialled.port());
        let own = Some(dialled.port()).filter(leads);
        own.or_else(|| endpoint.ports.keys().copied().find(|number| leads(number)))
    }
}

fn pool(service: &Service, port: u16, peers: &PeerModes) -> Pool {
    let mut upstreams: Vec<Upstream> = service
        .endpoints
        .iter()
        .filter(|endpoint| endpoint.ready)
        .filter_map(|endpoint| {
            let address = SocketAddr::new(endpoint.address, *endpoint.ports.get(&port)?);
            Some(Upstream::new(address, endpoint.workload.clone(), peers))
        })
        .collect();
    // Round robin must not depend on the order in which discovery saw the endpoints.
    upstreams.sort_by_key(|upstream| upstream.address);
    Pool { key: ClusterKey { host: service.host.clone(), port, subset: None }, upstreams }
}

fn narrow(pools: &[Pool], subset: &Subset) -> Vec<Pool> {
    pools
        .iter()
        .map(|pool| Pool {
            key: ClusterKey { subset: Some(subset.name.clone()), ..pool.key.clone() },
            upstreams: pool.upstreams.iter().filter(|upstream| belongs(upstream, subset)).cloned().collect(),
        })
        .collect()
}

/// A subset without labels is all of the Service; an endpoint that is no pod has no labels.
fn belongs(upstream: &Upstream, subset: &Subset) -> bool {
    subset.labels.is_empty()
        || upstream.workload.as_ref().is_some_and(|workload| crate::workload::selects(&subset.labels, &workload.labels))
}
