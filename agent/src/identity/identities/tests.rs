//! The cache: what it gives out, when it asks, and what it says about itself.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use rustls_pki_types::CertificateSigningRequestDer;

use super::*;
use crate::identity::{
    CaError, SignedChain,
    testing::{Mesh, domains, id},
};

/// Counts, fails on demand, and takes a moment, so that requests overlap.
#[derive(Debug)]
struct Moody {
    mesh: Mesh,
    asked: AtomicU32,
    down: AtomicBool,
}

impl Moody {
    fn new() -> Arc<Self> {
        Arc::new(Self { mesh: Mesh::new(), asked: AtomicU32::new(0), down: AtomicBool::new(false) })
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait::async_trait]
impl CertificateAuthority for Moody {
    async fn sign(
        &self,
        csr: CertificateSigningRequestDer<'_>,
        id: &SpiffeId,
        ttl: Duration,
    ) -> Result<SignedChain, CaError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(20)).await;
        if self.down.load(Ordering::SeqCst) {
            return Err(CaError::Unavailable { authority: "test".into(), source: "it is down".into() });
        }
        self.mesh.ca.sign(csr, id, ttl).await
    }
}

/// A clock that tests turn.
#[derive(Clone)]
struct Hands(Arc<Mutex<SystemTime>>);

impl Hands {
    fn turn(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

fn identities(ca: &Arc<Moody>, wanted: &[SpiffeId]) -> (Arc<Identities>, Hands) {
    let hands = Hands(Arc::new(Mutex::new(SystemTime::now())));
    let clock = hands.clone();
    let config =
        Config { clock: Arc::new(move || *clock.0.lock().unwrap()), ..Config::new(domains(), Arc::new(|| 0.0)) };
    let (_, wanted) = watch::channel(wanted.iter().cloned().collect());
    (Identities::new(ca.clone(), wanted, config), hands)
}

#[tokio::test]
async fn only_identities_of_this_node_get_a_key() {
    let ca = Moody::new();
    let (identities, _) = identities(&ca, &[id("web")]);
    let error = identities.get(&id("api")).await.unwrap_err();
    assert!(matches!(error, IdentityError::NotOnThisNode(_)), "{error}");
    assert_eq!(ca.asked(), 0);
    assert_eq!(identities.get(&id("web")).await.unwrap().id(), &id("web"));
}

#[tokio::test]
async fn many_connections_share_one_issuance() {
    let ca = Moody::new();
    let (identities, _) = identities(&ca, &[id("web")]);
    let web = id("web");
    let all = futures::future::join_all((0..20).map(|_| identities.get(&web))).await;
    let first = all[0].as_ref().unwrap();
    assert!(all.iter().all(|one| Arc::ptr_eq(one.as_ref().unwrap(), first)));
    assert_eq!(ca.asked(), 1);
}

#[tokio::test]
async fn a_failing_authority_is_not_asked_by_every_connection() {
    let ca = Moody::new();
    let (identities, hands) = identities(&ca, &[id("web")]);
    ca.down.store(true, Ordering::SeqCst);
    let error = identities.get(&id("web")).await.unwrap_err();
    assert!(matches!(error, IdentityError::Authority { .. }), "{error}");
    let error = identities.get(&id("web")).await.unwrap_err();
    assert!(error.to_string().contains("it is down (attempt 1;"), "{error}");
    assert_eq!(ca.asked(), 1);
    let status = identities.status();
    assert_eq!((status[0].failures, status[0].life), (1, None));
    assert!(status[0].last_error.as_ref().unwrap().contains("it is down"));

    ca.down.store(false, Ordering::SeqCst);
    hands.turn(Duration::from_secs(5));
    identities.get(&id("web")).await.unwrap();
    let status = identities.status();
    assert_eq!((status[0].failures, status[0].last_error.as_ref()), (0, None));
}

#[tokio::test]
async fn an_expired_certificate_is_never_given_out() {
    let ca = Moody::new();
    let (identities, hands) = identities(&ca, &[id("web")]);
    let first = identities.get(&id("web")).await.unwrap();
    hands.turn(MAX_TTL);
    ca.down.store(true, Ordering::SeqCst);
    identities.get(&id("web")).await.expect_err("it has expired");
    ca.down.store(false, Ordering::SeqCst);
    hands.turn(Duration::from_secs(5));
    assert!(!Arc::ptr_eq(&first, &identities.get(&id("web")).await.unwrap()));
}

#[tokio::test]
async fn a_failed_renewal_leaves_the_old_certificate() {
    let ca = Moody::new();
    let (identities, hands) = identities(&ca, &[id("web")]);
    let first = identities.get(&id("web")).await.unwrap();
    let slot = identities.slots().remove(0);
    identities.renew(&slot).await;
    assert_eq!(ca.asked(), 1, "it is not yet due");
    hands.turn(MAX_TTL * 6 / 10);
    ca.down.store(true, Ordering::SeqCst);
    identities.renew(&slot).await;
    assert!(Arc::ptr_eq(&first, &identities.get(&id("web")).await.unwrap()));
    let status = &identities.status()[0];
    assert_eq!((status.failures, status.life.unwrap().1), (1, first.not_after()));
    assert!(status.renew_at > identities.now());
}

#[tokio::test]
async fn what_is_not_wanted_is_dropped_with_its_key() {
    let ca = Moody::new();
    let (identities, _) = identities(&ca, &[id("web"), id("api")]);
    let web = Arc::downgrade(&identities.get(&id("web")).await.unwrap());
    let api = Arc::downgrade(&identities.get(&id("api")).await.unwrap());
    identities.keep_only(&BTreeSet::from([id("api"), id("new")]));
    assert!(web.upgrade().is_none());
    assert!(api.upgrade().is_some());
    assert_eq!(identities.status().into_iter().map(|one| one.id).collect::<Vec<_>>(), [id("api"), id("new")]);
}
