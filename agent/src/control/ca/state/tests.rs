//! The Secret through a whole change of the root, and Secrets that others wrote.

use std::time::Duration;

use super::*;
use crate::identity::{CertificateSummary, Signer, TrustBundle};

const DOMAIN: &str = "cluster.local";

fn root() -> NewRoot {
    NewRoot::generate(DOMAIN, SystemTime::now()).unwrap()
}

fn fingerprint(pem: &[u8]) -> String {
    CertificateSummary::read(&TrustBundle::from_pem(pem).unwrap().roots()[0]).unwrap().fingerprint
}

/// Who signs, and who is trusted, as the material itself proves.
fn in_force(state: &CaState) -> (String, Vec<String>) {
    let signer = Signer::new(state.files(), DOMAIN).unwrap();
    (CertificateSummary::read(signer.certificate()).unwrap().fingerprint, signer.roots().fingerprints())
}

fn keys(state: &CaState) -> Vec<&str> {
    state.secret().data.iter().flatten().map(|(key, _)| key.as_str()).collect()
}

/// As another replica would find it.
fn reread(state: &CaState) -> CaState {
    CaState::read(state.secret().clone()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_change_goes_through_its_phases_and_leaves_nothing_behind() {
    let (old, new) = (root(), root());
    let (first, second) = (fingerprint(old.certificate.as_bytes()), fingerprint(new.certificate.as_bytes()));
    // Times are written as the API server keeps them, in microseconds at best.
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);

    let steady = CaState::read(CaState::create("istio-system", old)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((steady.phase, steady.request), (Phase::Steady, None));
    assert_eq!(steady.secret().type_.as_deref(), Some("istio.io/ca-root"));
    assert_eq!(in_force(&steady), (first.clone(), vec![first.clone()]));

    let asked = reread(&steady.requested(Request::Rotate));
    assert_eq!(asked.request, Some(Request::Rotate));
    let spreading = reread(&asked.begun(new, now));
    assert_eq!((spreading.phase, spreading.request), (Phase::Spreading { since: now }, None));
    assert_eq!(in_force(&spreading), (first.clone(), vec![first.clone(), second.clone()]));

    let spreading = reread(&spreading.waiting("agent x"));
    assert_eq!(spreading.waiting_for(), Some("agent x"));
    let switched = reread(&spreading.switched(now));
    assert_eq!(switched.phase, Phase::Switched { since: now });
    assert_eq!(switched.waiting_for(), None);
    assert_eq!(in_force(&switched), (second.clone(), vec![first, second.clone()]));
    assert!(!keys(&switched).iter().any(|key| key.contains("next")), "{:?}", keys(&switched));

    let over = reread(&switched.retired());
    assert_eq!(over.phase, Phase::Steady);
    assert_eq!(in_force(&over), (second.clone(), vec![second]));
    assert_eq!(keys(&over), ["ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"]);
    assert_eq!(over.secret().metadata.annotations, Some(std::collections::BTreeMap::new()));
}

#[test]
fn that_no_confirmation_is_needed_is_remembered_until_it_would_be() {
    let state = CaState::read(CaState::create("istio-system", root())).unwrap_or_else(|error| panic!("{error}"));
    let spreading = reread(&state.requested(Request::Unconfirmed).begun(root(), SystemTime::now()));
    assert_eq!(spreading.request, Some(Request::Unconfirmed));
    assert_eq!(reread(&spreading.switched(SystemTime::now())).request, None);
}

#[test]
fn istios_own_secret_is_taken_over_and_what_is_not_ours_stays() {
    let old = root();
    let mut secret = CaState::create("istio-system", root());
    put(&mut secret, CA_CERT, Some(old.certificate.clone().into_bytes()));
    put(&mut secret, CA_KEY, Some(old.key.clone().into_bytes()));
    // istiod leaves this empty where the signing certificate is the root, and has keys of other uses.
    put(&mut secret, ROOT_CERT, Some(Vec::new()));
    put(&mut secret, "key.pem", Some(Vec::new()));
    secret.metadata.resource_version = Some("7".to_owned());
    let state = CaState::read(secret).unwrap_or_else(|error| panic!("{error}"));
    let spreading = state.begun(root(), SystemTime::now());
    assert_eq!(in_force(&spreading).1.len(), 2);
    assert!(keys(&spreading).contains(&"key.pem"));
    assert_eq!(spreading.secret().metadata.resource_version.as_deref(), Some("7"), "replaced only as it was read");
}

#[test]
fn a_root_that_an_operator_added_survives_the_change() {
    let (own, added) = (root(), root());
    let both = own.certificate.clone() + &added.certificate;
    let mut secret = CaState::create("istio-system", own);
    put(&mut secret, ROOT_CERT, Some(both.into_bytes()));
    let state = CaState::read(secret).unwrap_or_else(|error| panic!("{error}"));
    let over = state.begun(root(), SystemTime::now()).switched(SystemTime::now()).retired();
    let (signer, trusted) = in_force(&over);
    assert_eq!(trusted, [fingerprint(added.certificate.as_bytes()), signer]);
}

#[test]
fn phases_that_cannot_be_count_as_steady() {
    for phase in ["spreading", "switched", "nonsense"] {
        let mut secret = CaState::create("istio-system", root());
        let annotations = [(PHASE, phase), (SINCE, "2026-01-01T00:00:00Z")];
        secret.metadata.annotations = Some(annotations.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        let state = CaState::read(secret).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(state.phase, Phase::Steady, "{phase} without the certificates that belong to it");
    }
}

#[test]
fn a_secret_without_its_parts_says_which() {
    let mut secret = CaState::create("istio-system", root());
    put(&mut secret, CA_KEY, None);
    let error = CaState::read(secret).err().unwrap();
    assert!(error.to_string().contains("no ca-key.pem"), "{error}");
}
