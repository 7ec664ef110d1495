//! Reading a peer's certificate: which SPIFFE id it carries, and every reason to refuse it.
//!
//! [`super::verify`] uses it during the handshake, the data plane afterwards ([`peer_id`], [`refusal`]).

use std::{io, time::SystemTime};

use rustls::{CertificateError, CommonState, OtherError};
use rustls_pki_types::CertificateDer;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use weft_model::identity::SpiffeId;
use x509_parser::{extensions::GeneralName, prelude::X509Certificate};

/// Why a peer's certificate is refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PeerError {
    /// The handshake ended without a certificate of the peer.
    #[error("peer presented no certificate; is it part of the mesh?")]
    NoCertificate,
    /// The certificate cannot be parsed.
    #[error("peer's certificate is malformed: {0}")]
    Malformed(String),
    /// No URI among the alternative names (SPIFFE X.509-SVID, section 2).
    #[error(
        "peer's certificate (subject {subject:?}) has no URI in its subjectAltName, so it carries no SPIFFE identity"
    )]
    NoUri {
        /// The subject, which is no identity but helps to find the certificate.
        subject: String,
    },
    /// More than one URI (SPIFFE X.509-SVID, section 2, wants exactly one).
    #[error("peer's certificate has {} URIs in its subjectAltName, exactly one is allowed: {}", .0.len(), .0.join(", "))]
    SeveralUris(
        /// The URIs.
        Vec<String>,
    ),
    /// The URI is no SPIFFE id of a Kubernetes service account.
    #[error(
        "peer's certificate names {0:?}, which is not of the form spiffe://<trust domain>/ns/<namespace>/sa/<service account>"
    )]
    NotSpiffe(
        /// The URI.
        String,
    ),
    /// The trust domain is neither the mesh's nor an alias.
    #[error(
        "peer is {actual}, but this mesh accepts only the trust domains {accepted}; add an alias if this is a migration"
    )]
    TrustDomain {
        /// Who the peer is.
        actual: SpiffeId,
        /// The accepted trust domains, comma separated.
        accepted: String,
    },
    /// A server proved another identity than the workload that was dialled has.
    #[error("peer is {actual}, but {expected} was expected at this address")]
    OtherIdentity {
        /// Who should be there.
        expected: SpiffeId,
        /// Who is there.
        actual: SpiffeId,
    },
    /// Chain, validity or key usage do not hold.
    #[error("certificate of a peer that claims to be {claimed}{} is not trusted: {reason}", expecting(.expected))]
    Untrusted {
        /// What the (unproven) certificate says.
        claimed: String,
        /// Whom the client expected; `None` on the server side.
        expected: Option<SpiffeId>,
        /// The failed check.
        reason: String,
    },
    /// A resumed or long-lived connection whose certificate has ended.
    #[error("certificate of {id} expired at {not_after}; the peer has to connect anew with a fresh one")]
    Expired {
        /// Who the peer was.
        id: SpiffeId,
        /// End of the certificate's life, RFC 3339.
        not_after: String,
    },
}

fn expecting(expected: &Option<SpiffeId>) -> String {
    expected.as_ref().map(|id| format!(" (expected {id})")).unwrap_or_default()
}

impl From<PeerError> for rustls::Error {
    fn from(error: PeerError) -> Self {
        // The price of our own message is a less telling alert: certificate_unknown.
        CertificateError::Other(OtherError(std::sync::Arc::new(error))).into()
    }
}

/// The identity of the peer of an established connection.
///
/// Also right after a resumed handshake: both sides keep the peer's certificate with the session (the server inside
/// the encrypted ticket). A ticket can outlive the certificate, therefore its validity is looked at again here.
///
/// # Errors
/// [`PeerError`] without a certificate, with an expired one, or with one that holds no SPIFFE id.
pub fn peer_id(connection: &CommonState) -> Result<SpiffeId, PeerError> {
    let leaf = connection.peer_certificates().and_then(<[_]>::first).ok_or(PeerError::NoCertificate)?;
    identity_at(leaf, SystemTime::now())
}

/// Why a TLS handshake failed, if the reason is the peer's certificate: the full message instead of TLS's short word.
pub fn refusal(error: &io::Error) -> Option<&PeerError> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => inner.downcast_ref(),
        _ => None,
    }
}

/// The identity of a certificate which is still valid at `now`.
pub(super) fn identity_at(leaf: &CertificateDer<'_>, now: SystemTime) -> Result<SpiffeId, PeerError> {
    let leaf = parse(leaf)?;
    let id = identity(&leaf)?;
    let not_after = leaf.validity().not_after.to_datetime();
    if OffsetDateTime::from(now) > not_after {
        return Err(PeerError::Expired { id, not_after: rfc3339(not_after) });
    }
    Ok(id)
}

/// Parses a certificate (DER).
pub(super) fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, PeerError> {
    let (rest, parsed) =
        x509_parser::parse_x509_certificate(certificate).map_err(|error| PeerError::Malformed(error.to_string()))?;
    if !rest.is_empty() {
        return Err(PeerError::Malformed(format!("{} bytes follow the certificate", rest.len())));
    }
    Ok(parsed)
}

/// Whether a certificate names itself as its issuer, as roots do.
pub(super) fn is_self_issued(certificate: &CertificateDer<'_>) -> bool {
    parse(certificate).is_ok_and(|certificate| certificate.subject() == certificate.issuer())
}

/// The one SPIFFE id of a certificate: exactly one URI, which is one. Names of other kinds do not count.
pub(super) fn identity(certificate: &X509Certificate<'_>) -> Result<SpiffeId, PeerError> {
    let names = certificate.subject_alternative_name().map_err(|error| PeerError::Malformed(error.to_string()))?;
    let names = names.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    let uris: Vec<&str> = names
        .iter()
        .filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        })
        .collect();
    match uris[..] {
        [] => Err(PeerError::NoUri { subject: certificate.subject().to_string() }),
        [uri] => match uri.parse() {
            Ok(id) if is_well_formed(&id) => Ok(id),
            _ => Err(PeerError::NotSpiffe(uri.to_owned())),
        },
        _ => Err(PeerError::SeveralUris(uris.into_iter().map(str::to_owned).collect())),
    }
}

/// What a certificate says it is, proven or not, for messages only.
pub(super) fn claim(certificate: &CertificateDer<'_>) -> String {
    match parse(certificate).and_then(|certificate| identity(&certificate)) {
        Ok(id) => id.to_string(),
        Err(error) => format!("nobody ({error})"),
    }
}

/// Whether the id has only the characters that SPIFFE allows (SPIFFE-ID, sections 2.1 and 2.2). Whatever passes can
/// stand in a header or a log line without escaping.
pub(super) fn is_well_formed(id: &SpiffeId) -> bool {
    let domain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_');
    let segment = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let path = [&id.namespace, &id.service_account];
    !id.trust_domain.is_empty()
        && id.trust_domain.chars().all(domain)
        && path.iter().all(|part| !part.is_empty() && !matches!(&***part, "." | "..") && part.chars().all(segment))
}

/// A point in time for people.
pub(super) fn rfc3339(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_else(|_| time.to_string())
}

#[cfg(test)]
mod tests;
