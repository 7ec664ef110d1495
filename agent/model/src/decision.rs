//! *The* page to read: what happens to a connection or request, client side and server side.
//!
//! The client side chooses ([`decide_connection`], [`decide_request`]); the server side enforces
//! ([`InboundPolicy`]). Both are functions of one [`Snapshot`] and the facts handed in.

mod authority;
mod destination;
mod inbound;
mod outbound;
mod protocol;

#[cfg(test)]
mod tests;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

pub use inbound::InboundPolicy;
use outbound::{Miss, Outbound};

use crate::{
    address::OriginalDst,
    balance::Draw,
    identity::SpiffeId,
    outcome::Answer,
    policy::AuthorizationPolicy,
    request::Request,
    service::{AppProtocol, Service},
    snapshot::Snapshot,
    workload::{Named, Workload},
};

/// What to do with a connection or a request: a closed set.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Pass it on.
    Forward(Forward),
    /// Answer it here (HTTP only).
    Answer {
        /// What to say.
        answer: Answer,
        /// What it was meant for, as far as known.
        cluster: Cluster,
        /// What decided it.
        rule: RuleRef,
    },
    /// Reset the connection (TCP).
    Refuse {
        /// Why.
        reason: Refusal,
        /// What it was meant for, as far as known.
        cluster: Cluster,
        /// What decided it.
        rule: RuleRef,
    },
}

/// Why a connection is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// No TCP route matched.
    NoRoute,
    /// The route's host or subset does not exist.
    NoCluster,
    /// Nothing ready behind the destination.
    NoHealthyUpstream,
    /// Unknown destination under REGISTRY_ONLY.
    BlackHole,
}

/// Where something goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Forward {
    /// Address to dial.
    pub address: SocketAddr,
    /// The pod there, when it is one.
    pub workload: Option<Arc<Workload>>,
    /// How the wire is secured.
    pub tls: UpstreamTls,
    /// What it is part of, for metrics and logs.
    pub cluster: Cluster,
    /// What decided it.
    pub rule: RuleRef,
    /// Where copies of the request go (HTTP only); these have none themselves.
    pub mirrors: Vec<Forward>,
}

impl Forward {
    /// Is it a pod that is in the mesh?
    pub fn is_in_mesh(&self) -> bool {
        self.workload.as_ref().is_some_and(|workload| workload.is_enrolled())
    }
}

/// How the upstream connection is secured.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamTls {
    /// As the application sent it.
    Plaintext,
    /// In-place mesh mTLS; the peer must prove this identity.
    Mutual(SpiffeId),
}

/// Envoy calls it a cluster: what a destination is part of.
#[derive(Clone, Debug, PartialEq)]
pub enum Cluster {
    /// A Service port, perhaps narrowed to a subset.
    Service {
        /// The Service.
        service: Arc<Service>,
        /// Its port number.
        port: u16,
        /// Subset of its DestinationRule.
        subset: Option<Arc<str>>,
    },
    /// A pod dialled by its own address.
    Pod(Arc<Workload>),
    /// A host that a route names and the registry does not know.
    Unknown(Arc<str>),
    /// `PassthroughCluster`.
    Passthrough,
    /// `BlackHoleCluster`.
    BlackHole,
}

/// The piece of configuration that decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleRef {
    /// No route configured: the Service's own endpoints.
    Default,
    /// `http[index]` of a VirtualService and its `route[destination]`; no destination when the
    /// VirtualService applied but none of its rules matched.
    Http {
        /// The VirtualService.
        virtual_service: Named,
        /// Index into `http[]` and into its `route[]`.
        matched: Option<(usize, usize)>,
    },
    /// `tcp[index].route[destination]`, as above.
    Tcp {
        /// The VirtualService.
        virtual_service: Named,
        /// Index into `tcp[]` and into its `route[]`.
        matched: Option<(usize, usize)>,
    },
}

/// What the declared configuration says a destination speaks, before a byte was seen.
///
/// A cluster IP speaks what its Service port declares, a pod what the Services in front of that port agree on. An
/// undeclared port of a protocol whose servers greet first is [`AppProtocol::ServerFirst`]; a destination the registry
/// does not know is undeclared.
pub fn outbound_protocol(snapshot: &Snapshot, destination: OriginalDst) -> AppProtocol {
    protocol::outbound(snapshot, destination)
}

/// What the Services in front of `workload` declare its `port` to speak; undeclared where they disagree.
pub fn inbound_protocol(snapshot: &Snapshot, workload: &Workload, port: u16) -> AppProtocol {
    protocol::inbound(snapshot, workload, port)
}

/// Client side, HTTP: does a request go to `cluster` in HTTP/2? A Service port declared to speak it gets it whatever the
/// client speaks, one declared HTTP gets HTTP/1.1; others get what the client speaks (Istio's `setUpstreamProtocol`).
pub fn speaks_http2(cluster: &Cluster, client_does: bool) -> bool {
    protocol::speaks_http2(cluster).unwrap_or(client_does)
}

/// Client side, opaque bytes: where a connection of `source` goes. Never an [`Decision::Answer`].
pub fn decide_connection(
    snapshot: &Snapshot,
    source: &Workload,
    destination: OriginalDst,
    draw: &mut dyn Draw,
) -> Decision {
    match Outbound::new(snapshot, source, destination).connection(draw) {
        Ok(forward) => Decision::Forward(forward),
        Err(Miss { refusal: reason, cluster, rule }) => Decision::Refuse { reason, cluster, rule },
    }
}

/// Client side, HTTP: where a request of `source` on a connection to `destination` goes. Never a
/// [`Decision::Refuse`].
pub fn decide_request(
    snapshot: &Snapshot,
    source: &Workload,
    destination: OriginalDst,
    request: &Request<'_>,
    draw: &mut dyn Draw,
) -> Decision {
    match Outbound::new(snapshot, source, destination).request(request, draw) {
        Ok(forward) => Decision::Forward(forward),
        Err(Miss { refusal, cluster, rule }) => Decision::Answer { answer: refusal.answer(), cluster, rule },
    }
}

impl Refusal {
    /// The same, said in HTTP.
    pub fn answer(self) -> Answer {
        match self {
            Self::NoRoute => Answer::NO_ROUTE,
            Self::NoCluster => Answer::NO_CLUSTER,
            Self::NoHealthyUpstream => Answer::NO_HEALTHY_UPSTREAM,
            Self::BlackHole => Answer::BLACK_HOLE,
        }
    }
}

/// What the server side knows when it decides.
pub struct InboundFacts<'a> {
    /// Address of the direct peer.
    pub peer: IpAddr,
    /// Identity the peer proved by mesh mTLS.
    pub principal: Option<&'a SpiffeId>,
    /// Address and port of the workload that was dialled.
    pub destination: SocketAddr,
    /// Server name of the TLS handshake.
    pub sni: Option<&'a str>,
    /// The request, on HTTP; `None` for opaque TCP.
    pub request: Option<&'a Request<'a>>,
}

/// The answer of the server side.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Passed or refused, and by what.
    pub access: Access,
    /// AUDIT policies that matched.
    pub audited: Vec<Arc<AuthorizationPolicy>>,
    /// Dry-run policies that would have changed the answer, and to what they would have.
    pub dry_run: Vec<(Arc<AuthorizationPolicy>, bool)>,
}

/// Passed or refused, and by what.
#[derive(Clone, Debug, PartialEq)]
pub enum Access {
    /// No policy is in the way.
    AllowedByDefault,
    /// `rules[index]` of an ALLOW policy matched.
    AllowedBy(Named, usize),
    /// `rules[index]` of a DENY policy matched.
    DeniedBy(Named, usize),
    /// ALLOW policies exist (the first by name is given) and none matched.
    NotAllowed(Named),
}

impl Access {
    /// Is it passed?
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::AllowedByDefault | Self::AllowedBy(..))
    }
}
