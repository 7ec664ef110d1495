//! What the data plane reports, once per request and per connection.
//!
//! Telemetry implements [`Observe`] and alone turns events into log lines and metrics.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use weft_model::{decision::Cluster, identity::SpiffeId, outcome::ResponseFlag, workload::Workload};

/// Which side of the wire reports (label `reporter`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reporter {
    /// The client's side.
    Source,
    /// The server's side.
    Destination,
}

/// One end of a connection, as far as known.
#[derive(Clone, Debug, Default)]
pub struct Party {
    /// The pod.
    pub workload: Option<Arc<Workload>>,
    /// Identity proved on this connection by mTLS.
    pub principal: Option<SpiffeId>,
}

/// The connection an event belongs to. Shared by all requests on it.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    /// Which side reports.
    pub reporter: Reporter,
    /// The pod whose agent-side socket this is: series and log lines are filed under it.
    pub owner: Arc<Workload>,
    /// Client end.
    pub source: Party,
    /// Server end.
    pub destination: Party,
    /// What the destination is part of; `None` when nothing could be decided.
    pub cluster: Option<Cluster>,
    /// Did mesh mTLS secure the wire? (`connection_security_policy`)
    pub mutual_tls: bool,
    /// Server name sent in the TLS handshake.
    pub sni: Option<Arc<str>>,
    /// Client's address and port as accepted.
    pub downstream_remote: SocketAddr,
    /// Address the client dialled.
    pub downstream_local: SocketAddr,
    /// Address dialled upstream, once there is one.
    pub upstream_remote: Option<SocketAddr>,
    /// Our own end of the upstream connection.
    pub upstream_local: Option<SocketAddr>,
}

/// What an HTTP request spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HttpVersion {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2.
    Http2,
}

/// One HTTP request has ended.
#[derive(Clone, Debug)]
pub struct RequestEvent {
    /// Its connection.
    pub connection: ConnectionInfo,
    /// When its first byte arrived.
    pub started: SystemTime,
    /// Protocol version.
    pub version: HttpVersion,
    /// gRPC (content-type application/grpc): label `request_protocol`.
    pub grpc: bool,
    /// `grpc-status` of the answer, in its head or its trailers: label `grpc_response_status`.
    pub grpc_status: Option<u32>,
    /// Method.
    pub method: String,
    /// Path and query as the client sent them.
    pub path: String,
    /// Host header.
    pub authority: String,
    /// `user-agent`, empty when absent.
    pub user_agent: String,
    /// `x-forwarded-for`, empty when absent.
    pub forwarded_for: String,
    /// `x-request-id`.
    pub request_id: String,
    /// Status; 0 when the client left before one was known.
    pub status: u16,
    /// Response flags, in the order they arose.
    pub flags: Vec<ResponseFlag>,
    /// Envoy's response code details (`via_upstream`, `rbac_access_denied_matched_policy[...]`).
    pub details: String,
    /// Why the upstream connection failed, empty when it did not.
    pub upstream_failure: String,
    /// Route name, empty when none.
    pub route: String,
    /// Head and body bytes of the request.
    pub request_bytes: u64,
    /// Head and body bytes of the response.
    pub response_bytes: u64,
    /// Body bytes received from the client (`%BYTES_RECEIVED%`).
    pub body_received: u64,
    /// Body bytes sent to the client (`%BYTES_SENT%`).
    pub body_sent: u64,
    /// First byte of the request to last byte of the response.
    pub duration: Duration,
    /// Time the upstream took to the first byte of its response.
    pub upstream_time: Option<Duration>,
}

/// An opaque TCP connection was accepted.
#[derive(Clone, Debug)]
pub struct TcpOpened {
    /// The connection.
    pub connection: ConnectionInfo,
}

/// An opaque TCP connection has ended.
#[derive(Clone, Debug)]
pub struct TcpClosed {
    /// The connection.
    pub connection: ConnectionInfo,
    /// When it was accepted.
    pub started: SystemTime,
    /// Client to server (`istio_tcp_received_bytes_total`), counted since the last report.
    pub received: u64,
    /// Server to client (`istio_tcp_sent_bytes_total`), counted since the last report.
    pub sent: u64,
    /// Bytes over the whole life, for the access log: (received, sent).
    pub total: (u64, u64),
    /// How long it lasted.
    pub duration: Duration,
    /// Flags.
    pub flags: Vec<ResponseFlag>,
    /// Details (`rbac_access_denied_matched_policy[...]`, empty).
    pub details: String,
    /// Why the upstream connection failed, empty when it did not.
    pub upstream_failure: String,
}

/// Bytes that a living TCP connection moved since the last report (every few seconds).
#[derive(Clone, Debug)]
pub struct TcpProgress {
    /// The connection.
    pub connection: Arc<ConnectionInfo>,
    /// Client to server.
    pub received: u64,
    /// Server to client.
    pub sent: u64,
}

/// The ear of the data plane. Called on worker threads: must not block.
pub trait Observe: Send + Sync {
    /// An HTTP request has ended.
    fn request(&self, event: &RequestEvent);
    /// A TCP connection was accepted.
    fn tcp_opened(&self, event: &TcpOpened);
    /// A TCP connection moved bytes.
    fn tcp_progress(&self, event: &TcpProgress);
    /// A TCP connection has ended.
    fn tcp_closed(&self, event: &TcpClosed);
}
