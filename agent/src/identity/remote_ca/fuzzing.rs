//! A part of the fuzz target `ca_message`: what an authority answers.

use super::{super::ca_protocol::CertificateResponse, answer};

/// Sorts an answer.
pub(in crate::identity) fn answer(response: &CertificateResponse) {
    if let Ok(signed) = answer::read(response) {
        assert!(!signed.chain.is_empty(), "an answer without a leaf was accepted");
        let given: usize = response.cert_chain.iter().map(|text| text.matches("-----BEGIN ").count()).sum();
        assert!(signed.chain.len() <= given);
    }
}
