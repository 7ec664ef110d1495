//! The authority's half of an issuance: what of a signing request is believed, which is its public key alone.
//!
//! [`super::LocalCa`] and `weft control` read requests here before a [`super::Signer`] signs. Whether the one who asks
//! may have the identity is decided by them, and never from what the request says about itself.

use rcgen::{
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, PublicKeyData, SignatureAlgorithm,
    SubjectPublicKeyInfo,
};
use rustls_pki_types::{CertificateSigningRequestDer, pem::PemObject};
use x509_parser::{
    certification_request::X509CertificationRequest, extensions::ParsedExtension, prelude::FromDer,
    public_key::PublicKey,
};

/// Sizes of RSA keys in bits that all mesh peers verify; Envoy refuses shorter ones, and longer ones only cost time.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// A request whose signature proves that its sender has the private key.
#[derive(Clone, Debug)]
pub struct SigningRequest {
    key: SubjectPublicKeyInfo,
    names: Vec<String>,
}

/// Why a request is not signed, whoever sent it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// It is no PKCS#10 request.
    #[error("the signing request is not valid: {0}")]
    Malformed(String),
    /// Somebody else's key.
    #[error("the signing request is not valid: it is not signed with the private key that belongs to its public key")]
    Signature,
    /// A key that some peers could not verify with.
    #[error("the signing request is for {0}; use ECDSA (P-256 or P-384), or RSA of 2048 to 4096 bits")]
    Key(String),
}

impl SigningRequest {
    /// Reads a request in PEM (`CERTIFICATE REQUEST`).
    ///
    /// # Errors
    /// [`RequestError`] says what is wrong.
    pub fn from_pem(text: &str) -> Result<Self, RequestError> {
        let der = CertificateSigningRequestDer::from_pem_slice(text.as_bytes())
            .map_err(|_no_request| RequestError::Malformed("it holds no PEM block CERTIFICATE REQUEST".to_owned()))?;
        Self::from_der(&der)
    }

    /// Reads a request in DER.
    ///
    /// # Errors
    /// [`RequestError`] says what is wrong.
    pub fn from_der(der: &CertificateSigningRequestDer<'_>) -> Result<Self, RequestError> {
        let (rest, request) =
            X509CertificationRequest::from_der(der).map_err(|error| RequestError::Malformed(error.to_string()))?;
        if !rest.is_empty() {
            return Err(RequestError::Malformed(format!("{} bytes follow it", rest.len())));
        }
        let spki = &request.certification_request_info.subject_pki;
        let key = SubjectPublicKeyInfo::from_der(spki.raw)
            .map_err(|_unknown| RequestError::Key(format!("a key of the kind {}", spki.algorithm.algorithm)))?;
        if !is_ecdsa(key.algorithm()) {
            check_rsa(spki, &key)?;
        }
        request.verify_signature().map_err(|_invalid| RequestError::Signature)?;
        let names = request.requested_extensions().into_iter().flatten().filter_map(|extension| match extension {
            ParsedExtension::SubjectAlternativeName(names) => Some(names),
            _ => None,
        });
        let names = names.flat_map(|names| names.general_names.iter().map(ToString::to_string)).collect();
        Ok(Self { key, names })
    }

    /// The public key.
    pub(super) fn key(&self) -> &SubjectPublicKeyInfo {
        &self.key
    }

    /// What the request says whose key this is. Only good to find a client's mistake: anybody can write anything.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }
}

fn is_ecdsa(algorithm: &SignatureAlgorithm) -> bool {
    [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384].contains(&algorithm)
}

fn check_rsa(
    spki: &x509_parser::x509::SubjectPublicKeyInfo<'_>,
    key: &SubjectPublicKeyInfo,
) -> Result<(), RequestError> {
    // One entry stands for all hashes: a key does not know with which it will sign.
    if key.algorithm() != &PKCS_RSA_SHA256 {
        return Err(RequestError::Key(format!("a key of the kind {:?}", key.algorithm())));
    }
    match spki.parsed() {
        Ok(PublicKey::RSA(rsa)) if RSA_BITS.contains(&rsa.key_size()) => Ok(()),
        Ok(PublicKey::RSA(rsa)) => Err(RequestError::Key(format!("an RSA key of {} bits", rsa.key_size()))),
        _ => Err(RequestError::Malformed("its RSA key cannot be read".to_owned())),
    }
}

#[cfg(test)]
mod tests;
