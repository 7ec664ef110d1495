//! Renewal over live connections, with certificates that live for seconds.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU32, Ordering},
    time::{Instant, SystemTime},
};

use rustls_pki_types::CertificateSigningRequestDer;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::watch,
};
use weft_model::identity::SpiffeId;

use super::*;
use crate::identity::{
    CaError, CertificateAuthority, Config, Published, Purpose, SignedChain, Signer, SigningRequest, TrustBundle,
    material::{CaFiles, NewRoot},
    testing::{ClientEnd, DOMAIN, Mesh, ServerEnd, domains, handshake, id},
};

/// An authority that fails some times in between.
#[derive(Debug)]
struct Flaky {
    mesh: Mesh,
    asked: AtomicU32,
    fails: std::ops::Range<u32>,
}

#[async_trait::async_trait]
impl CertificateAuthority for Flaky {
    async fn sign(
        &self,
        csr: CertificateSigningRequestDer<'_>,
        id: &SpiffeId,
        ttl: Duration,
    ) -> Result<SignedChain, CaError> {
        if self.fails.contains(&self.asked.fetch_add(1, Ordering::SeqCst)) {
            return Err(CaError::Unavailable { authority: "test".into(), source: "it is down".into() });
        }
        self.mesh.ca.sign(csr, id, ttl).await
    }
}

struct Node {
    identities: Arc<Identities>,
    wanted: watch::Sender<BTreeSet<SpiffeId>>,
    _rotation: Rotation,
}

fn node(ttl: Duration, wanted: &[SpiffeId], fails: std::ops::Range<u32>) -> Node {
    let authority = Arc::new(Flaky { mesh: Mesh::new(), asked: AtomicU32::new(0), fails });
    let (wanted, receiver) = watch::channel(wanted.iter().cloned().collect());
    let config = Config { ttl, ..Config::new(domains(), Arc::new(|| 0.5)) };
    let identities = Identities::new(authority, receiver, config);
    Node { _rotation: spawn_rotation(identities.clone()), identities, wanted }
}

/// Waits until `done`, at most some seconds.
async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let begin = Instant::now();
    while !done().await {
        assert!(begin.elapsed() < Duration::from_secs(8), "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn issued(node: &Node) -> Vec<SpiffeId> {
    let status = node.identities.status();
    status.into_iter().filter(|one| one.life.is_some()).map(|one| one.id).collect()
}

#[tokio::test]
async fn certificates_are_there_before_they_are_asked_for_and_go_with_the_last_pod() {
    let node = node(Duration::from_secs(3600), &[id("web")], 0..0);
    until("web is issued", async || issued(&node) == [id("web")]).await;
    let web = Arc::downgrade(&node.identities.get(&id("web")).await.unwrap());
    node.wanted.send_replace(BTreeSet::from([id("api"), id("db")]));
    until("api and db are issued", async || issued(&node) == [id("api"), id("db")]).await;
    assert!(web.upgrade().is_none(), "the key is gone");
    node.identities.get(&id("web")).await.expect_err("no pod of it is left");
}

/// A byte each way.
async fn talk(client: &mut ClientEnd, server: &mut ServerEnd) {
    client.write_u8(1).await.unwrap();
    client.flush().await.unwrap();
    assert_eq!(server.read_u8().await.unwrap(), 1);
    server.write_u8(2).await.unwrap();
    server.flush().await.unwrap();
    assert_eq!(client.read_u8().await.unwrap(), 2);
}

#[tokio::test]
async fn an_open_connection_lives_on_while_new_ones_get_the_new_certificate() {
    let node = node(Duration::from_secs(3), &[id("web"), id("caller")], 0..0);
    let current = async || {
        let web = node.identities.get(&id("web")).await.unwrap();
        (web, node.identities.get(&id("caller")).await.unwrap())
    };
    let shown = |client: &ClientEnd| client.get_ref().1.peer_certificates().unwrap()[0].clone();
    let (web, caller) = current().await;
    let (client, server) = handshake(caller.client_config(Purpose::Tcp, &id("web")), web.server_config()).await;
    let (mut client, mut server) = (client.unwrap(), server.unwrap());
    let first = shown(&client);
    let (old_end, old_leaf) = (web.not_after(), web.chain()[0].clone());
    assert_eq!(first, old_leaf);
    drop((web, caller));

    // Beyond the end of the first certificates, without a gap in which there is none.
    while SystemTime::now() <= old_end + Duration::from_millis(500) {
        let (web, caller) = current().await;
        assert!(web.not_after() > SystemTime::now() && caller.not_after() > SystemTime::now());
        talk(&mut client, &mut server).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (web, caller) = current().await;
    assert_ne!(web.chain()[0], old_leaf);
    let (new, _) = handshake(caller.client_config(Purpose::Tcp, &id("web")), web.server_config()).await;
    assert_ne!(shown(&new.unwrap()), first);
    talk(&mut client, &mut server).await;
}

#[tokio::test]
async fn renewal_is_retried_while_the_old_certificate_serves() {
    let node = node(Duration::from_secs(6), &[id("web")], 1..3);
    let first = node.identities.get(&id("web")).await.unwrap();
    let failures = || node.identities.status()[0].failures;
    until("the first renewal fails", async || failures() > 0).await;
    assert!(Arc::ptr_eq(&first, &node.identities.get(&id("web")).await.unwrap()));
    let renewed = async || !Arc::ptr_eq(&first, &node.identities.get(&id("web")).await.unwrap());
    until("a later one succeeds", renewed).await;
    assert!(SystemTime::now() < first.not_after(), "in time");
    assert_eq!(failures(), 0);
}

#[tokio::test]
async fn rotation_goes_on_with_the_last_set_when_its_source_is_gone() {
    let Node { identities, wanted, _rotation } = node(Duration::from_secs(2), &[id("web")], 0..0);
    let first = identities.get(&id("web")).await.unwrap();
    drop(wanted);
    let status = || identities.status()[0].life;
    until("a renewal", async || status().is_some_and(|(_, end)| end > first.not_after())).await;
}

#[tokio::test]
async fn dropping_the_handle_ends_the_task() {
    let Node { identities, wanted, _rotation: rotation } = node(Duration::from_secs(3600), &[id("web")], 0..0);
    until("web is issued", async || identities.status().len() == 1).await;
    let weak = Arc::downgrade(&identities);
    drop((identities, wanted));
    tokio::task::yield_now().await;
    assert!(weak.upgrade().is_some(), "the task has it");
    drop(rotation);
    until("the task lets go", async || weak.upgrade().is_none()).await;
}

/// An authority whose root changes.
#[derive(Debug)]
struct Changing(std::sync::Mutex<Signer>);

#[async_trait::async_trait]
impl CertificateAuthority for Changing {
    async fn sign(
        &self,
        csr: CertificateSigningRequestDer<'_>,
        id: &SpiffeId,
        ttl: Duration,
    ) -> Result<SignedChain, CaError> {
        let request = SigningRequest::from_der(&csr).unwrap();
        self.0.lock().unwrap().sign(&request, id, ttl, SystemTime::now())
    }
}

/// Signs with `root`, and names all of `trusted` as roots.
fn signer(root: &NewRoot, trusted: &[&NewRoot]) -> Signer {
    let bundle: String = trusted.iter().map(|root| root.certificate.as_str()).collect();
    let (certificate, key) = (root.certificate.as_bytes(), root.key.as_bytes());
    Signer::new(CaFiles { certificate, key, roots: Some(bundle.as_bytes()), chain: None }, DOMAIN).unwrap()
}

/// One node whose roots are published apart from its certificates, and later than elsewhere.
struct Heard(watch::Sender<Published>, Node);

fn node_of(authority: &Arc<Changing>, published: &TrustBundle, ttl: Duration, wanted: &[SpiffeId]) -> Heard {
    let (publish, published) = watch::channel(Published::Roots(published.clone()));
    let (wanted, receiver) = watch::channel(wanted.iter().cloned().collect());
    let config = Config { ttl, published: Some(published), ..Config::new(domains(), Arc::new(|| 0.5)) };
    let identities = Identities::new(authority.clone(), receiver, config);
    Heard(publish, Node { _rotation: spawn_rotation(identities.clone()), identities, wanted })
}

#[tokio::test]
async fn the_root_changes_under_open_and_new_connections() {
    let ttl = Duration::from_secs(4);
    let (old, new) = [(); 2].map(|()| NewRoot::generate(DOMAIN, SystemTime::now()).unwrap()).into();
    let bundle = |roots: &[&NewRoot]| signer(roots[0], roots).roots().clone();
    let authority = Arc::new(Changing(std::sync::Mutex::new(signer(&old, &[&old]))));
    let near = node_of(&authority, &bundle(&[&old]), ttl, &[id("caller")]);
    let far = node_of(&authority, &bundle(&[&old]), ttl, &[id("web")]);
    let connect = async || {
        let caller = near.1.identities.get(&id("caller")).await.unwrap();
        let web = far.1.identities.get(&id("web")).await.unwrap();
        let (client, server) = handshake(caller.client_config(Purpose::Tcp, &id("web")), web.server_config()).await;
        (client.expect("the client believes the server"), server.expect("the server believes the client"))
    };
    let (mut client, mut server) = connect().await;
    let mut during = async |time: Duration| {
        let end = Instant::now() + time;
        while Instant::now() < end {
            connect().await;
            talk(&mut client, &mut server).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    // Both are trusted: one node hears of it by its file at once, the other with its next certificate.
    *authority.0.lock().unwrap() = signer(&old, &[&old, &new]);
    near.0.send_replace(Published::Roots(bundle(&[&old, &new])));
    during(ttl).await;
    far.0.send_replace(Published::Roots(bundle(&[&old, &new])));
    // The new one signs.
    *authority.0.lock().unwrap() = signer(&new, &[&new, &old]);
    during(ttl + Duration::from_secs(1)).await;
    // The old one is dropped, when all that it signed has ended.
    *authority.0.lock().unwrap() = signer(&new, &[&new]);
    for node in [&near, &far] {
        node.0.send_replace(Published::Roots(bundle(&[&new])));
    }
    during(Duration::from_millis(500)).await;
    for node in [&near.1, &far.1] {
        let trusts_new_only = async || {
            let roots = node.identities.roots().unwrap();
            // An answer of before may vouch for the old one a while longer; the next one does not.
            roots == bundle(&[&new])
        };
        until("the old root is forgotten", trusts_new_only).await;
    }
    let stranger = node_of(
        &Arc::new(Changing(std::sync::Mutex::new(signer(&old, &[&old])))),
        &bundle(&[&old, &new]),
        ttl,
        &[id("old")],
    );
    let late = stranger.1.identities.get(&id("old")).await.unwrap();
    let web = far.1.identities.get(&id("web")).await.unwrap();
    let (_, refused) = handshake(late.client_config(Purpose::Tcp, &id("web")), web.server_config()).await;
    let refused = refused.expect_err("signed by a root that is not trusted any more");
    assert!(crate::identity::refusal(&refused).unwrap().to_string().contains("no root of this mesh"));
}
