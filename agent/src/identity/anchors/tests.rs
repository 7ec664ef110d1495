//! A change of the mesh's root: who is believed when, without a renewal and without a restart.

use std::time::Duration;

use super::*;
use crate::identity::{
    Purpose, TrustDomains, WorkloadIdentity,
    testing::{Mesh, domains, handshake, id},
};

fn both(a: &Mesh, b: &Mesh) -> TrustBundle {
    TrustBundle::new(a.ca.roots().roots().iter().chain(b.ca.roots().roots()).cloned().collect()).unwrap()
}

/// A workload whose certificate `mesh` signs and that judges by `anchors`.
async fn workload(mesh: &Mesh, name: &str, anchors: &Arc<Anchors>) -> WorkloadIdentity {
    let trust: (&TrustDomains, _) = (&domains(), anchors);
    WorkloadIdentity::issue(&mesh.ca, &id(name), trust, Duration::from_secs(600), SystemTime::now()).await.unwrap()
}

/// Whether `caller` and `web` accept each other, with the configurations that they had all along.
async fn talk(caller: &WorkloadIdentity, web: &WorkloadIdentity) -> bool {
    let (client, server) = handshake(caller.client_config(Purpose::Tcp, web.id()), web.server_config()).await;
    assert_eq!(client.is_ok(), server.is_ok());
    client.is_ok()
}

#[tokio::test]
async fn peers_of_both_roots_are_believed_while_both_are_published_and_only_then() {
    let (old, new) = (Mesh::new(), Mesh::new());
    let (at_caller, at_web) = (Anchors::new(), Anchors::new());
    let caller = workload(&old, "caller", &at_caller).await;
    let web = workload(&new, "web", &at_web).await;
    assert!(!talk(&caller, &web).await, "neither knows the other's root");

    let now = SystemTime::now();
    at_caller.published(both(&old, &new), now).unwrap();
    assert!(!talk(&caller, &web).await, "the server does not know the client's root yet");
    at_web.published(both(&old, &new), now).unwrap();
    assert!(talk(&caller, &web).await, "at once, with the certificates of before");

    // Long after the answers that came with the certificates, the old root is dropped.
    let later = now + PUBLICATION_LAG;
    at_web.published(new.ca.roots().clone(), later).unwrap();
    let other = workload(&old, "other", &at_caller).await;
    assert!(!talk(&other, &web).await, "a server that dropped the root refuses its certificates");
    at_caller.published(new.ca.roots().clone(), later).unwrap();
    assert!(!talk(&web, &caller).await, "and so does a client");
    assert!(talk(&workload(&new, "caller", &at_caller).await, &web).await);
}

#[test]
fn an_answer_may_be_ahead_of_the_file_but_not_for_ever() {
    let (old, new) = (Mesh::new(), Mesh::new());
    let anchors = Anchors::new();
    assert!(anchors.load().is_none());
    let roots = || {
        let mut fingerprints = anchors.load().unwrap().bundle.fingerprints();
        fingerprints.sort();
        fingerprints
    };
    let expected = |bundle: TrustBundle| {
        let mut fingerprints = bundle.fingerprints();
        fingerprints.sort();
        fingerprints
    };
    let now = SystemTime::now();
    anchors.published(old.ca.roots().clone(), now).unwrap();
    anchors.answered(both(&old, &new), now).unwrap();
    assert_eq!(roots(), expected(both(&old, &new)), "the answer is the newer word");
    anchors.published(old.ca.roots().clone(), now + Duration::from_secs(60)).unwrap();
    assert_eq!(roots(), expected(both(&old, &new)), "the file may be late");
    anchors.published(old.ca.roots().clone(), now + PUBLICATION_LAG).unwrap();
    assert_eq!(roots(), expected(old.ca.roots().clone()), "but an hour later it means what it says");
}

#[test]
fn a_bundle_that_cannot_be_used_leaves_the_last_one() {
    let mesh = Mesh::new();
    let anchors = Anchors::of(mesh.ca.roots().clone()).unwrap();
    let broken = TrustBundle::new(vec![b"nonsense".to_vec().into()]).unwrap();
    assert!(anchors.answered(broken, SystemTime::now()).is_err());
    assert_eq!(anchors.load().unwrap().bundle.roots(), mesh.ca.roots().roots());
    let other = Mesh::new();
    anchors.answered(other.ca.roots().clone(), SystemTime::now()).unwrap();
    assert!(
        anchors.load().unwrap().bundle.roots().contains(&other.ca.roots().roots()[0]),
        "the next good one is taken"
    );
}
