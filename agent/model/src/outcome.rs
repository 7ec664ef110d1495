//! How a connection or request ended: one closed set, Envoy's names.

use std::fmt;

/// Envoy's response flags, as far as weft produces them (`%RESPONSE_FLAGS%`, `response_flags`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResponseFlag {
    /// `NR`: no route matched.
    NoRoute,
    /// `NC`: the route's cluster (host or subset) does not exist.
    NoCluster,
    /// `UH`: no healthy upstream.
    NoHealthyUpstream,
    /// `UF`: the upstream connection could not be made.
    UpstreamConnectionFailure,
    /// `UC`: the upstream connection ended before the response.
    UpstreamConnectionTermination,
    /// `UR`: the upstream reset.
    UpstreamReset,
    /// `UPE`: the upstream's response was not valid HTTP.
    UpstreamProtocolError,
    /// `UO`: circuit breaker.
    UpstreamOverflow,
    /// `UT`: upstream request timeout.
    UpstreamTimeout,
    /// `DC`: the client went away.
    DownstreamConnectionTermination,
    /// `DPE`: the client's request was not valid HTTP.
    DownstreamProtocolError,
    /// `DI`: a fault delayed it.
    DelayInjected,
    /// `FI`: a fault aborted it.
    FaultInjected,
    /// `RL`: rate limited.
    RateLimited,
}

impl ResponseFlag {
    /// The abbreviation used in access logs and metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoRoute => "NR",
            Self::NoCluster => "NC",
            Self::NoHealthyUpstream => "UH",
            Self::UpstreamConnectionFailure => "UF",
            Self::UpstreamConnectionTermination => "UC",
            Self::UpstreamReset => "UR",
            Self::UpstreamProtocolError => "UPE",
            Self::UpstreamOverflow => "UO",
            Self::UpstreamTimeout => "UT",
            Self::DownstreamConnectionTermination => "DC",
            Self::DownstreamProtocolError => "DPE",
            Self::DelayInjected => "DI",
            Self::FaultInjected => "FI",
            Self::RateLimited => "RL",
        }
    }
}

impl fmt::Display for ResponseFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An answer that weft gives itself instead of passing a request on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Body, Envoy's words.
    pub body: &'static str,
    /// Flag, `None` prints `-` (RBAC denials have none in Envoy).
    pub flag: Option<ResponseFlag>,
    /// Envoy's response code details, for the access log.
    pub details: &'static str,
}

impl Answer {
    /// 404: no route matched.
    pub const NO_ROUTE: Self =
        Self { status: 404, body: "", flag: Some(ResponseFlag::NoRoute), details: "route_not_found" };
    /// 503: the host or subset of the route does not exist.
    pub const NO_CLUSTER: Self =
        Self { status: 503, body: "", flag: Some(ResponseFlag::NoCluster), details: "cluster_not_found" };
    /// 503: nothing ready behind the destination.
    pub const NO_HEALTHY_UPSTREAM: Self = Self {
        status: 503,
        body: "no healthy upstream",
        flag: Some(ResponseFlag::NoHealthyUpstream),
        details: "no_healthy_upstream",
    };
    /// 502: unknown host under REGISTRY_ONLY.
    pub const BLACK_HOLE: Self = Self { status: 502, body: "", flag: None, details: "direct_response" };
    /// 403: refused by an AuthorizationPolicy.
    pub const RBAC_DENIED: Self =
        Self { status: 403, body: "RBAC: access denied", flag: None, details: "rbac_access_denied" };
}
