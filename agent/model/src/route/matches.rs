//! Which `http[]` or `tcp[]` entry of a VirtualService a request or connection meets.

use super::{HttpMatch, HttpRoute, TcpRoute, VirtualService};
use crate::{
    request::Request,
    workload::{Workload, selects},
};

/// Name of the gateway that stands for all workloads of the mesh (`VirtualService.gateways`).
const MESH: &str = "mesh";

/// What a rule may look at.
#[derive(Clone, Copy)]
pub struct MatchFacts<'a> {
    /// The request.
    pub request: &'a Request<'a>,
    /// Original destination port.
    pub port: u16,
    /// The pod that sends it.
    pub source: &'a Workload,
}

impl VirtualService {
    /// Does it apply to workloads of the mesh (and not only to gateways)?
    pub fn applies_to_mesh(&self) -> bool {
        self.gateways.is_empty() || self.gateways.iter().any(|gateway| &**gateway == MESH)
    }

    /// The first `http[]` entry that matches, with its index.
    pub fn http_route(&self, facts: &MatchFacts<'_>) -> Option<(usize, &HttpRoute)> {
        self.http.iter().enumerate().find(|(_, route)| route.matches(facts))
    }

    /// The first `tcp[]` entry that matches the original destination port, with its index.
    pub fn tcp_route(&self, port: u16) -> Option<(usize, &TcpRoute)> {
        self.tcp.iter().enumerate().find(|(_, route)| route.ports.is_empty() || route.ports.contains(&port))
    }
}

impl HttpRoute {
    /// Does any of its blocks match? An entry without blocks always does.
    pub fn matches(&self, facts: &MatchFacts<'_>) -> bool {
        self.matches.is_empty() || self.matches.iter().any(|block| block.matches(facts))
    }
}

impl HttpMatch {
    /// Do all parts that are set match?
    pub fn matches(&self, facts: &MatchFacts<'_>) -> bool {
        self.matches_source(facts) && self.matches_line(facts.request) && self.matches_headers(facts.request)
    }

    fn matches_source(&self, facts: &MatchFacts<'_>) -> bool {
        let in_mesh = self.gateways.is_empty() || self.gateways.iter().any(|gateway| &**gateway == MESH);
        in_mesh
            && self.port.is_none_or(|port| port == facts.port)
            && self.source_namespace.as_ref().is_none_or(|namespace| *namespace == facts.source.pod.namespace)
            && selects(&self.source_labels, &facts.source.labels)
    }

    fn matches_line(&self, request: &Request<'_>) -> bool {
        let plain =
            [(&self.scheme, request.scheme), (&self.method, request.method), (&self.authority, request.authority)];
        plain.into_iter().all(|(want, value)| want.as_ref().is_none_or(|want| want.matches(value, false)))
            && self.uri.as_ref().is_none_or(|want| want.matches(request.path(), self.ignore_uri_case))
            && self.query_params.iter().all(|(name, want)| {
                query_parameter(request.query(), name).is_some_and(|value| want.matches(value, false))
            })
    }

    fn matches_headers(&self, request: &Request<'_>) -> bool {
        let has = |(name, want): (&String, &crate::matching::StringMatch)| {
            request.headers.value(name).is_some_and(|value| want.matches(&value, false))
        };
        self.headers.iter().all(has) && !self.without_headers.iter().any(has)
    }
}

/// First value of a query parameter, not decoded, as Envoy's route matching reads it; empty without `=`.
fn query_parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then_some(value)
    })
}
