//! What the tests of this module share: authorities that sign anything, and handshakes in memory.

use std::{io, path::Path, sync::Arc, time::Duration};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
};
use rustls::{
    ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};
use weft_model::identity::SpiffeId;

use super::{LocalCa, MAX_TTL, TrustDomains, WorkloadIdentity, anchors::Anchors, tls};

/// The trust domain of the tests.
pub(super) const DOMAIN: &str = "cluster.local";

pub(super) fn id(service_account: &str) -> SpiffeId {
    format!("spiffe://{DOMAIN}/ns/default/sa/{service_account}").parse().unwrap()
}

pub(super) fn domains() -> TrustDomains {
    TrustDomains::new(DOMAIN, [])
}

/// A mesh's authority in a directory of its own.
#[derive(Debug)]
pub(super) struct Mesh {
    pub(super) directory: tempfile::TempDir,
    pub(super) ca: LocalCa,
}

impl Mesh {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ca = LocalCa::open_or_create(directory.path(), DOMAIN).unwrap();
        Self { directory, ca }
    }

    pub(super) async fn identity(&self, id: &SpiffeId) -> WorkloadIdentity {
        self.identity_for(id, MAX_TTL, &domains()).await
    }

    pub(super) async fn identity_for(&self, id: &SpiffeId, ttl: Duration, domains: &TrustDomains) -> WorkloadIdentity {
        let trust = (domains, &Anchors::new());
        WorkloadIdentity::issue(&self.ca, id, trust, ttl, std::time::SystemTime::now()).await.unwrap()
    }

    /// The same authority without its scruples.
    pub(super) fn unscrupulous(&self) -> Signer {
        Signer::open(self.directory.path())
    }
}

/// Signs whatever a test wants.
pub(super) struct Signer(pub(super) Issuer<'static, KeyPair>);

impl Signer {
    pub(super) fn open(directory: &Path) -> Self {
        let read = |name| std::fs::read_to_string(directory.join(name)).unwrap();
        let key = KeyPair::from_pem(&read("ca-key.pem")).unwrap();
        Self(Issuer::from_ca_cert_pem(&read("ca-cert.pem"), key).unwrap())
    }

    /// A leaf as `change` leaves it; before that it is a good one for `id("web")`.
    pub(super) fn leaf(&self, change: impl FnOnce(&mut CertificateParams)) -> CertifiedKey {
        let key = KeyPair::generate().unwrap();
        let mut params = good_leaf();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        certified(certificate.der().clone(), &key)
    }
}

/// A good leaf that nobody but itself signed.
pub(super) fn self_signed() -> CertifiedKey {
    let key = KeyPair::generate().unwrap();
    certified(good_leaf().self_signed(&key).unwrap().der().clone(), &key)
}

fn good_leaf() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![uri(&id("web").to_string())];
    params.not_before = OffsetDateTime::now_utc() - Duration::from_secs(60);
    params.not_after = OffsetDateTime::now_utc() + Duration::from_secs(3600);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params
}

/// Parameters of a certificate authority named `name`.
pub(super) fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

pub(super) fn uri(uri: &str) -> SanType {
    SanType::URI(uri.try_into().unwrap())
}

fn certified(leaf: CertificateDer<'static>, key: &KeyPair) -> CertifiedKey {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    CertifiedKey::new(vec![leaf], tls::provider().key_provider.load_private_key(key).unwrap())
}

/// A client that believes every server and shows `key`, if any.
pub(super) fn naive_client(key: Option<CertifiedKey>) -> ClientConfig {
    naive_client_with(key, tls::provider(), rustls::ALL_VERSIONS)
}

pub(super) fn naive_client_with(
    key: Option<CertifiedKey>,
    provider: Arc<rustls::crypto::CryptoProvider>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> ClientConfig {
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(BelievesAll));
    match key {
        Some(key) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key))),
        None => builder.with_no_client_auth(),
    }
}

/// A server that shows `key` and asks clients for nothing.
pub(super) fn naive_server(key: CertifiedKey) -> Arc<ServerConfig> {
    let mut config = ServerConfig::builder_with_provider(tls::provider())
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
    config.alpn_protocols = vec![b"istio".to_vec()];
    Arc::new(config)
}

pub(super) type ClientEnd = client::TlsStream<DuplexStream>;
pub(super) type ServerEnd = server::TlsStream<DuplexStream>;

/// A handshake and one byte each way, as both sides see it. The bytes matter: a TLS 1.3 client learns only from the
/// server's first record whether its certificate was accepted, and gets its tickets with it.
pub(super) async fn handshake(
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
) -> (io::Result<ClientEnd>, io::Result<ServerEnd>) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let name = ServerName::from(std::net::Ipv4Addr::LOCALHOST);
    let client = async {
        let mut stream = TlsConnector::from(client).connect(name, near).await?;
        stream.read_u8().await?;
        stream.write_u8(b'c').await?;
        stream.flush().await?;
        Ok(stream)
    };
    let server = async {
        let mut stream = TlsAcceptor::from(server).accept(far).await?;
        stream.write_u8(b's').await?;
        stream.flush().await?;
        stream.read_u8().await?;
        Ok(stream)
    };
    tokio::join!(client, server)
}

#[derive(Debug)]
struct BelievesAll;

impl ServerCertVerifier for BelievesAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        tls::provider().signature_verification_algorithms.supported_schemes()
    }
}
