//! Limits and ejection: `connectionPool` and `outlierDetection`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::common::Span;

/// Limits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectionPool {
    /// Of connections.
    pub tcp: Option<TcpPool>,
    /// Of requests.
    pub http: Option<HttpPool>,
}

/// Limits of connections.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TcpPool {
    /// At the same time.
    #[schemars(range(min = 0))]
    pub max_connections: Option<i32>,
    /// Time to connect.
    pub connect_timeout: Option<Span>,
    /// Keep-alive probes.
    pub tcp_keepalive: Option<TcpKeepalive>,
    /// Longest life of a connection.
    pub max_connection_duration: Option<Span>,
    /// Idle time before a connection is closed.
    pub idle_timeout: Option<Span>,
}

/// Keep-alive probes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TcpKeepalive {
    /// Unanswered probes before the connection is dead.
    pub probes: Option<u32>,
    /// Idle time before the first.
    pub time: Option<Span>,
    /// Between probes.
    pub interval: Option<Span>,
}

/// Limits of requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpPool {
    /// Waiting for a connection.
    #[schemars(range(min = 0))]
    pub http1_max_pending_requests: Option<i32>,
    /// Active at the same time.
    #[schemars(range(min = 0))]
    pub http2_max_requests: Option<i32>,
    /// Before a connection is closed.
    #[schemars(range(min = 0))]
    pub max_requests_per_connection: Option<i32>,
    /// Retries at the same time.
    #[schemars(range(min = 0))]
    pub max_retries: Option<i32>,
    /// Idle time before a connection is closed.
    pub idle_timeout: Option<Span>,
    /// Upgrade to HTTP/2.
    #[schemars(extend("enum" = ["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"]))]
    pub h2_upgrade_policy: Option<String>,
    /// Keep the client's protocol.
    pub use_client_protocol: Option<bool>,
    /// Streams of one connection.
    #[schemars(range(min = 0))]
    pub max_concurrent_streams: Option<i32>,
    /// Keep-alive pings of HTTP/2 connections.
    #[serde(rename = "http2KeepAlive")]
    pub http2_keep_alive: Option<Http2KeepAlive>,
}

/// Keep-alive pings of HTTP/2 connections.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Http2KeepAlive {
    /// Between pings.
    pub interval: Option<Span>,
    /// Time for the answer.
    pub timeout: Option<Span>,
}

/// Which endpoints are put aside for a while.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutlierDetection {
    /// Old spelling of `consecutiveGatewayErrors` (Istio 1.3).
    #[schemars(range(min = 0))]
    pub consecutive_errors: Option<i32>,
    /// 502, 503 and 504 in a row.
    pub consecutive_gateway_errors: Option<u32>,
    /// 5xx in a row.
    #[serde(rename = "consecutive5xxErrors")]
    pub consecutive_5xx_errors: Option<u32>,
    /// Failures of one's own in a row.
    pub consecutive_local_origin_failures: Option<u32>,
    /// Count own failures apart.
    pub split_external_local_origin_errors: Option<bool>,
    /// Between looks.
    pub interval: Option<Span>,
    /// First time aside; grows with each.
    pub base_ejection_time: Option<Span>,
    /// Most that may be aside.
    #[schemars(range(min = 0, max = 100))]
    pub max_ejection_percent: Option<i32>,
    /// Below this share of healthy ones all are used.
    #[schemars(range(min = 0, max = 100))]
    pub min_health_percent: Option<i32>,
    /// Statuses that count as errors, beside 5xx.
    #[schemars(inner(range(min = 100, max = 599)))]
    pub outlier_detection_http_error_codes: Option<Vec<u32>>,
}
