//! The agent's half of an issuance: a fresh key and the request that carries its public part.
//!
//! [`super::WorkloadIdentity::issue`] calls it. The private key stays in this process.

use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, SanType};
use rustls_pki_types::{CertificateSigningRequestDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use weft_model::identity::SpiffeId;

/// A private key (PKCS#8) and the signing request for it. Deliberately without `Debug`.
pub(super) struct KeyRequest {
    pub(super) key: PrivateKeyDer<'static>,
    pub(super) csr: CertificateSigningRequestDer<'static>,
}

impl KeyRequest {
    /// A new ECDSA P-256 key: the fastest to sign with that every mesh peer verifies.
    pub(super) fn generate(id: &SpiffeId) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![SanType::URI(id.to_string().try_into()?)];
        let csr = params.serialize_request(&key)?.into();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        Ok(Self { key, csr })
    }
}
