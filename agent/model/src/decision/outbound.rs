//! The client side: from "where did it want to go" to "which address, secured how".
//!
//! Two steps. First the *aim*: which Service or pod is meant, by Host header and by address. Then the *destination*
//! ([`super::destination`]): the route of the VirtualService that speaks for it, or the Service itself.

use std::{net::SocketAddr, sync::Arc};

use super::{
    Cluster, Forward, Refusal, RuleRef, UpstreamTls,
    authority::{host_of, literal_ip},
    destination::Wanted,
};
use crate::{
    address::{OriginalDst, canonical},
    balance::Draw,
    mesh::OutboundPolicy,
    request::Request,
    route::{Destination, MatchFacts, Mirror, VirtualService, WeightedDestination, draw_weighted},
    service::Resolution,
    snapshot::{Backend, Snapshot, Upstream},
    workload::Workload,
};

/// Why something is not forwarded.
pub(super) struct Miss {
    pub(super) refusal: Refusal,
    pub(super) cluster: Cluster,
    pub(super) rule: RuleRef,
}

/// One client-side decision being made.
pub(super) struct Outbound<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) source: &'a Workload,
    /// Original destination, canonical.
    pub(super) dialled: SocketAddr,
}

/// What is meant.
#[derive(Clone, Copy)]
enum Aim<'a> {
    /// That port of a Service.
    Service(&'a Backend, u16),
    /// A pod, dialled by its own address.
    Pod(&'a Arc<Workload>),
    /// A Service of type ExternalName: its target is outside, and the application has resolved it.
    External(&'a Backend),
    /// Nothing the registry knows.
    Unknown,
}

impl<'a> Outbound<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, source: &'a Workload, OriginalDst(dialled): OriginalDst) -> Self {
        Self { snapshot, source, dialled: canonical(dialled) }
    }

    /// Opaque bytes: only the address says where they go.
    ///
    /// The `tcp[]` routes of a VirtualService apply to a cluster IP; a pod's own address means that pod. Where no
    /// entry matches the port the Service's own endpoints are used, as in Istio.
    pub(super) fn connection(&self, draw: &mut dyn Draw) -> Result<Forward, Miss> {
        let aim = self.aim_by_address();
        if let Aim::Service(backend, port) = aim
            && !backend.is_headless()
            && let Some(virtual_service) = self.virtual_service(&backend.service.host)
            && let Some((index, route)) = virtual_service.tcp_route(port)
        {
            let rule = |destination: Option<usize>| RuleRef::Tcp {
                virtual_service: virtual_service.name.clone(),
                matched: destination.map(|destination| (index, destination)),
            };
            return self.weighted(&route.destinations, port, &aim.cluster(), &rule, draw);
        }
        self.default_route(aim, draw)
    }

    /// HTTP: the Host header says where it goes, and the address where the Host says nothing.
    pub(super) fn request(&self, request: &Request<'_>, draw: &mut dyn Draw) -> Result<Forward, Miss> {
        let host = host_of(request.authority);
        let (aim, spoken_for) = self.aim_of_request(&host);
        let Some(virtual_service) = spoken_for.filter(|virtual_service| !virtual_service.http.is_empty()) else {
            return self.default_route(aim, draw);
        };
        let name = &virtual_service.name;
        let cluster = match aim {
            Aim::Unknown => Cluster::Unknown(host.as_ref().into()),
            known => known.cluster(),
        };
        let facts = MatchFacts { request, port: self.dialled.port(), source: self.source };
        let Some((index, route)) = virtual_service.http_route(&facts) else {
            let rule = RuleRef::Http { virtual_service: name.clone(), matched: None };
            return Err(Miss { refusal: Refusal::NoRoute, cluster, rule });
        };
        let rule = |destination: Option<usize>| RuleRef::Http {
            virtual_service: name.clone(),
            matched: destination.map(|destination| (index, destination)),
        };
        let port = match aim {
            Aim::Service(_, port) => port,
            _ => self.dialled.port(),
        };
        let mut forward = self.weighted(&route.destinations, port, &cluster, &rule, draw)?;
        forward.mirrors = self.mirrors(&route.mirrors, port, &rule(None), draw);
        Ok(forward)
    }

    /// Where copies go this time. A mirror that cannot be reached is nobody's failure.
    fn mirrors(&self, mirrors: &[Mirror], port: u16, rule: &RuleRef, draw: &mut dyn Draw) -> Vec<Forward> {
        let mut copies = Vec::new();
        for mirror in mirrors {
            let is_drawn = mirror.per_million >= Mirror::ALL || draw.below(Mirror::ALL) < mirror.per_million;
            if is_drawn && let Ok(copy) = self.to_destination(&mirror.destination, port, rule, draw) {
                copies.push(copy);
            }
        }
        copies
    }

    /// What a request means and the VirtualService that speaks for it.
    ///
    /// In this order: the Service the Host names, when it has the port; a VirtualService for the Host as written
    /// (external names); the address that was dialled, because it says where the request goes when the Host does not.
    /// A Host that names a pod by its address means that pod, and no VirtualService speaks for it.
    fn aim_of_request(&self, host: &str) -> (Aim<'a>, Option<&'a Arc<VirtualService>>) {
        if let Some(aim) = self.aim_by_host(host) {
            return match aim {
                Aim::Service(backend, _) => (aim, self.virtual_service(&backend.service.host)),
                Aim::External(backend) => {
                    let spoken_for = self.virtual_service(&backend.service.host);
                    let by_address = self.aim_by_address();
                    let aim = if matches!(by_address, Aim::Unknown) { aim } else { by_address };
                    (aim, spoken_for)
                }
                _ => (aim, None),
            };
        }
        let is_dialled_pod =
            literal_ip(host) == Some(self.dialled.ip()) && self.snapshot.workload_by_ip(self.dialled.ip()).is_some();
        if !is_dialled_pod && let Some(virtual_service) = self.virtual_service(host) {
            return (self.aim_by_address(), Some(virtual_service));
        }
        let aim = self.aim_by_address();
        match aim {
            Aim::Service(backend, _) if !backend.is_headless() => (aim, self.virtual_service(&backend.service.host)),
            _ => (aim, None),
        }
    }

    fn virtual_service(&self, host: &str) -> Option<&'a Arc<VirtualService>> {
        self.snapshot.index.virtual_hosts.find(host, &self.source.pod.namespace)
    }

    fn aim_by_host(&self, host: &str) -> Option<Aim<'a>> {
        let index = &self.snapshot.index;
        if let Some(ip) = literal_ip(host) {
            return index.backend_by_vip(ip).and_then(|backend| self.port_of(backend));
        }
        let named =
            |host: &str| index.backend_named(host, &self.source.pod.namespace, &self.snapshot.mesh.cluster_domain);
        match named(host) {
            Some(backend) => self.port_of(backend),
            // `pod.service...`: a pod of a StatefulSet behind its headless Service.
            None => {
                named(host.split_once('.')?.1).filter(|backend| backend.is_headless()).and_then(|b| self.port_of(b))
            }
        }
    }

    /// The dialled port as a port of that Service. A client of a headless Service dials the pod's port.
    fn port_of(&self, backend: &'a Backend) -> Option<Aim<'a>> {
        let port = match backend.service.resolution {
            Resolution::ExternalName(_) => return Some(Aim::External(backend)),
            Resolution::Headless => backend.port_towards(self.dialled)?,
            Resolution::ClusterIp => backend.position(self.dialled.port()).map(|_| self.dialled.port())?,
        };
        Some(Aim::Service(backend, port))
    }

    /// What the dialled address is: a cluster IP, else an endpoint of exactly one headless Service, else a pod.
    fn aim_by_address(&self) -> Aim<'a> {
        if let Some(backend) = self.snapshot.index.backend_by_vip(self.dialled.ip()) {
            return self.port_of(backend).unwrap_or(Aim::Unknown);
        }
        let mut headless = self.snapshot.index.leading_to(self.dialled).filter(|(backend, _)| backend.is_headless());
        if let (Some((backend, port)), None) = (headless.next(), headless.next()) {
            return Aim::Service(backend, port.number);
        }
        self.snapshot.workload_by_ip(self.dialled.ip()).map_or(Aim::Unknown, Aim::Pod)
    }

    fn default_route(&self, aim: Aim<'a>, draw: &mut dyn Draw) -> Result<Forward, Miss> {
        match aim {
            Aim::Service(backend, port) => self.to_backend(&Wanted::whole(backend, port), &RuleRef::Default, draw),
            Aim::Pod(workload) => Ok(self.to_pod(workload)),
            Aim::External(_) => Ok(self.passthrough()),
            Aim::Unknown => match self.snapshot.mesh.outbound {
                OutboundPolicy::AllowAny => Ok(self.passthrough()),
                OutboundPolicy::RegistryOnly => {
                    Err(Miss { refusal: Refusal::BlackHole, cluster: Cluster::BlackHole, rule: RuleRef::Default })
                }
            },
        }
    }

    fn weighted(
        &self,
        destinations: &[WeightedDestination],
        port: u16,
        cluster: &Cluster,
        rule: &dyn Fn(Option<usize>) -> RuleRef,
        draw: &mut dyn Draw,
    ) -> Result<Forward, Miss> {
        let Some((chosen, weighted)) = draw_weighted(destinations, draw) else {
            return Err(Miss { refusal: Refusal::NoRoute, cluster: cluster.clone(), rule: rule(None) });
        };
        self.to_destination(&weighted.destination, port, &rule(Some(chosen)), draw)
    }

    fn to_destination(
        &self,
        destination: &Destination,
        port: u16,
        rule: &RuleRef,
        draw: &mut dyn Draw,
    ) -> Result<Forward, Miss> {
        let Some(backend) = self.snapshot.index.backend(&destination.host) else {
            let cluster = Cluster::Unknown(destination.host.clone());
            return Err(Miss { refusal: Refusal::NoCluster, cluster, rule: rule.clone() });
        };
        let port = destination.port.unwrap_or_else(|| match &*backend.service.ports {
            [only] => only.number,
            _ => port,
        });
        self.to_backend(&Wanted { backend, port, subset: destination.subset.as_ref() }, rule, draw)
    }

    /// A pod dialled by its own address: that pod, with mesh mTLS when it speaks it. No DestinationRule applies, as
    /// it names hosts and this is none.
    fn to_pod(&self, workload: &Arc<Workload>) -> Forward {
        let upstream = Upstream::new(self.dialled, Some(workload.clone()), &self.snapshot.index.peers);
        let tls = if self.snapshot.mesh.auto_mtls && upstream.speaks_mtls {
            UpstreamTls::Mutual(workload.identity.clone())
        } else {
            UpstreamTls::Plaintext
        };
        Forward {
            address: self.dialled,
            workload: upstream.workload,
            tls,
            cluster: Cluster::Pod(workload.clone()),
            rule: RuleRef::Default,
            mirrors: Vec::new(),
        }
    }

    fn passthrough(&self) -> Forward {
        Forward {
            address: self.dialled,
            workload: None,
            tls: UpstreamTls::Plaintext,
            cluster: Cluster::Passthrough,
            rule: RuleRef::Default,
            mirrors: Vec::new(),
        }
    }
}

impl Aim<'_> {
    fn cluster(self) -> Cluster {
        match self {
            Self::Service(backend, port) => Cluster::Service { service: backend.service.clone(), port, subset: None },
            Self::Pod(workload) => Cluster::Pod(workload.clone()),
            Self::External(backend) => Cluster::Unknown(backend.service.host.clone()),
            Self::Unknown => Cluster::Passthrough,
        }
    }
}
