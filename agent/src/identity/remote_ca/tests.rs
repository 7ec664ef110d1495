//! What an answer is taken for, and which addresses are some. The conversation itself is tested where its other half is,
//! in `control`.

use super::*;
use crate::identity::{
    MAX_TTL, TrustBundle,
    material::certificate_pem,
    testing::{Mesh, Signer, authority_params, id},
};

fn answer(texts: &[&str]) -> Result<SignedChain, String> {
    answer::read(&CertificateResponse { cert_chain: texts.iter().map(|text| (*text).to_owned()).collect() })
}

#[tokio::test]
async fn roots_are_told_from_links_by_what_they_are_and_by_their_place() {
    let (mesh, old) = (Mesh::new(), Mesh::new());
    let key = rcgen::KeyPair::generate().unwrap();
    let Signer(issuer) = mesh.unscrupulous();
    let link = authority_params("intermediate").signed_by(&key, &issuer).unwrap();
    let request = crate::identity::request::KeyRequest::generate(&id("web")).unwrap();
    let signed = mesh.ca.sign(request.csr, &id("web"), MAX_TTL).await.unwrap();
    let leaf = certificate_pem(&signed.chain[0]);
    let (root, other) = (mesh.ca.roots().to_pem(), old.ca.roots().to_pem());

    let read = answer(&[&leaf, &link.pem(), &root]).unwrap();
    assert_eq!(read.chain, [signed.chain[0].clone(), link.der().clone()]);
    assert_eq!(&read.roots, mesh.ca.roots());
    assert_eq!(read.not_after, signed.not_after);

    // istiod: all of cert-chain.pem, then all of root-cert.pem, with several certificates in one text.
    let read = answer(&[&leaf, &format!("{}{root}", link.pem()), &format!("{root}{other}")]).unwrap();
    assert_eq!(read.chain.len(), 2);
    assert_eq!(read.roots.to_pem(), root + &other);

    let read = answer(&[&leaf, &link.pem()]).unwrap();
    assert_eq!(read.chain.len(), 1);
    assert_eq!(read.roots, TrustBundle::new(vec![link.der().clone()]).unwrap(), "the last one is trusted by its place");

    for (texts, words) in [(vec![], "no certificate"), (vec![leaf.as_str()], "no root")] {
        assert!(answer(&texts).unwrap_err().contains(words));
    }
    let many = leaf.repeat(65);
    assert!(answer(&[&many]).unwrap_err().contains("65 certificates"));
}

#[test]
fn only_encrypted_addresses_with_a_port_are_accepted() {
    for good in ["https://istiod.istio-system.svc:15012", "istiod.istio-system.svc:15012", "https://[::1]:15012/"] {
        assert!(Address::parse(good).unwrap().to_string().starts_with("https://"), "{good}");
    }
    for bad in ["http://istiod:15012", "https://istiod", "istiod:15012/path", "https://:1", "a b:1"] {
        let error = Address::parse(bad).unwrap_err().to_string();
        assert!(error.contains(bad) && error.contains("write https://host:port"), "{error}");
    }
}

#[test]
fn a_request_says_for_whom_and_for_how_long() {
    let request = CertificateRequest::on_behalf_of(&id("web"), "csr".to_owned(), Duration::from_secs(60));
    assert_eq!(request.impersonated(), Some("spiffe://cluster.local/ns/default/sa/web"));
    assert_eq!(request.ttl(), Some(Duration::from_secs(60)));
    let plain = CertificateRequest { csr: String::new(), validity_duration: -1, metadata: None };
    assert_eq!((plain.impersonated(), plain.ttl()), (None, None));
    // Field numbers are the wire: these bytes are what protoc's code writes for csr = "a", validity_duration = 7.
    let bytes = prost::Message::encode_to_vec(&CertificateRequest {
        csr: "a".to_owned(),
        validity_duration: 7,
        metadata: None,
    });
    assert_eq!(bytes, [0x0a, 1, b'a', 0x18, 7]);
}
