//! Only keys that every peer can verify with, and only from who has them.

use rcgen::{CertificateParams, KeyPair, RsaKeySize, SanType};

use super::*;
use crate::identity::testing::uri;

fn request(key: &KeyPair, names: Vec<SanType>) -> String {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names;
    params.serialize_request(key).unwrap().pem().unwrap()
}

#[test]
fn keys_of_the_usual_kinds_are_read_with_the_names_beside_them() {
    let rsa = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let keys = [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384].map(|kind| KeyPair::generate_for(kind).unwrap());
    for key in keys.into_iter().chain([rsa]) {
        let names = vec![uri("spiffe://cluster.local/ns/a/sa/b"), SanType::DnsName("web".try_into().unwrap())];
        let read = SigningRequest::from_pem(&request(&key, names)).unwrap();
        assert_eq!(read.key().subject_public_key_info(), key.subject_public_key_info());
        assert_eq!(read.names(), ["URI(spiffe://cluster.local/ns/a/sa/b)", "DNSName(web)"]);
    }
}

#[test]
fn keys_that_peers_cannot_verify_with_are_refused() {
    let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let error = SigningRequest::from_pem(&request(&ed25519, vec![])).unwrap_err();
    assert!(matches!(error, RequestError::Key(_)), "{error}");
    // Made with `openssl req -new -newkey rsa:1024 -nodes -subj / -keyout /dev/null`.
    let error = SigningRequest::from_pem(include_str!("tests/rsa-1024.pem")).unwrap_err();
    assert_eq!(error, RequestError::Key("an RSA key of 1024 bits".to_owned()));
}

/// Clients may sign with another hash than the key's usual one; the key, not the signature, says what the key is.
#[test]
fn the_kind_of_the_key_comes_from_the_key() {
    // Made with `openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-384 -sha256 -nodes -subj / -keyout /dev/null`.
    let read = SigningRequest::from_pem(include_str!("tests/p384-sha256.pem")).unwrap();
    assert!(read.key().algorithm() == &PKCS_ECDSA_P384_SHA384);
}

#[test]
fn what_is_no_request_is_refused() {
    let key = KeyPair::generate().unwrap();
    let text = request(&key, vec![]);
    assert!(SigningRequest::from_pem("nonsense").unwrap_err().to_string().contains("no PEM block"));
    let der = CertificateSigningRequestDer::from_pem_slice(text.as_bytes()).unwrap();
    let longer: CertificateSigningRequestDer<'_> = [&der[..], &[0]].concat().into();
    assert!(SigningRequest::from_der(&longer).unwrap_err().to_string().contains("1 bytes follow"));
    let mut forged = der.to_vec();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    assert_eq!(SigningRequest::from_der(&forged.into()).unwrap_err(), RequestError::Signature);
}
