//! How an endpoint is chosen: `loadBalancer`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::common::Span;

/// How an endpoint is chosen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancer {
    /// A policy without parameters.
    pub simple: Option<SimpleLoadBalancer>,
    /// By hash of a part of the request.
    pub consistent_hash: Option<ConsistentHash>,
    /// By locality.
    pub locality_lb_setting: Option<LocalityLoadBalancer>,
    /// By zone, in shares of the endpoints there.
    pub zone_aware_lb_setting: Option<ZoneAwareLoadBalancer>,
    /// Old spelling of `warmup`.
    pub warmup_duration_secs: Option<Span>,
    /// New endpoints get traffic slowly.
    pub warmup: Option<Warmup>,
}

/// `loadBalancer.simple`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SimpleLoadBalancer {
    /// The mesh's choice.
    Unspecified,
    /// Old spelling of `LEAST_REQUEST`.
    LeastConn,
    /// The one with fewer open requests of two.
    LeastRequest,
    /// By chance.
    Random,
    /// In turn.
    RoundRobin,
    /// The address the client dialled.
    Passthrough,
}

/// By hash of a part of the request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConsistentHash {
    /// Of a header.
    pub http_header_name: Option<String>,
    /// Of a cookie, set when absent.
    pub http_cookie: Option<HttpCookie>,
    /// Of the client's address.
    pub use_source_ip: Option<bool>,
    /// Of a query parameter.
    pub http_query_parameter_name: Option<String>,
    /// Smallest size of the hash ring (old place).
    pub minimum_ring_size: Option<u64>,
    /// Ring hash.
    pub ring_hash: Option<RingHash>,
    /// Maglev.
    pub maglev: Option<Maglev>,
}

/// A cookie that keeps a client at its endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HttpCookie {
    /// Name.
    pub name: Option<String>,
    /// Path.
    pub path: Option<String>,
    /// Lifetime.
    pub ttl: Option<Span>,
    /// More of the cookie, such as `SameSite`.
    pub attributes: Option<Vec<CookieAttribute>>,
}

/// One attribute of a cookie.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CookieAttribute {
    /// Name.
    pub name: Option<String>,
    /// Value.
    pub value: Option<String>,
}

/// Ring hash.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RingHash {
    /// Smallest size of the ring.
    pub minimum_ring_size: Option<u64>,
}

/// Maglev.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Maglev {
    /// Size of its table.
    pub table_size: Option<u64>,
}

/// By locality.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocalityLoadBalancer {
    /// Shares per locality.
    pub distribute: Option<Vec<LocalityDistribute>>,
    /// Where to when a region has no healthy endpoint.
    pub failover: Option<Vec<LocalityFailover>>,
    /// Labels in order of nearness.
    pub failover_priority: Option<Vec<String>>,
    /// False turns locality off.
    pub enabled: Option<bool>,
}

/// Shares of traffic that starts in one locality.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LocalityDistribute {
    /// `region/zone/sub-zone`, `*` allowed.
    pub from: Option<String>,
    /// Percent per locality.
    pub to: Option<std::collections::BTreeMap<String, u32>>,
}

/// Where to when a region has no healthy endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LocalityFailover {
    /// Region of the client.
    pub from: Option<String>,
    /// Region that helps out.
    pub to: Option<String>,
}

/// By zone, in shares of the endpoints there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ZoneAwareLoadBalancer {
    /// False turns it off.
    pub enabled: Option<bool>,
    /// Where to when a region has no healthy endpoint.
    pub failover: Option<Vec<LocalityFailover>>,
    /// Labels in order of nearness.
    pub failover_priority: Option<Vec<String>>,
    /// With fewer endpoints it is off.
    pub min_cluster_size: Option<u32>,
}

/// New endpoints get traffic slowly.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Warmup {
    /// For how long.
    pub duration: Option<Span>,
    /// Share at the start.
    #[schemars(range(min = 0, max = 100))]
    pub minimum_percent: Option<f64>,
    /// Speed of growth.
    pub aggression: Option<f64>,
}
