//! Every reason to refuse a peer, on both sides, over real handshakes.

use std::{sync::Arc, time::Duration};

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, SanType};
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;

use super::*;
use crate::identity::{
    MAX_TTL, Purpose, peer_id, refusal,
    testing::{Mesh, domains, handshake, id, naive_client, naive_server, self_signed, uri},
};

/// The message with which the server refuses a client that shows `key`.
async fn server_refuses(mesh: &Mesh, key: CertifiedKey) -> String {
    let server = mesh.identity(&id("api")).await.server_config();
    let (client, server) = handshake(Arc::new(naive_client(Some(key))), server).await;
    client.expect_err("the client was let in");
    refusal(&server.expect_err("the server accepted")).expect("a refusal of ours").to_string()
}

/// The message with which a client that expects `id("web")` refuses a server that shows `key`.
async fn client_refuses(mesh: &Mesh, key: CertifiedKey) -> String {
    let client = mesh.identity(&id("caller")).await.client_config(Purpose::Tcp, &id("web"));
    let (client, server) = handshake(client, naive_server(key)).await;
    server.expect_err("the server got a byte");
    refusal(&client.expect_err("the client accepted")).expect("a refusal of ours").to_string()
}

/// Both sides refuse a leaf of the right authority after `change`, and say `words`.
async fn both_refuse(change: impl Fn(&mut CertificateParams), words: &[&str]) {
    let mesh = Mesh::new();
    for message in [
        server_refuses(&mesh, mesh.unscrupulous().leaf(&change)).await,
        client_refuses(&mesh, mesh.unscrupulous().leaf(&change)).await,
    ] {
        for word in words {
            assert!(message.contains(word), "{word:?} is not in {message:?}");
        }
    }
}

#[tokio::test]
async fn both_sides_learn_who_the_other_is() {
    let mesh = Mesh::new();
    let (client, server) = (mesh.identity(&id("caller")).await, mesh.identity(&id("web")).await);
    let (client, server) = handshake(client.client_config(Purpose::Http, &id("web")), server.server_config()).await;
    assert_eq!(peer_id(client.unwrap().get_ref().1).unwrap(), id("web"));
    assert_eq!(peer_id(server.unwrap().get_ref().1).unwrap(), id("caller"));
}

/// The refusals below change one thing each of a leaf that is accepted unchanged.
#[tokio::test]
async fn the_leaf_that_the_refusals_start_from_is_accepted() {
    let mesh = Mesh::new();
    let server = mesh.identity(&id("api")).await.server_config();
    let (_, server) = handshake(Arc::new(naive_client(Some(mesh.unscrupulous().leaf(|_| {})))), server).await;
    assert_eq!(peer_id(server.unwrap().get_ref().1).unwrap(), id("web"));
    let client = mesh.identity(&id("caller")).await.client_config(Purpose::Tcp, &id("web"));
    let (client, _) = handshake(client, naive_server(mesh.unscrupulous().leaf(|_| {}))).await;
    assert_eq!(peer_id(client.unwrap().get_ref().1).unwrap(), id("web"));
}

#[tokio::test]
async fn a_client_without_certificate_is_refused() {
    let mesh = Mesh::new();
    let server = mesh.identity(&id("api")).await.server_config();
    let (client, server) = handshake(Arc::new(naive_client(None)), server).await;
    client.expect_err("let in without a certificate");
    assert!(server.unwrap_err().to_string().contains("no certificates"));
}

#[tokio::test]
async fn no_name_at_all_is_refused() {
    both_refuse(|leaf| leaf.subject_alt_names.clear(), &["no URI in its subjectAltName"]).await;
}

#[tokio::test]
async fn a_host_name_is_no_identity() {
    let dns = SanType::DnsName("web.default.svc".try_into().unwrap());
    both_refuse(|leaf| leaf.subject_alt_names = vec![dns.clone()], &["no URI in its subjectAltName"]).await;
}

#[tokio::test]
async fn two_identities_are_refused_even_if_one_fits() {
    both_refuse(
        |leaf| leaf.subject_alt_names.push(uri("spiffe://cluster.local/ns/default/sa/admin")),
        &["2 URIs", "/sa/web", "/sa/admin"],
    )
    .await;
}

#[tokio::test]
async fn a_uri_that_is_no_spiffe_id_is_refused() {
    for bad in ["https://web.default", "spiffe://cluster.local/web", "spiffe://cluster.local/ns/a;b/sa/c"] {
        both_refuse(|leaf| leaf.subject_alt_names = vec![uri(bad)], &[bad, "spiffe://<trust domain>"]).await;
    }
}

#[tokio::test]
async fn another_trust_domain_is_refused() {
    let other = "spiffe://elsewhere.org/ns/default/sa/web";
    both_refuse(|leaf| leaf.subject_alt_names = vec![uri(other)], &[other, "cluster.local"]).await;
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let past = OffsetDateTime::now_utc() - Duration::from_secs(2);
    both_refuse(|leaf| leaf.not_after = past, &["/sa/web", "expired"]).await;
}

#[tokio::test]
async fn a_certificate_of_tomorrow_is_refused() {
    let soon = OffsetDateTime::now_utc() + Duration::from_secs(600);
    both_refuse(|leaf| leaf.not_before = soon, &["/sa/web", "not valid yet"]).await;
}

#[tokio::test]
async fn the_key_usage_has_to_fit_the_side() {
    let mesh = Mesh::new();
    let only = |usage| move |leaf: &mut CertificateParams| leaf.extended_key_usages = vec![usage];
    let message = server_refuses(&mesh, mesh.unscrupulous().leaf(only(ExtendedKeyUsagePurpose::ServerAuth))).await;
    assert!(message.contains("client authentication"), "{message}");
    let message = client_refuses(&mesh, mesh.unscrupulous().leaf(only(ExtendedKeyUsagePurpose::ClientAuth))).await;
    assert!(message.contains("server authentication"), "{message}");
}

#[tokio::test]
async fn other_authorities_and_self_signed_certificates_are_refused() {
    let (mesh, other) = (Mesh::new(), Mesh::new());
    for key in [other.unscrupulous().leaf(|_| {}), self_signed()] {
        let message = server_refuses(&mesh, key).await;
        assert!(message.contains("claims to be spiffe://cluster.local/ns/default/sa/web is not trusted"), "{message}");
    }
    for key in [other.unscrupulous().leaf(|_| {}), self_signed()] {
        let message = client_refuses(&mesh, key).await;
        assert!(message.contains("(expected spiffe://cluster.local/ns/default/sa/web) is not trusted"), "{message}");
    }
}

#[tokio::test]
async fn a_server_with_another_identity_is_refused_before_it_learns_the_client() {
    let mesh = Mesh::new();
    let client = mesh.identity(&id("caller")).await.client_config(Purpose::Http, &id("web"));
    let impostor = mesh.identity(&id("impostor")).await;
    let (client, server) = handshake(client, impostor.server_config()).await;
    let message = refusal(&client.unwrap_err()).unwrap().to_string();
    assert_eq!(
        message,
        "peer is spiffe://cluster.local/ns/default/sa/impostor, \
         but spiffe://cluster.local/ns/default/sa/web was expected at this address"
    );
    // The alert came instead of the client's certificate, not after it.
    let error = server.unwrap_err();
    let error = error.get_ref().and_then(|error| error.downcast_ref::<Error>());
    assert!(matches!(error, Some(Error::AlertReceived(_))), "{error:?}");
}

#[tokio::test]
async fn an_alias_is_the_same_trust_domain() {
    let mesh = Mesh::new();
    let both = TrustDomains::new("new.example", ["cluster.local"]);
    let old_server = mesh.identity_for(&id("web"), MAX_TTL, &both).await;
    let caller = mesh.identity_for(&id("caller"), MAX_TTL, &both).await;
    let web_in = |domain: &str| format!("spiffe://{domain}/ns/default/sa/web").parse::<SpiffeId>().unwrap();
    let (client, _) =
        handshake(caller.client_config(Purpose::Tcp, &web_in("new.example")), old_server.server_config()).await;
    assert_eq!(peer_id(client.unwrap().get_ref().1).unwrap(), id("web"), "the proven name, not the expected one");
    let (client, _) =
        handshake(caller.client_config(Purpose::Tcp, &web_in("third.example")), old_server.server_config()).await;
    assert!(refusal(&client.unwrap_err()).unwrap().to_string().contains("third.example"));
}

#[test]
fn an_alias_does_not_blur_service_accounts() {
    let both = TrustDomains::new("new.example", ["cluster.local"]);
    let admin = "spiffe://new.example/ns/default/sa/admin".parse().unwrap();
    assert!(!both.same_identity(&id("web"), &admin));
    assert!(!domains().same_identity(&id("web"), &"spiffe://new.example/ns/default/sa/web".parse().unwrap()));
}
