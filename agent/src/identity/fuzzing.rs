//! Fuzz targets: certificates of peers, signing requests, and the messages to and from an authority.

use std::time::SystemTime;

use prost::Message as _;
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer};

use super::{
    ca_protocol::{CertificateRequest, CertificateResponse, MAX_MESSAGE},
    peer, remote_ca,
    signing_request::SigningRequest,
    xfcc,
};

/// Tags of a URI among alternative names (RFC 5280 section 4.2.1.6, context-specific 6). The second says that it is made of
/// parts, which DER forbids here and the library lets pass; what follows is read as the name all the same.
const URI_TAGS: [u8; 2] = [0x86, 0xa6];

/// A peer's certificate, DER. Its signature is not looked at here: whatever parses has an identity or a refusal.
pub fn certificate(data: &[u8]) {
    let certificate = CertificateDer::from(data);
    assert!(peer::claim(&certificate).len() <= 16 * data.len() + 1024, "the message about it is longer than itself");
    let _ = peer::is_self_issued(&certificate);
    let Ok(parsed) = peer::parse(&certificate) else { return };
    let Ok(id) = peer::identity(&parsed) else { return };
    let uri = id.to_string();
    assert!(peer::is_well_formed(&id), "{uri:?}");
    assert_eq!(uri.parse().as_ref(), Ok(&id));
    // A second look at it, without a parser: the name is there as a URI.
    let length = u8::try_from(uri.len()).ok().filter(|length| *length < 0x80);
    if let Some(length) = length {
        let is_there = |tag| {
            let name = [&[tag, length], uri.as_bytes()].concat();
            data.windows(name.len()).any(|window| window == name)
        };
        assert!(URI_TAGS.into_iter().any(is_there), "{uri} is no URI of the certificate");
    }
    let header = xfcc::xfcc(&id, &certificate, &id);
    assert_eq!(header.matches([';', ',']).count(), 3, "an identity has more than one element: {header}");
    assert!(header.bytes().all(|byte| byte.is_ascii_graphic()));
    if let Ok(valid) = peer::identity_at(&certificate, SystemTime::UNIX_EPOCH) {
        assert_eq!(valid, id);
    }
}

/// A signing request, DER and the same as PEM.
pub fn signing_request(data: &[u8]) {
    let from_der = SigningRequest::from_der(&CertificateSigningRequestDer::from(data));
    let pem = pem::encode(&pem::Pem::new("CERTIFICATE REQUEST", data));
    let from_pem = SigningRequest::from_pem(&pem);
    match (from_der, from_pem) {
        (Ok(one), Ok(other)) => assert_eq!(one.names(), other.names()),
        (Err(one), Err(other)) => assert_eq!(one, other),
        (one, other) => panic!("DER and PEM differ: {one:?} and {other:?}"),
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = SigningRequest::from_pem(text);
    }
}

/// Messages of the gRPC service, as protocol buffers.
pub fn ca_message(data: &[u8]) {
    if data.len() > MAX_MESSAGE {
        return;
    }
    if let Ok(request) = CertificateRequest::decode(data) {
        let again = CertificateRequest::decode(request.encode_to_vec().as_slice());
        assert_eq!(
            again.as_ref().map(|again| (again.impersonated(), again.ttl())),
            Ok((request.impersonated(), request.ttl()))
        );
        let _ = SigningRequest::from_pem(&request.csr);
    }
    if let Ok(response) = CertificateResponse::decode(data) {
        remote_ca::fuzzing::answer(&response);
    }
}
