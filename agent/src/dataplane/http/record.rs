//! What is known of one request while it passes, and the event it becomes.

use std::time::{Instant, SystemTime};

use weft_model::outcome::ResponseFlag;

use super::{exchange::Passed, head::Head};
use crate::dataplane::{
    event::{ConnectionInfo, HttpVersion, RequestEvent},
    http1::HeadError,
};

/// One request on its way.
#[derive(Debug)]
pub struct Record {
    started: SystemTime,
    clock: Instant,
    version: HttpVersion,
    grpc: bool,
    method: String,
    path: String,
    authority: String,
    user_agent: String,
    forwarded_for: String,
    request_head: u64,
    /// `x-request-id`, once known.
    pub request_id: String,
    /// Status sent to the client.
    pub status: u16,
    /// Flags in the order they arose.
    pub flags: Vec<ResponseFlag>,
    /// Envoy's response code details.
    pub details: String,
    /// Why the upstream connection failed.
    pub upstream_failure: String,
    /// Name of the route.
    pub route: String,
    /// `grpc-status` of the answer.
    pub grpc_status: Option<u32>,
    sent_head: u64,
    body_received: u64,
    body_sent: u64,
    response_at: Option<Instant>,
}

impl Record {
    /// A record that begins with a request's head of `head_bytes`.
    pub fn begin(head: &impl Head, head_bytes: usize) -> Self {
        let text = |name| head.text(name).unwrap_or_default().to_owned();
        let mut record = Self::empty();
        record.version = head.version();
        record.grpc = head.is_grpc();
        head.method().clone_into(&mut record.method);
        head.target().clone_into(&mut record.path);
        head.authority().clone_into(&mut record.authority);
        record.user_agent = text("user-agent");
        record.forwarded_for = text("x-forwarded-for");
        record.request_id = text("x-request-id");
        record.request_head = head_bytes as u64;
        record
    }

    /// A record of a request whose head was refused.
    pub fn refused(error: HeadError) -> Self {
        Self::refused_as(HttpVersion::Http11, error.status(), format!("http1.{}", error.detail()))
    }

    /// The same, in the words of whoever refused it.
    pub fn refused_as(version: HttpVersion, status: u16, details: String) -> Self {
        let flags = vec![ResponseFlag::DownstreamProtocolError];
        Self { version, status, details, flags, ..Self::empty() }
    }

    /// Is it a call of gRPC?
    pub fn is_grpc(&self) -> bool {
        self.grpc
    }

    fn empty() -> Self {
        Self {
            started: SystemTime::now(),
            clock: Instant::now(),
            version: HttpVersion::Http11,
            grpc: false,
            method: String::new(),
            path: String::new(),
            authority: String::new(),
            user_agent: String::new(),
            forwarded_for: String::new(),
            request_head: 0,
            request_id: String::new(),
            status: 0,
            flags: Vec::new(),
            details: String::new(),
            upstream_failure: String::new(),
            route: String::new(),
            grpc_status: None,
            sent_head: 0,
            body_received: 0,
            body_sent: 0,
            response_at: None,
        }
    }

    /// When the request began.
    pub fn clock(&self) -> Instant {
        self.clock
    }

    /// Host header.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Adds what an exchange passed.
    pub fn add(&mut self, passed: &Passed) {
        if passed.status != 0 {
            self.status = passed.status;
        }
        self.sent_head += passed.response_head;
        self.body_received += passed.request_body;
        self.body_sent += passed.response_body;
        self.response_at = passed.response_at.or(self.response_at);
    }

    /// Adds an answer of the proxy itself.
    pub fn add_reply(&mut self, status: u16, body_bytes: usize) {
        self.status = status;
        self.body_sent += body_bytes as u64;
    }

    /// The event.
    pub fn finish(self, connection: ConnectionInfo) -> RequestEvent {
        RequestEvent {
            connection,
            started: self.started,
            version: self.version,
            grpc: self.grpc,
            method: self.method,
            path: self.path,
            authority: self.authority,
            user_agent: self.user_agent,
            forwarded_for: self.forwarded_for,
            request_id: self.request_id,
            status: self.status,
            flags: self.flags,
            details: self.details,
            upstream_failure: self.upstream_failure,
            route: self.route,
            grpc_status: self.grpc_status,
            request_bytes: self.request_head + self.body_received,
            response_bytes: self.sent_head + self.body_sent,
            body_received: self.body_received,
            body_sent: self.body_sent,
            duration: self.clock.elapsed(),
            upstream_time: self.response_at.map(|at| at.duration_since(self.clock)),
        }
    }
}
