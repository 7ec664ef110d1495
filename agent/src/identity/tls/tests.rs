//! What is negotiated, and when a session may be resumed.

use std::{sync::Arc, time::Duration};

use rustls::{CipherSuite, ClientConfig, HandshakeKind, NamedGroup, ProtocolVersion, crypto::aws_lc_rs};

use super::*;
use crate::identity::{
    PeerError, peer_id,
    testing::{Mesh, domains, handshake, id, naive_client, naive_client_with},
};

/// The handshake kind and the two proven identities.
async fn connect(client: Arc<ClientConfig>, server: Arc<ServerConfig>) -> (HandshakeKind, SpiffeId, SpiffeId) {
    let (client, server) = handshake(client, server).await;
    let (client, server) = (client.unwrap(), server.unwrap());
    let kind = client.get_ref().1.handshake_kind().unwrap();
    (kind, peer_id(client.get_ref().1).unwrap(), peer_id(server.get_ref().1).unwrap())
}

/// The server side of `id("web")`.
async fn mesh_server(mesh: &Mesh) -> Arc<ServerConfig> {
    mesh.identity(&id("web")).await.server_config()
}

#[tokio::test]
async fn weft_peers_speak_tls_1_3_with_aes_128_and_x25519() {
    let mesh = Mesh::new();
    for (purpose, alpn) in [(Purpose::Http, "istio-http/1.1"), (Purpose::Http2, "istio-h2"), (Purpose::Tcp, "istio")] {
        let client = mesh.identity(&id("caller")).await.client_config(purpose, &id("web"));
        let (client, _) = handshake(client, mesh_server(&mesh).await).await;
        let client = client.unwrap();
        let tls = client.get_ref().1;
        assert_eq!(tls.protocol_version(), Some(ProtocolVersion::TLSv1_3));
        assert_eq!(
            tls.negotiated_cipher_suite().map(|suite| suite.suite()),
            Some(CipherSuite::TLS13_AES_128_GCM_SHA256)
        );
        assert_eq!(tls.negotiated_key_exchange_group().map(|group| group.name()), Some(NamedGroup::X25519));
        assert_eq!(tls.alpn_protocol(), Some(alpn.as_bytes()));
    }
}

/// A client as a sidecar would be: its own order of algorithms, its own protocol names.
async fn sidecar(
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&[u8]],
) -> (Option<ProtocolVersion>, Option<CipherSuite>, Option<Vec<u8>>) {
    let mesh = Mesh::new();
    let key = mesh.unscrupulous().leaf(|_| {});
    let provider =
        CryptoProvider { cipher_suites: aws_lc_rs::DEFAULT_CIPHER_SUITES.to_vec(), ..aws_lc_rs::default_provider() };
    assert_eq!(provider.cipher_suites[0].suite(), CipherSuite::TLS13_AES_256_GCM_SHA384, "its order differs from ours");
    let mut client = naive_client_with(Some(key), Arc::new(provider), versions);
    client.alpn_protocols = owned(alpn);
    let (_, server) = handshake(Arc::new(client), mesh_server(&mesh).await).await;
    let server = server.unwrap();
    let tls = server.get_ref().1;
    assert_eq!(peer_id(tls).unwrap(), id("web"));
    let suite = tls.negotiated_cipher_suite().map(|suite| suite.suite());
    (tls.protocol_version(), suite, tls.alpn_protocol().map(<[u8]>::to_vec))
}

#[tokio::test]
async fn the_server_prefers_aes_128_whatever_the_client_prefers() {
    let (version, suite, _) = sidecar(rustls::ALL_VERSIONS, &[b"istio"]).await;
    assert_eq!(version, Some(ProtocolVersion::TLSv1_3));
    assert_eq!(suite, Some(CipherSuite::TLS13_AES_128_GCM_SHA256));
}

#[tokio::test]
async fn a_tls_1_2_sidecar_is_understood() {
    let (version, suite, _) = sidecar(&[&TLS12], &[b"istio"]).await;
    assert_eq!(version, Some(ProtocolVersion::TLSv1_2));
    assert_eq!(suite, Some(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256));
}

#[tokio::test]
async fn of_a_sidecars_protocol_names_the_telling_one_is_chosen() {
    for (offered, chosen) in [
        (&[b"istio-http/1.1" as &[u8], b"istio", b"http/1.1"][..], "istio-http/1.1"),
        (&[b"istio-http/1.0", b"istio", b"http/1.0"], "istio-http/1.0"),
        (&[b"istio-h2", b"istio", b"h2"], "istio-h2"),
        (&[b"istio-peer-exchange", b"istio"], "istio"),
        (&[b"istio-peer-exchange"], "istio-peer-exchange"),
    ] {
        let (_, _, alpn) = sidecar(&[&TLS13], offered).await;
        assert_eq!(alpn.as_deref(), Some(chosen.as_bytes()));
    }
}

#[tokio::test]
async fn protocols_of_other_worlds_are_refused() {
    let mesh = Mesh::new();
    let mut client = naive_client(Some(mesh.unscrupulous().leaf(|_| {})));
    client.alpn_protocols = vec![b"h2".to_vec()];
    let (_, server) = handshake(Arc::new(client), mesh_server(&mesh).await).await;
    let error = server.unwrap_err();
    let error = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    assert_eq!(error, Some(&rustls::Error::NoApplicationProtocol));
}

#[tokio::test]
async fn a_resumed_session_keeps_both_identities() {
    let mesh = Mesh::new();
    let (caller, web) = (mesh.identity(&id("caller")).await, mesh.identity(&id("web")).await);
    let config = || caller.client_config(Purpose::Http, &id("web"));
    let first = connect(config(), web.server_config()).await;
    assert_eq!(first, (HandshakeKind::Full, id("web"), id("caller")));
    let second = connect(config(), web.server_config()).await;
    assert_eq!(second, (HandshakeKind::Resumed, id("web"), id("caller")));
}

#[tokio::test]
async fn a_session_belongs_to_its_client_its_server_and_its_purpose() {
    let mesh = Mesh::new();
    let (caller, web) = (mesh.identity(&id("caller")).await, mesh.identity(&id("web")).await);
    connect(caller.client_config(Purpose::Http, &id("web")), web.server_config()).await;

    let other = mesh.identity(&id("other")).await;
    let fresh = connect(other.client_config(Purpose::Http, &id("web")), web.server_config()).await;
    assert_eq!(fresh, (HandshakeKind::Full, id("web"), id("other")));

    let rotated = mesh.identity(&id("caller")).await;
    let fresh = connect(rotated.client_config(Purpose::Http, &id("web")), web.server_config()).await;
    assert_eq!(fresh, (HandshakeKind::Full, id("web"), id("caller")));

    let fresh = connect(caller.client_config(Purpose::Tcp, &id("web")), web.server_config()).await;
    assert_eq!(fresh.0, HandshakeKind::Full);

    // The ticket is there and offered, but the server has a new certificate, and with it new ticket keys.
    let web = mesh.identity(&id("web")).await;
    let fresh = connect(caller.client_config(Purpose::Http, &id("web")), web.server_config()).await;
    assert_eq!(fresh.0, HandshakeKind::Full);
}

/// Same address, other identity behind it: the old session must not open the door.
#[tokio::test]
async fn a_session_is_not_resumed_towards_another_identity() {
    let mesh = Mesh::new();
    let (caller, web) = (mesh.identity(&id("caller")).await, mesh.identity(&id("web")).await);
    connect(caller.client_config(Purpose::Http, &id("web")), web.server_config()).await;
    let (client, _) = handshake(caller.client_config(Purpose::Http, &id("api")), web.server_config()).await;
    assert!(matches!(crate::identity::refusal(&client.unwrap_err()), Some(PeerError::OtherIdentity { .. })));
    let impostor = mesh.identity(&id("impostor")).await;
    let (client, _) = handshake(caller.client_config(Purpose::Http, &id("web")), impostor.server_config()).await;
    assert!(matches!(crate::identity::refusal(&client.unwrap_err()), Some(PeerError::OtherIdentity { .. })));
}

#[tokio::test]
async fn a_session_does_not_outlive_the_certificate_that_opened_it() {
    let mesh = Mesh::new();
    let web = mesh.identity(&id("web")).await;
    let caller = mesh.identity_for(&id("caller"), Duration::from_secs(2), &domains()).await;
    let config = || caller.client_config(Purpose::Http, &id("web"));
    assert_eq!(connect(config(), web.server_config()).await.0, HandshakeKind::Full);
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let (client, server) = handshake(config(), web.server_config()).await;
    let (client, server) = (client.unwrap(), server.unwrap());
    assert_eq!(client.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed), "TLS alone would let it in");
    assert!(matches!(peer_id(server.get_ref().1), Err(PeerError::Expired { id: who, .. }) if who == id("caller")));
}
