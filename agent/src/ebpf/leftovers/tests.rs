//! Lists of pods in files.

use std::io::ErrorKind;

use super::{Leftover, Leftovers, path, read, write};

fn pod(name: &str, address: &str) -> Leftover {
    Leftover { netns: format!("/run/netns/{name}").into(), addresses: vec![address.parse().unwrap()] }
}

#[test]
fn a_list_is_read_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = path(folder.path(), "node-a");
    assert_eq!(file.file_name().unwrap(), "node-a.pods.json");
    assert_eq!(read(&file).unwrap(), [], "no file, no pods");
    write(&file, &[pod("a", "10.1.0.1"), pod("b", "fd00::1")]).unwrap();
    assert_eq!(read(&file).unwrap(), [pod("a", "10.1.0.1"), pod("b", "fd00::1")]);
}

#[test]
fn a_file_that_is_no_list_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = path(folder.path(), "node-a");
    std::fs::write(&file, "{").unwrap();
    let error = read(&file).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(error.to_string().contains("node-a.pods.json is no list of pods"), "{error}");
}

#[test]
fn only_changes_are_written_and_clearing_removes_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = path(folder.path(), "node-a");
    let mut list = Leftovers::new(file.clone());
    list.keep(vec![pod("b", "10.1.0.2"), pod("a", "10.1.0.1"), pod("a", "10.1.0.1")]).unwrap();
    assert_eq!(list.read().unwrap(), [pod("a", "10.1.0.1"), pod("b", "10.1.0.2")]);
    std::fs::remove_file(&file).unwrap();
    list.keep(vec![pod("a", "10.1.0.1"), pod("b", "10.1.0.2")]).unwrap();
    assert!(!file.exists(), "the same list is not written again");
    list.keep(vec![pod("a", "10.1.0.1")]).unwrap();
    assert!(file.exists());
    list.clear().unwrap();
    assert!(!file.exists());
    list.clear().unwrap();
}

#[test]
fn a_namespace_that_is_gone_needs_no_removal() {
    let gone = Leftover { netns: "/run/netns/weft-test-never-made".into(), addresses: Vec::new() };
    assert!(!super::remove_routes(&gone).unwrap());
}
