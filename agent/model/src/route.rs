//! Traffic management as configured: VirtualService and DestinationRule, parsed and compiled.
//!
//! Discovery builds these values; short host names are already resolved to fully qualified ones
//! in the namespace of the rule that names them (Istio's rule). Order inside is the manifest's.

mod matches;
mod merge;
mod weight;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

pub use matches::MatchFacts;
pub use merge::EffectivePolicy;
pub use weight::draw_weighted;

use crate::{
    matching::StringMatch,
    workload::{Labels, Named},
};

/// Who may see a configuration object (`exportTo`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Visibility {
    /// `*` or absent.
    #[default]
    Everywhere,
    /// Only these namespaces; `.` is resolved to the object's own.
    Namespaces(Vec<Arc<str>>),
}

impl Visibility {
    /// May workloads of `namespace` see it?
    pub fn includes(&self, namespace: &str) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Namespaces(list) => list.iter().any(|one| &**one == namespace),
        }
    }
}

/// A VirtualService that applies to the mesh or to gateways.
#[derive(Clone, Debug, PartialEq)]
pub struct VirtualService {
    /// Namespace and name.
    pub name: Named,
    /// Hosts: fully qualified for Services, as written otherwise; `*` and `*.suffix` allowed.
    pub hosts: Vec<Arc<str>>,
    /// Gateways: `mesh` or `namespace/name`; absent means `mesh`.
    pub gateways: Vec<Arc<str>>,
    /// Who may see it.
    pub export_to: Visibility,
    /// `http[]`, in order: the first match wins.
    pub http: Vec<HttpRoute>,
    /// `tcp[]`, in order.
    pub tcp: Vec<TcpRoute>,
    /// Seconds since the epoch of `metadata.creationTimestamp`, 0 when absent: the oldest wins
    /// where two name the same host, then the name decides.
    pub created: i64,
}

/// One `http[]` entry.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HttpRoute {
    /// `name`, for logs.
    pub name: Option<Arc<str>>,
    /// Any of these blocks (empty: always matches).
    pub matches: Vec<HttpMatch>,
    /// Weighted destinations.
    pub destinations: Vec<WeightedDestination>,
    /// `mirror` and `mirrors[]`: who gets a copy.
    pub mirrors: Vec<Mirror>,
}

/// A destination that gets copies of requests; what it answers is discarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirror {
    /// Where to.
    pub destination: Destination,
    /// Share of the requests that are copied, in millionths (the finest that Envoy's `FractionalPercent` knows).
    pub per_million: u32,
}

impl Mirror {
    /// Every request.
    pub const ALL: u32 = 1_000_000;
}

/// One `match` block: all set parts must match.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HttpMatch {
    /// `uri`: path without the query.
    pub uri: Option<StringMatch>,
    /// `ignoreUriCase`.
    pub ignore_uri_case: bool,
    /// `scheme`.
    pub scheme: Option<StringMatch>,
    /// `method`.
    pub method: Option<StringMatch>,
    /// `authority`: the Host header as sent.
    pub authority: Option<StringMatch>,
    /// `headers`, keys in lower case.
    pub headers: BTreeMap<String, StringMatch>,
    /// `withoutHeaders`: none of these may match.
    pub without_headers: BTreeMap<String, StringMatch>,
    /// `queryParams`.
    pub query_params: BTreeMap<String, StringMatch>,
    /// `port`: original destination port.
    pub port: Option<u16>,
    /// `sourceLabels`.
    pub source_labels: Labels,
    /// `sourceNamespace`.
    pub source_namespace: Option<Arc<str>>,
    /// `gateways` (empty: those of the VirtualService).
    pub gateways: Vec<Arc<str>>,
}

/// One `tcp[]` entry.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TcpRoute {
    /// `match[].port` (empty: always).
    pub ports: Vec<u16>,
    /// Weighted destinations.
    pub destinations: Vec<WeightedDestination>,
}

/// A destination with its share.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightedDestination {
    /// Where to.
    pub destination: Destination,
    /// `weight`; `None` when the manifest does not say (0 beside others, all when alone).
    pub weight: Option<u32>,
}

/// `destination` of a route.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    /// Fully qualified host.
    pub host: Arc<str>,
    /// `subset` of the host's DestinationRule.
    pub subset: Option<Arc<str>>,
    /// `port.number`; else the only port of the Service, else the request's own port.
    pub port: Option<u16>,
}

/// TLS towards a destination (`trafficPolicy.tls.mode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientTls {
    /// `DISABLE`: plain text.
    Disable,
    /// `ISTIO_MUTUAL`: mesh mTLS, always.
    IstioMutual,
    /// `SIMPLE` / `MUTUAL`: TLS origination (a later issue; refused with a clear message).
    Other,
}

/// `trafficPolicy.loadBalancer.simple`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoadBalancer {
    /// `ROUND_ROBIN`, and the default.
    #[default]
    RoundRobin,
    /// `RANDOM`.
    Random,
}

/// Traffic policy of a host, subset or port: only what is set; inner ones override outer ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrafficPolicy {
    /// `tls.mode`.
    pub tls: Option<ClientTls>,
    /// `loadBalancer.simple`.
    pub load_balancer: Option<LoadBalancer>,
    /// `portLevelSettings`, by port number.
    pub ports: BTreeMap<u16, TrafficPolicy>,
}

/// A DestinationRule.
#[derive(Clone, Debug, PartialEq)]
pub struct DestinationRule {
    /// Namespace and name.
    pub name: Named,
    /// Fully qualified host.
    pub host: Arc<str>,
    /// Who may see it.
    pub export_to: Visibility,
    /// Policy of all subsets.
    pub policy: TrafficPolicy,
    /// Named subsets in order.
    pub subsets: Vec<Subset>,
    /// Seconds since the epoch, 0 when absent.
    pub created: i64,
}

/// One subset.
#[derive(Clone, Debug, PartialEq)]
pub struct Subset {
    /// Name.
    pub name: Arc<str>,
    /// Labels that a pod must have; empty means all pods.
    pub labels: Labels,
    /// Overrides of the rule's policy.
    pub policy: TrafficPolicy,
}
