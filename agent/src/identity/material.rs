//! What a certificate authority consists of, as text: the four files of Istio's `cacerts`, wherever they are kept.
//!
//! [`super::LocalCa`] reads them from a directory, `weft control` from a Secret. [`super::Signer`] judges and uses them.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use time::OffsetDateTime;

use super::{authority::TrustBundle, peer, signer::SignerError};

/// The signing certificate.
pub const CA_CERT: &str = "ca-cert.pem";
/// Its private key.
pub const CA_KEY: &str = "ca-key.pem";
/// Roots, if the signing certificate is not one itself, or if there are several.
pub const ROOT_CERT: &str = "root-cert.pem";
/// From the signing certificate up.
pub const CERT_CHAIN: &str = "cert-chain.pem";

/// Life of a root made here (Istio's self-signed default).
pub const ROOT_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// How far a new root begins in the past, for nodes whose clocks are behind.
const ROOT_SKEW: Duration = Duration::from_secs(60 * 60);

/// The files as they are found. Deliberately without `Debug`: one of them is the key.
#[derive(Clone, Copy)]
pub struct CaFiles<'a> {
    /// [`CA_CERT`].
    pub certificate: &'a [u8],
    /// [`CA_KEY`].
    pub key: &'a [u8],
    /// [`ROOT_CERT`]; an empty one counts as none.
    pub roots: Option<&'a [u8]>,
    /// [`CERT_CHAIN`]; an empty one counts as none.
    pub chain: Option<&'a [u8]>,
}

/// What the files hold.
pub(super) struct Material {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) key: KeyPair,
    /// Sent after each leaf: from the signing certificate up, without self-signed ones.
    pub(super) intermediates: Vec<CertificateDer<'static>>,
    pub(super) roots: Vec<CertificateDer<'static>>,
}

impl Material {
    pub(super) fn read(files: CaFiles<'_>) -> Result<Self, SignerError> {
        let key = read_key(files.key)?;
        let signing = read_certificates(CA_CERT, files.certificate)?;
        let Some(certificate) = signing.first().cloned() else {
            return Err(malformed(CA_CERT, "it holds no certificate"));
        };
        let optional = |file, text: Option<&[u8]>| {
            let text = text.filter(|text| !text.trim_ascii().is_empty());
            text.map(|text| read_certificates(file, text)).transpose()
        };
        let roots = optional(ROOT_CERT, files.roots)?.unwrap_or_else(|| vec![certificate.clone()]);
        let mut intermediates = optional(CERT_CHAIN, files.chain)?.unwrap_or(signing);
        if intermediates.first() != Some(&certificate) {
            intermediates.insert(0, certificate.clone());
        }
        intermediates.retain(|link| !roots.contains(link) && !peer::is_self_issued(link));
        Ok(Self { certificate, key, intermediates, roots })
    }
}

/// A new root: certificate and private key in PEM. Deliberately without `Debug`.
pub struct NewRoot {
    /// [`CA_CERT`].
    pub certificate: String,
    /// [`CA_KEY`].
    pub key: String,
}

impl NewRoot {
    /// A self-signed root for the mesh of `trust_domain`, valid for [`ROOT_LIFE`] from `now` on.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn generate(trust_domain: &str, now: SystemTime) -> Result<Self, SignerError> {
        let key = new_key().map_err(|error| ungenerated(CA_KEY, &error))?;
        let certificate = root_certificate(&key, trust_domain, now).map_err(|error| ungenerated(CA_CERT, &error))?;
        Ok(Self { certificate, key: key.serialize_pem() })
    }
}

/// A key for a new root.
pub(super) fn new_key() -> Result<KeyPair, rcgen::Error> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
}

/// The certificate (PEM) of a new root with `key`.
pub(super) fn root_certificate(key: &KeyPair, trust_domain: &str, now: SystemTime) -> Result<String, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, trust_domain);
    params.distinguished_name.push(DnType::CommonName, "weft root CA");
    let now = OffsetDateTime::from(now);
    params.not_before = now - ROOT_SKEW;
    params.not_after = now + ROOT_LIFE;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params.self_signed(key)?.pem())
}

pub(super) fn read_key(text: &[u8]) -> Result<KeyPair, SignerError> {
    // The reasons are ours: a parser's message could quote what it read.
    let der = PrivateKeyDer::from_pem_slice(text).map_err(|_| {
        malformed(CA_KEY, "it holds no private key in PEM (PRIVATE KEY, EC PRIVATE KEY or RSA PRIVATE KEY)")
    })?;
    KeyPair::try_from(&der)
        .map_err(|_| malformed(CA_KEY, "its private key is of a kind that cannot sign (use ECDSA or RSA)"))
}

fn read_certificates(file: &'static str, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, SignerError> {
    CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|error| malformed(file, &format!("not PEM: {error}")))
}

/// What was to be made could not be.
pub(super) fn ungenerated(file: &'static str, error: &rcgen::Error) -> SignerError {
    malformed(file, &format!("it cannot be generated: {error}"))
}

fn malformed(file: &'static str, reason: &str) -> SignerError {
    SignerError::Malformed { file, reason: reason.to_owned() }
}

impl TrustBundle {
    /// Reads roots in PEM, as `root-cert.pem` of a ConfigMap holds them.
    ///
    /// # Errors
    /// When the text holds no certificate or is not PEM.
    pub fn from_pem(text: &[u8]) -> Result<Self, super::CaError> {
        let roots = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
        Self::new(roots.map_err(|error| super::CaError::BadBundle(format!("not PEM: {error}")))?)
    }

    /// The roots in PEM, one after the other.
    pub fn to_pem(&self) -> String {
        self.roots().iter().map(|root| certificate_pem(root)).collect()
    }
}

/// What a person wants to know of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSummary {
    /// Its name.
    pub subject: String,
    /// End of its life.
    pub not_after: SystemTime,
    /// SHA-256, hexadecimal.
    pub fingerprint: String,
}

impl CertificateSummary {
    /// Reads a certificate.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(certificate: &CertificateDer<'_>) -> Result<Self, super::PeerError> {
        let parsed = peer::parse(certificate)?;
        Ok(Self {
            subject: parsed.subject().to_string(),
            not_after: parsed.validity().not_after.to_datetime().into(),
            fingerprint: super::xfcc::sha256_hex(certificate),
        })
    }
}

/// A certificate in PEM, with a line's end.
pub fn certificate_pem(certificate: &CertificateDer<'_>) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new("CERTIFICATE", certificate.to_vec()), config)
}
