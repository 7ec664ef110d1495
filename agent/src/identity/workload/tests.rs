//! The agent believes no authority blindly, and makes configurations once.

use std::time::SystemTime;

use rcgen::{CertificateParams, CertificateSigningRequestParams, DistinguishedName, ExtendedKeyUsagePurpose, KeyPair};
use rustls_pki_types::CertificateSigningRequestDer;
use time::OffsetDateTime;

use super::*;
use crate::identity::{
    CaError, MAX_TTL,
    testing::{Mesh, domains, id, uri},
};

/// How an authority misbehaves.
#[derive(Clone, Copy, Debug)]
enum Fault {
    OtherIdentity,
    OtherKey,
    OtherRoots,
    EmptyChain,
    Expired,
}

#[derive(Debug)]
struct Faulty {
    directory: std::path::PathBuf,
    roots: TrustBundle,
    fault: Fault,
}

#[async_trait::async_trait]
impl CertificateAuthority for Faulty {
    async fn sign(
        &self,
        csr: CertificateSigningRequestDer<'_>,
        id: &SpiffeId,
        _ttl: Duration,
    ) -> Result<SignedChain, CaError> {
        let request = CertificateSigningRequestParams::from_der(&csr).unwrap();
        let issuer = crate::identity::testing::Signer::open(&self.directory).0;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![uri(&id.to_string())];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.not_after = OffsetDateTime::now_utc() + MAX_TTL;
        match self.fault {
            Fault::OtherIdentity => params.subject_alt_names = vec![uri("spiffe://cluster.local/ns/default/sa/admin")],
            Fault::Expired => params.not_after = OffsetDateTime::now_utc() - Duration::from_secs(5),
            _ => {}
        }
        let leaf = match self.fault {
            Fault::OtherKey => params.signed_by(&KeyPair::generate().unwrap(), &issuer),
            _ => params.signed_by(&request.public_key, &issuer),
        };
        let chain = match self.fault {
            Fault::EmptyChain => vec![],
            _ => vec![leaf.unwrap().der().clone()],
        };
        Ok(SignedChain { chain, roots: self.roots.clone(), not_after: SystemTime::now() + MAX_TTL })
    }
}

#[tokio::test]
async fn an_answer_that_peers_would_refuse_is_refused_here() {
    let (mesh, other) = (Mesh::new(), Mesh::new());
    for (fault, words) in [
        (Fault::OtherIdentity, "it is for spiffe://cluster.local/ns/default/sa/admin"),
        (Fault::OtherKey, "not for the key of the request"),
        (Fault::OtherRoots, "no root of this mesh's trust bundle signed it"),
        (Fault::EmptyChain, "the chain is empty"),
        (Fault::Expired, "expired"),
    ] {
        let roots = if matches!(fault, Fault::OtherRoots) { &other } else { &mesh }.ca.roots().clone();
        let faulty = Faulty { directory: mesh.directory.path().to_owned(), roots, fault };
        let trust = (&domains(), &Anchors::new());
        let error = WorkloadIdentity::issue(&faulty, &id("web"), trust, MAX_TTL, SystemTime::now()).await;
        let message = error.expect_err(words).to_string();
        assert!(message.contains("signed for spiffe://cluster.local/ns/default/sa/web is unusable"), "{message}");
        assert!(message.contains(words), "{fault:?}: {message}");
    }
}

#[tokio::test]
async fn configurations_are_made_once_per_certificate_and_peer() {
    let web = Mesh::new().identity(&id("web")).await;
    assert!(Arc::ptr_eq(&web.server_config(), &web.server_config()));
    let api = web.client_config(Purpose::Http, &id("api"));
    assert!(Arc::ptr_eq(&api, &web.client_config(Purpose::Http, &id("api"))));
    assert!(!Arc::ptr_eq(&api, &web.client_config(Purpose::Tcp, &id("api"))));
    assert!(!Arc::ptr_eq(&api, &web.client_config(Purpose::Http, &id("other"))));
}
