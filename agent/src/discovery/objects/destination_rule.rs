//! `DestinationRule` (networking.istio.io): subsets of a host, and how its endpoints are treated.

mod balancer;
mod limits;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use balancer::{
    ConsistentHash, CookieAttribute, HttpCookie, LoadBalancer, LocalityDistribute, LocalityFailover,
    LocalityLoadBalancer, Maglev, RingHash, SimpleLoadBalancer, Warmup, ZoneAwareLoadBalancer,
};
pub use limits::{ConnectionPool, Http2KeepAlive, HttpPool, OutlierDetection, TcpKeepalive, TcpPool};

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
    status = "super::status::IstioStatus",
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
    #[schemars(extend("enum" = ["CONNECT", "POST"]))]
    pub protocol: Option<String>,
    /// Host behind the proxy.
    pub target_host: Option<String>,
    /// Port behind the proxy.
    #[schemars(range(min = 1, max = 65535))]
    pub target_port: Option<u32>,
}

/// PROXY protocol towards endpoints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProxyProtocol {
    /// `V1` or `V2`.
    #[schemars(extend("enum" = ["V1", "V2"]))]
    pub version: Option<String>,
}

/// Share of requests that may be retries.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetryBudget {
    /// Of active requests.
    #[schemars(range(min = 0, max = 100))]
    pub percent: Option<f64>,
    /// Over this time.
    pub budget_interval: Option<Span>,
    /// Never fewer than these.
    pub min_retry_concurrency: Option<u32>,
}
