//! Lists of pods in files.

use std::io::ErrorKind;

use super::{Leftover, Leftovers, path, read, write};

fn pod(name: &str, address: &str) -> Leftover {
    Leftover {
        netns: format!("/run/netns/weft-test-never-made-{name}").into(),
        addresses: vec![address.parse().unwrap()],
        kept_settings: Vec::new(),
    }
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
fn a_list_of_an_earlier_version_keeps_no_settings() {
    let folder = tempfile::tempdir().unwrap();
    let file = path(folder.path(), "node-a");
    std::fs::write(&file, r#"[{"netns": "/run/netns/weft-test-never-made-a", "addresses": ["10.1.0.1"]}]"#).unwrap();
    assert_eq!(read(&file).unwrap(), [pod("a", "10.1.0.1")]);
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
fn only_changes_are_written_and_the_end_removes_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = path(folder.path(), "node-a");
    let mut list = Leftovers::open(file.clone());
    list.keep(vec![pod("b", "10.1.0.2"), pod("a", "10.1.0.1"), pod("a", "10.1.0.1")]);
    assert_eq!(read(&file).unwrap(), [pod("a", "10.1.0.1"), pod("b", "10.1.0.2")]);
    std::fs::remove_file(&file).unwrap();
    list.keep(vec![pod("a", "10.1.0.1"), pod("b", "10.1.0.2")]);
    assert!(!file.exists(), "the same list is not written again");
    list.keep(vec![pod("a", "10.1.0.1")]);
    assert!(file.exists());
    list.end();
    assert!(!file.exists());
}

#[test]
fn what_an_earlier_agent_left_stays_listed_until_it_is_undone() {
    let folder = tempfile::tempdir().unwrap();
    let file = path(folder.path(), "node-a");
    // A file is no namespace: removing from it fails, as from one that cannot be entered.
    let stuck = Leftover {
        netns: folder.path().join("stuck"),
        addresses: Vec::new(),
        kept_settings: vec!["ipv4/fwmark_reflect".to_owned()],
    };
    std::fs::write(&stuck.netns, "").unwrap();
    write(&file, &[pod("gone", "10.1.0.9"), stuck.clone()]).unwrap();
    let mut list = Leftovers::open(file.clone());
    list.keep(vec![pod("a", "10.1.0.1")]);
    assert_eq!(read(&file).unwrap().len(), 3, "a new agent adds to the list");
    list.forget_earlier();
    list.keep(vec![pod("a", "10.1.0.1")]);
    let left = read(&file).unwrap();
    assert!(left.contains(&stuck) && left.contains(&pod("a", "10.1.0.1")) && left.len() == 2, "{left:?}");
    list.end();
    assert_eq!(read(&file).unwrap(), [stuck], "what could not be undone is left to `weft cleanup`");
}

#[test]
fn a_namespace_that_is_gone_needs_no_removal() {
    assert!(!super::remove_routes(&pod("gone", "10.1.0.1")).unwrap());
}
