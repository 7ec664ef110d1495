//! From a Service port, perhaps narrowed to a subset, to one address with its TLS.

use std::{net::IpAddr, sync::Arc};

use super::{
    Cluster, Forward, Refusal, RuleRef, UpstreamTls,
    outbound::{Miss, Outbound},
};
use crate::{
    balance::Draw,
    route::{ClientTls, EffectivePolicy, LoadBalancer},
    service::Resolution,
    snapshot::{Backend, Pool, Upstream},
};

/// A destination whose host is known.
pub(super) struct Wanted<'a> {
    pub(super) backend: &'a Backend,
    pub(super) port: u16,
    pub(super) subset: Option<&'a Arc<str>>,
}

impl<'a> Wanted<'a> {
    /// All of that port.
    pub(super) fn whole(backend: &'a Backend, port: u16) -> Self {
        Self { backend, port, subset: None }
    }

    fn cluster(&self) -> Cluster {
        Cluster::Service { service: self.backend.service.clone(), port: self.port, subset: self.subset.cloned() }
    }
}

impl Outbound<'_> {
    /// Chooses an upstream and says how to secure it.
    pub(super) fn to_backend(&self, wanted: &Wanted<'_>, rule: &RuleRef, draw: &mut dyn Draw) -> Result<Forward, Miss> {
        let found = self.pool(wanted).and_then(|(pool, policy)| {
            let upstream = match self.kept_pod(wanted) {
                Some(upstream) => upstream,
                None => {
                    let chosen = pick(pool, self.dialled.ip(), policy.load_balancer, draw);
                    chosen.ok_or(Refusal::NoHealthyUpstream)?.clone()
                }
            };
            let tls = self.tls(&upstream, &policy)?;
            Ok((upstream, tls))
        });
        match found {
            Ok((upstream, tls)) => Ok(Forward {
                address: upstream.address,
                workload: upstream.workload,
                tls,
                cluster: wanted.cluster(),
                rule: rule.clone(),
                mirrors: Vec::new(),
            }),
            Err(refusal) => Err(Miss { refusal, cluster: wanted.cluster(), rule: rule.clone() }),
        }
    }

    /// The endpoints to choose from, and what the DestinationRule says about them.
    fn pool<'b>(&self, wanted: &Wanted<'b>) -> Result<(&'b Pool, EffectivePolicy), Refusal> {
        if matches!(wanted.backend.service.resolution, Resolution::ExternalName(_)) {
            return Err(Refusal::NoCluster);
        }
        let position = wanted.backend.position(wanted.port).ok_or(Refusal::NoCluster)?;
        let rule = wanted.backend.rule_for(&self.source.pod.namespace, &self.snapshot.mesh.root_namespace);
        let (subset, pool) = match wanted.subset {
            None => (None, wanted.backend.pool(position)),
            Some(name) => {
                rule.and_then(|rule| rule.subset(name, position)).map(|(s, p)| (Some(s), Some(p))).unwrap_or_default()
            }
        };
        let policy = rule.map(|rule| rule.rule.effective_policy(subset, wanted.port)).unwrap_or_default();
        Ok((pool.ok_or(Refusal::NoCluster)?, policy))
    }

    /// A client of a headless Service has chosen a pod itself (StatefulSets rely on it): that choice is kept, even
    /// before the pod is ready, unless a route sends the request to another Service or to a subset.
    fn kept_pod(&self, wanted: &Wanted<'_>) -> Option<Upstream> {
        if wanted.subset.is_some() || !wanted.backend.is_headless() {
            return None;
        }
        let endpoint = wanted.backend.endpoint(self.dialled.ip())?;
        (endpoint.ports.get(&wanted.port) == Some(&self.dialled.port()))
            .then(|| Upstream::new(self.dialled, endpoint.workload.clone(), &self.snapshot.index.peers))
    }

    /// ISTIO_MUTUAL demands an identity to expect: an endpoint that is no pod has none and counts as unhealthy, while
    /// one that is not enrolled will fail the handshake, both rather than get plain text.
    fn tls(&self, upstream: &Upstream, policy: &EffectivePolicy) -> Result<UpstreamTls, Refusal> {
        let mutual = match policy.tls {
            Some(ClientTls::Disable) => false,
            Some(ClientTls::IstioMutual) => true,
            // Refusing beats sending in clear text what was meant to be encrypted.
            Some(ClientTls::Other) => return Err(Refusal::NoCluster),
            None => self.snapshot.mesh.auto_mtls && upstream.speaks_mtls,
        };
        if !mutual {
            return Ok(UpstreamTls::Plaintext);
        }
        let workload = upstream.workload.as_ref().ok_or(Refusal::NoHealthyUpstream)?;
        Ok(UpstreamTls::Mutual(workload.identity.clone()))
    }
}

/// Endpoints of the family that the client has dialled come first: the other one may lead nowhere from its node.
fn pick<'p>(pool: &'p Pool, dialled: IpAddr, load_balancer: LoadBalancer, draw: &mut dyn Draw) -> Option<&'p Upstream> {
    // Upstreams are sorted by address, and all IPv4 addresses come before all IPv6 ones.
    let (v4, v6) = pool.upstreams.split_at(pool.upstreams.partition_point(|upstream| upstream.address.is_ipv4()));
    let (same, other) = if dialled.is_ipv4() { (v4, v6) } else { (v6, v4) };
    let choice = if same.is_empty() { other } else { same };
    let index = match (choice.len(), load_balancer) {
        (0, _) => return None,
        (count, LoadBalancer::RoundRobin) => draw.turn(&pool.key) % count,
        (count, LoadBalancer::Random) => draw.below(u32::try_from(count).unwrap_or(u32::MAX)) as usize,
    };
    choice.get(index)
}
