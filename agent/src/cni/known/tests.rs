use std::{fs, io::ErrorKind};

use weft_model::{testing::TestWorld, workload::Enrolment};

use super::{Known, is_always_free};

#[test]
fn namespaces_are_held_when_labelled_or_when_a_pod_of_theirs_is_enrolled() {
    let mut world = TestWorld::new();
    world.namespaces = [("labelled".into(), true), ("plain".into(), false), ("mixed".into(), false)].into();
    world.pod("mixed", "opted-in", "10.1.0.1", &[]);
    world.pod("plain", "outside", "10.1.0.2", &[]).enrolment = Enrolment::NotEnrolled("a test");
    let known = Known::of(&world.snapshot());
    assert!(known.hold("labelled").is_some());
    assert!(known.hold("mixed").is_some());
    assert_eq!(known.hold("plain"), None);
    assert!(known.hold("made-since").unwrap().contains("not seen"));
}

#[test]
fn the_file_is_read_as_it_was_written_and_what_is_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("below/cni-state.json");
    assert_eq!(Known::read(&path).unwrap_err().kind(), ErrorKind::NotFound);
    let known = Known { namespaces: [("a".to_owned(), true), ("b".to_owned(), false)].into() };
    known.write(&path).unwrap();
    assert_eq!(Known::read(&path).unwrap(), known);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing beside it");
    fs::write(&path, "{").unwrap();
    let error = Known::read(&path).unwrap_err();
    assert!(error.to_string().contains("cni-state.json is no list of namespaces"), "{error}");
}

#[test]
fn what_brings_a_node_back_is_never_held() {
    assert!(is_always_free("kube-system", "coredns-1", "istio-system"));
    assert!(is_always_free("istio-system", "weft-agent-x7k2p", "istio-system"));
    assert!(!is_always_free("istio-system", "gateway-1", "istio-system"));
    assert!(!is_always_free("default", "weft-agent-x7k2p", "istio-system"));
}
