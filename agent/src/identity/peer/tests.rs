//! Which names are identities.

use std::time::Duration;

use super::*;
use crate::identity::testing::{Mesh, id};

#[test]
fn only_the_characters_of_spiffe_are_well_formed() {
    let well_formed = |text: &str| is_well_formed(&text.parse().unwrap());
    assert!(well_formed("spiffe://cluster.local/ns/kube-system/sa/my.sa_1"));
    for bad in [
        "spiffe://Cluster.local/ns/a/sa/b",
        "spiffe://td:8080/ns/a/sa/b",
        "spiffe://td/ns/a b/sa/c",
        "spiffe://td/ns/a/sa/b;URI=c",
        "spiffe://td/ns/a/sa/b\r\nx: y",
        "spiffe://td/ns/../sa/b",
        "spiffe://td/ns/a/sa/%62",
    ] {
        assert!(!well_formed(bad), "{bad:?}");
    }
}

#[test]
fn an_identity_ends_with_its_certificate() {
    let key = Mesh::new().unscrupulous().leaf(|_| {});
    let leaf = key.end_entity_cert().unwrap();
    let now = SystemTime::now();
    assert_eq!(identity_at(leaf, now).unwrap(), id("web"));
    let error = identity_at(leaf, now + Duration::from_secs(3602)).unwrap_err();
    assert!(matches!(&error, PeerError::Expired { id: who, .. } if *who == id("web")), "{error}");
}

#[test]
fn what_is_no_certificate_is_malformed() {
    let error = identity_at(&CertificateDer::from_slice(b"nonsense"), SystemTime::now()).unwrap_err();
    assert!(matches!(error, PeerError::Malformed(_)), "{error}");
}
