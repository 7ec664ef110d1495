//! What decisions and reports look at in a request's head, whichever version of HTTP it came in.

use std::borrow::Cow;

use weft_model::request::{self, Request};

use crate::dataplane::{
    event::HttpVersion,
    http1::{BodyLength, RequestHead, Version},
    shared_connections::SHARED_BODY_BYTES_MAX,
};

/// A request's head.
pub trait Head {
    /// Version of the sender.
    fn version(&self) -> HttpVersion;
    /// Method.
    fn method(&self) -> &str;
    /// Host header or `:authority`, empty when there is none.
    fn authority(&self) -> &str;
    /// Path and query.
    fn target(&self) -> &str;
    /// First value of a header.
    fn value(&self, lower_case_name: &str) -> Option<&[u8]>;
    /// All values of a header, joined by commas.
    fn joined(&self, lower_case_name: &str) -> Option<Cow<'_, [u8]>>;
    /// The version it can be said in only: an offer to switch protocols, or a tunnel.
    fn needs_version(&self) -> Option<HttpVersion>;
    /// Is it a CONNECT to nowhere in particular (RFC 9110 section 9.3.6), not one of RFC 8441?
    fn is_plain_connect(&self) -> bool;
    /// Over HTTP/1.1 upstream: should it leave the connection that requests share to others?
    fn wants_own_connection(&self) -> bool;

    /// First value of a header as text; `None` also when it is not UTF-8.
    fn text(&self, lower_case_name: &str) -> Option<&str> {
        self.value(lower_case_name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Is it a call of gRPC?
    fn is_grpc(&self) -> bool {
        self.value("content-type").is_some_and(is_grpc)
    }
}

/// Envoy's rule: `application/grpc`, alone or with a message format.
pub fn is_grpc(content_type: &[u8]) -> bool {
    content_type.strip_prefix(b"application/grpc").is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// The head as rules look at it.
pub struct Seen<'a, H>(pub &'a H);

impl<'a, H: Head> Seen<'a, H> {
    /// The request that rules judge.
    pub fn request(&'a self) -> Request<'a> {
        Request {
            method: self.0.method(),
            scheme: "http",
            authority: self.0.authority(),
            target: self.0.target(),
            headers: self,
        }
    }
}

impl<H: Head> request::Headers for Seen<'_, H> {
    fn value(&self, lower_case_name: &str) -> Option<Cow<'_, str>> {
        self.0.joined(lower_case_name).map(|value| match value {
            Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
            Cow::Owned(bytes) => String::from_utf8_lossy(&bytes).into_owned().into(),
        })
    }
}

impl Head for RequestHead {
    fn version(&self) -> HttpVersion {
        match self.version() {
            Version::Http10 => HttpVersion::Http10,
            Version::Http11 => HttpVersion::Http11,
        }
    }

    fn method(&self) -> &str {
        self.method()
    }

    fn authority(&self) -> &str {
        self.authority().unwrap_or_default()
    }

    fn target(&self) -> &str {
        self.path()
    }

    fn value(&self, lower_case_name: &str) -> Option<&[u8]> {
        self.headers().get(lower_case_name)
    }

    fn joined(&self, lower_case_name: &str) -> Option<Cow<'_, [u8]>> {
        self.headers().joined(lower_case_name)
    }

    fn needs_version(&self) -> Option<HttpVersion> {
        (self.is_plain_connect() || self.upgrade().is_some()).then_some(HttpVersion::Http11)
    }

    fn is_plain_connect(&self) -> bool {
        self.method() == "CONNECT"
    }

    /// Other protocols and long bodies.
    fn wants_own_connection(&self) -> bool {
        let is_long = matches!(self.body(), BodyLength::Length(bytes) if bytes > SHARED_BODY_BYTES_MAX);
        is_long || self.upgrade().is_some()
    }
}
