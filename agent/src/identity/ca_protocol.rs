//! What agents and certificate authorities say to each other: Istio's gRPC service for signing requests.
//!
//! The messages are those of `istio.io/api/security/v1alpha1/ca.proto`, written by hand: three fields need no compiler.
//! [`super::RemoteCa`] sends them, `weft control` answers them; istiod and ztunnel speak the same.

use std::time::Duration;

use prost_types::{Struct, Value, value::Kind};
use weft_model::identity::SpiffeId;

/// Path of the only method.
pub const CREATE_CERTIFICATE: &str = "/istio.v1.auth.IstioCertificateService/CreateCertificate";

/// Key in the request's metadata by which a trusted node account says for whom it asks.
pub const IMPERSONATED_IDENTITY: &str = "ImpersonatedIdentity";

/// Audience of the tokens that prove who asks (Istio's default).
pub const TOKEN_AUDIENCE: &str = "istio-ca";

/// Longest message in bytes: a request has some KiB, an answer a handful of certificates.
pub const MAX_MESSAGE: usize = 256 * 1024;

/// `IstioCertificateRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CertificateRequest {
    /// The signing request, PEM.
    #[prost(string, tag = "1")]
    pub csr: String,
    /// Seconds that the certificate shall live; zero or less: as the authority likes.
    #[prost(int64, tag = "3")]
    pub validity_duration: i64,
    /// For whom, when not for the caller.
    #[prost(message, optional, tag = "4")]
    pub metadata: Option<Struct>,
}

/// `IstioCertificateResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CertificateResponse {
    /// PEM, one certificate each: the leaf first, intermediates, roots last.
    #[prost(string, repeated, tag = "1")]
    pub cert_chain: Vec<String>,
}

impl CertificateRequest {
    /// A request for `id`, whoever sends it.
    pub fn on_behalf_of(id: &SpiffeId, csr: String, ttl: Duration) -> Self {
        let value = Value { kind: Some(Kind::StringValue(id.to_string())) };
        Self {
            csr,
            validity_duration: i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX),
            metadata: Some(Struct { fields: [(IMPERSONATED_IDENTITY.to_owned(), value)].into() }),
        }
    }

    /// The identity that is asked for by name, if any.
    pub fn impersonated(&self) -> Option<&str> {
        match &self.metadata.as_ref()?.fields.get(IMPERSONATED_IDENTITY)?.kind {
            Some(Kind::StringValue(id)) if !id.is_empty() => Some(id),
            _ => None,
        }
    }

    /// The life that is asked for, when one is.
    pub fn ttl(&self) -> Option<Duration> {
        u64::try_from(self.validity_duration).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs)
    }
}
