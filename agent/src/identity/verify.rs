//! The two checks of a peer's certificate during the handshake, one per side.
//!
//! Both demand a chain to the mesh's bundle ([`super::anchors`], as it is at this moment), validity, extended key usage, exactly one SPIFFE id and an accepted
//! trust domain. The client side also demands the very identity of the workload it dialled, and does so *inside* the
//! handshake: in TLS 1.3 the client shows its own certificate, and sends its first byte, only after that.
//! [`super::WorkloadIdentity`] builds them once per certificate.

use std::{collections::BTreeSet, fmt, sync::Arc};

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    server::{
        ParsedCertificate,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use weft_model::identity::SpiffeId;

use super::{
    anchors::{Anchors, Roots},
    peer,
    peer::PeerError,
    tls,
};

/// The trust domains whose identities this mesh accepts: its own and its aliases
/// (Istio's `meshConfig.trustDomain` and `trustDomainAliases`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustDomains(Arc<BTreeSet<Arc<str>>>);

impl TrustDomains {
    /// The mesh's own trust domain and others that count as the same.
    pub fn new<'a>(own: &'a str, aliases: impl IntoIterator<Item = &'a str>) -> Self {
        Self(Arc::new(aliases.into_iter().chain([own]).map(Arc::from).collect()))
    }

    /// Whether identities of this trust domain are accepted.
    pub fn accepts(&self, trust_domain: &str) -> bool {
        self.0.contains(trust_domain)
    }

    /// Whether `actual` may stand where `expected` is expected: equal, or differing only in trust domains that are
    /// aliases of each other, so that servers keep being reached while a mesh moves to a new trust domain.
    pub fn same_identity(&self, expected: &SpiffeId, actual: &SpiffeId) -> bool {
        expected.namespace == actual.namespace
            && expected.service_account == actual.service_account
            && (expected.trust_domain == actual.trust_domain
                || (self.accepts(&expected.trust_domain) && self.accepts(&actual.trust_domain)))
    }
}

impl fmt::Display for TrustDomains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join(", "))
    }
}

/// What both sides judge by.
#[derive(Debug)]
pub(super) struct Trust {
    anchors: Arc<Anchors>,
    domains: TrustDomains,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Trust {
    pub(super) fn new(anchors: Arc<Anchors>, domains: TrustDomains) -> Arc<Self> {
        Arc::new(Self { anchors, domains, algorithms: tls::provider().signature_verification_algorithms })
    }

    /// The roots in force. Certificates of ours come with roots, so there are always some when a peer is judged.
    fn roots(&self) -> Result<Arc<Roots>, Error> {
        self.anchors.load().ok_or_else(|| Error::General("no roots are known yet".to_owned()))
    }

    /// The identity of a leaf whose chain already holds.
    fn accepted_identity(&self, leaf: &CertificateDer<'_>) -> Result<SpiffeId, PeerError> {
        let actual = peer::identity(&peer::parse(leaf)?)?;
        if self.domains.accepts(&actual.trust_domain) {
            return Ok(actual);
        }
        Err(PeerError::TrustDomain { actual, accepted: self.domains.to_string() })
    }
}

/// Judges servers that this workload dials: each must be `expected`.
#[derive(Debug)]
pub(super) struct ServerVerifier {
    pub(super) trust: Arc<Trust>,
    pub(super) expected: SpiffeId,
}

impl ServerVerifier {
    /// Every check that needs no handshake.
    pub(super) fn check(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), PeerError> {
        ParsedCertificate::try_from(leaf)
            .and_then(|parsed| {
                let (roots, algorithms) = (self.trust.roots()?, self.trust.algorithms.all);
                verify_server_cert_signed_by_trust_anchor(&parsed, &roots.store, intermediates, now, algorithms)
            })
            .map_err(|error| untrusted(leaf, Some(&self.expected), &error))?;
        let actual = self.trust.accepted_identity(leaf)?;
        if !self.trust.domains.same_identity(&self.expected, &actual) {
            return Err(PeerError::OtherIdentity { expected: self.expected.clone(), actual });
        }
        Ok(())
    }
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // The server's name is no identity in the mesh: addresses and DNS names are not in the certificates.
        self.check(leaf, intermediates, now)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, leaf, signature, &self.trust.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signature, &self.trust.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust.algorithms.supported_schemes()
    }
}

/// Judges clients that dial this workload: each must prove an identity; which ones may enter is policy.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    pub(super) trust: Arc<Trust>,
}

impl ClientCertVerifier for ClientVerifier {
    fn client_auth_mandatory(&self) -> bool {
        true
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let roots = self.trust.roots()?;
        let verified = roots
            .clients
            .verify_client_cert(leaf, intermediates, now)
            .map_err(|error| untrusted(leaf, None, &error))?;
        self.trust.accepted_identity(leaf)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, leaf, signature, &self.trust.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signature, &self.trust.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust.algorithms.supported_schemes()
    }
}

fn untrusted(leaf: &CertificateDer<'_>, expected: Option<&SpiffeId>, error: &Error) -> PeerError {
    let reason = match error {
        // The latter when the other authority has the same name as ours, but another key.
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "no root of this mesh's trust bundle signed it; do both sides use the same certificate authority?"
                .to_owned()
        }
        Error::InvalidCertificate(error) => error.to_string(),
        error => error.to_string(),
    };
    PeerError::Untrusted { claimed: peer::claim(leaf), expected: expected.cloned(), reason }
}

#[cfg(test)]
mod tests;
