//! How mesh peers speak TLS: algorithms, versions, protocol names and session tickets.
//!
//! [`super::WorkloadIdentity`] builds its configurations here, once per certificate.
//!
//! TLS 1.3 is what weft peers speak; 1.2 is left on because Istio's sidecars still allow it
//! (`meshConfig.meshMTLS.minProtocolVersion`). Tickets let a peer resume without certificates on the wire, yet never
//! without an identity: rustls seals the client's verified certificate into the ticket and restores it from there. The
//! ticket keys belong to one certificate of one server identity, so no other identity opens them and rotation ends them.

use std::sync::{Arc, LazyLock};

use rustls::{
    ClientConfig, ServerConfig, SupportedProtocolVersion,
    client::{Resumption, Tls12Resumption},
    crypto::{
        CryptoProvider, GetRandomFailed,
        aws_lc_rs::{self, Ticketer, cipher_suite, kx_group},
    },
    server::{NoServerSessionStorage, ProducesTickets, ResolvesServerCert},
    sign::{CertifiedKey, SingleCertAndKey},
    ticketer::TicketRotator,
    version::{TLS12, TLS13},
};
use weft_model::identity::SpiffeId;

use super::{
    sessions::{PeerSessions, Sessions},
    verify::{ClientVerifier, ServerVerifier, Trust},
};

/// Many requests on one connection, between weft peers.
pub const ALPN_MUX: &[u8] = crate::net::mux::ALPN;
/// Protocol names that a mesh server accepts, most wanted first: weft's own, then Istio's `ALPNInMesh*` names. `istio-peer-exchange`
/// is last, because choosing it would make a sidecar send its metadata ahead of the payload; sidecars offer `istio`
/// beside it.
pub const ALPN_SERVER: [&[u8]; 6] =
    [ALPN_MUX, b"istio-h2", b"istio-http/1.1", b"istio-http/1.0", b"istio", b"istio-peer-exchange"];
/// Protocol names that a client offers for HTTP/1.1.
pub const ALPN_HTTP: [&[u8]; 2] = [b"istio-http/1.1", b"istio"];
/// Protocol names that a client offers for HTTP/1.1 requests that may share the connection.
pub const ALPN_REQUESTS: [&[u8]; 3] = [ALPN_MUX, b"istio-http/1.1", b"istio"];
/// Protocol names that a client offers for HTTP/2: Istio's, and what a sidecar itself chooses.
pub const ALPN_HTTP2: [&[u8]; 3] = [b"istio-h2", b"istio", b"h2"];
/// Protocol names that a client offers for opaque TCP.
pub const ALPN_TCP: [&[u8]; 1] = [b"istio"];

/// What a client connection is going to carry; decides the protocol names it offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// HTTP/1.1 requests, one at a time ([`ALPN_HTTP`]).
    Http,
    /// HTTP/1.1 requests, many at a time where the peer can ([`ALPN_REQUESTS`]).
    Requests,
    /// HTTP/2 ([`ALPN_HTTP2`]).
    Http2,
    /// Opaque bytes ([`ALPN_TCP`]).
    Tcp,
}

impl Purpose {
    fn alpn(self) -> Vec<Vec<u8>> {
        match self {
            Self::Http => owned(&ALPN_HTTP),
            Self::Requests => owned(&ALPN_REQUESTS),
            Self::Http2 => owned(&ALPN_HTTP2),
            Self::Tcp => owned(&ALPN_TCP),
        }
    }
}

/// Seconds after which a ticket key is replaced; a ticket serves for twice that at most.
const TICKET_KEY_SECONDS: u32 = 30 * 60;
const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

/// aws-lc-rs with AES-128-GCM before the others (1.5 times as fast as AES-256, six times ChaCha20) and X25519 (P-256
/// for peers that have nothing else).
pub(super) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        Arc::new(CryptoProvider {
            cipher_suites: vec![
                cipher_suite::TLS13_AES_128_GCM_SHA256,
                cipher_suite::TLS13_AES_256_GCM_SHA384,
                cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
                cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
                // Istio's own workload keys are RSA unless told otherwise.
                cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
                cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            ],
            kx_groups: vec![kx_group::X25519, kx_group::SECP256R1],
            ..aws_lc_rs::default_provider()
        })
    });
    PROVIDER.clone()
}

/// The server side of an identity. Clients must show a certificate.
pub(super) fn server_config(
    key: Arc<SingleCertAndKey>,
    verifier: ClientVerifier,
) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&VERSIONS)?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(key);
    config.alpn_protocols = owned(&ALPN_SERVER);
    config.ignore_client_order = true;
    config.require_ems = true;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = Arc::new(TicketRotator::new(TICKET_KEY_SECONDS, new_ticket_key)?);
    Ok(config)
}

/// How the control plane's own servers speak TLS: clients show tokens, not certificates, so none is asked for.
///
/// # Errors
/// Never in practice: the versions are those of the provider.
pub fn service_config(key: Arc<dyn ResolvesServerCert>, alpn: &[&[u8]]) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&VERSIONS)?
        .with_no_client_auth()
        .with_cert_resolver(key);
    config.alpn_protocols = owned(alpn);
    Ok(config)
}

/// What all client configurations of an identity share; expects the identity `verifier` names.
pub(super) fn client_base(key: Arc<SingleCertAndKey>, verifier: ServerVerifier) -> Result<ClientConfig, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&VERSIONS)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(key);
    config.require_ems = true;
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// `base` for connections to `expected`: some reference counts and small vectors, no cryptography.
pub(super) fn client_config(
    base: &ClientConfig,
    trust: &Arc<Trust>,
    sessions: &Arc<Sessions>,
    purpose: Purpose,
    expected: &SpiffeId,
) -> ClientConfig {
    let mut config = base.clone();
    let verifier = ServerVerifier { trust: trust.clone(), expected: expected.clone() };
    config.dangerous().set_certificate_verifier(Arc::new(verifier));
    config.alpn_protocols = purpose.alpn();
    let sessions = PeerSessions { sessions: sessions.clone(), purpose, peer: expected.clone() };
    config.resumption = Resumption::store(Arc::new(sessions)).tls12_resumption(Tls12Resumption::Disabled);
    config
}

/// One key and chain for both sides.
pub(super) fn resolver(key: CertifiedKey) -> Arc<SingleCertAndKey> {
    Arc::new(SingleCertAndKey::from(key))
}

fn owned(names: &[&[u8]]) -> Vec<Vec<u8>> {
    names.iter().map(|name| name.to_vec()).collect()
}

/// rustls's ticketer replaces its keys every six hours only; wrapped, it is one key that we replace sooner.
#[derive(Debug)]
struct TicketKey(Arc<dyn ProducesTickets>);

fn new_ticket_key() -> Result<Box<dyn ProducesTickets>, GetRandomFailed> {
    Ok(Box::new(TicketKey(Ticketer::new().map_err(|_| GetRandomFailed)?)))
}

impl ProducesTickets for TicketKey {
    fn enabled(&self) -> bool {
        self.0.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.0.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.0.encrypt(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.0.decrypt(cipher)
    }
}

#[cfg(test)]
mod tests;
