//! `DestinationRule` (networking.istio.io): subsets of a host, and how its endpoints are treated.

mod limits;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use limits::{ConnectionPool, HttpPool, OutlierDetection, TcpKeepalive, TcpPool};

use super::common::{PortSelector, Span, StringMap, WorkloadSelector};

/// Specification of a DestinationRule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, kube::CustomResource)]
#[kube(
    group = "networking.istio.io",
    version = "v1",
    kind = "DestinationRule",
    plural = "destinationrules",
    shortname = "dr",
    category = "istio-io",
    category = "networking-istio-io",
    namespaced,
    doc = "Subsets of a host, and how its endpoints are treated",
    printcolumn = r#"{"name": "Host", "type": "string", "jsonPath": ".spec.host"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct DestinationRuleSpec {
    /// Service; short names are of the rule's namespace.
    pub host: String,
    /// Policy of all subsets.
    pub traffic_policy: Option<TrafficPolicy>,
    /// Named groups of endpoints.
    pub subsets: Option<Vec<Subset>>,
    /// Namespaces that see it: `.` its own, `*` all.
    pub export_to: Option<Vec<String>>,
    /// Client pods it is for.
    pub workload_selector: Option<WorkloadSelector>,
}

/// A named group of endpoints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Subset {
    /// Name.
    pub name: String,
    /// Labels of its pods; none means all of them.
    pub labels: Option<StringMap>,
    /// Overrides of the rule's policy.
    pub traffic_policy: Option<TrafficPolicy>,
}

/// How endpoints are treated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrafficPolicy {
    /// How one is chosen.
    pub load_balancer: Option<LoadBalancer>,
    /// Limits.
    pub connection_pool: Option<ConnectionPool>,
    /// Which are put aside for a while.
    pub outlier_detection: Option<OutlierDetection>,
    /// TLS towards them.
    pub tls: Option<ClientTls>,
    /// Overrides by port.
    pub port_level_settings: Option<Vec<PortPolicy>>,
    /// Tunnel through a proxy.
    pub tunnel: Option<Tunnel>,
    /// PROXY protocol towards them.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Share of requests that may be retries.
    pub retry_budget: Option<RetryBudget>,
}

/// Overrides for one port.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PortPolicy {
    /// Port of the Service.
    pub port: Option<PortSelector>,
    /// How an endpoint is chosen.
    pub load_balancer: Option<LoadBalancer>,
    /// Limits.
    pub connection_pool: Option<ConnectionPool>,
    /// Which endpoints are put aside for a while.
    pub outlier_detection: Option<OutlierDetection>,
    /// TLS towards them.
    pub tls: Option<ClientTls>,
}

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

/// New endpoints get traffic slowly.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Warmup {
    /// For how long.
    pub duration: Option<Span>,
    /// Share at the start.
    pub minimum_percent: Option<f64>,
    /// Speed of growth.
    pub aggression: Option<f64>,
}

/// TLS towards endpoints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientTls {
    /// Kind of TLS.
    pub mode: Option<ClientTlsMode>,
    /// Certificate file, for `MUTUAL`.
    pub client_certificate: Option<String>,
    /// Key file, for `MUTUAL`.
    pub private_key: Option<String>,
    /// File of authorities.
    pub ca_certificates: Option<String>,
    /// Secret with the certificates.
    pub credential_name: Option<String>,
    /// Names the server may have.
    pub subject_alt_names: Option<Vec<String>>,
    /// Server name to ask for.
    pub sni: Option<String>,
    /// Skip verification.
    pub insecure_skip_verify: Option<bool>,
    /// File of revoked certificates.
    pub ca_crl: Option<String>,
}

/// `tls.mode` of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ClientTlsMode {
    /// Plain text.
    Disable,
    /// TLS, server authenticated.
    Simple,
    /// TLS with a certificate of one's own.
    Mutual,
    /// The mesh's mTLS.
    IstioMutual,
}

/// Tunnel through a proxy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tunnel {
    /// `CONNECT` or `POST`.
    pub protocol: Option<String>,
    /// Host behind the proxy.
    pub target_host: Option<String>,
    /// Port behind the proxy.
    pub target_port: Option<u32>,
}

/// PROXY protocol towards endpoints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProxyProtocol {
    /// `V1` or `V2`.
    pub version: Option<String>,
}

/// Share of requests that may be retries.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetryBudget {
    /// Of active requests.
    pub percent: Option<f64>,
    /// Never fewer than these.
    pub min_retry_concurrency: Option<u32>,
}
