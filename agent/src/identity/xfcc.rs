//! The `x-forwarded-client-cert` element that tells an application who its caller is.
//!
//! The data plane computes it once per inbound connection and puts it into every request of it.

use std::fmt::Write;

use rustls::{SupportedCipherSuite, crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256};
use rustls_pki_types::CertificateDer;
use weft_model::identity::SpiffeId;

/// One element in Envoy's form: `By=<our URI>;Hash=<SHA-256 of the peer's DER, hex>;Subject="";URI=<peer's URI>`
/// (Envoy, HTTP header manipulation, `x-forwarded-client-cert`).
///
/// The subject is always empty, as in the certificates of weft and Istio: it would be no identity. The URIs need no
/// quotes, because a SPIFFE id has none of the characters that would (`,;="`).
pub fn xfcc(by: &SpiffeId, peer_certificate: &CertificateDer<'_>, peer: &SpiffeId) -> String {
    format!("By={by};Hash={};Subject=\"\";URI={peer}", sha256_hex(peer_certificate))
}

pub(super) fn sha256_hex(data: &[u8]) -> String {
    // rustls hands out aws-lc-rs's SHA-256 by the cipher suite that uses it.
    let provider = match TLS13_AES_128_GCM_SHA256 {
        SupportedCipherSuite::Tls13(suite) => suite.common.hash_provider,
        SupportedCipherSuite::Tls12(suite) => suite.common.hash_provider,
    };
    let mut hex = String::with_capacity(64);
    for byte in provider.hash(data).as_ref() {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

#[cfg(test)]
mod tests;
