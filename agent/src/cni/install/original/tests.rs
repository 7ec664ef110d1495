use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use super::{super::conflist::NetworkFile, Original};

struct Node {
    folder: tempfile::TempDir,
}

impl Node {
    fn new() -> Self {
        let made = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(made.conf("")).unwrap();
        made
    }

    fn conf(&self, name: &str) -> PathBuf {
        self.folder.path().join("net.d").join(name)
    }

    fn record(&self) -> PathBuf {
        self.folder.path().join("lib/original.json")
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.conf(name), text).unwrap();
    }

    /// Adds our entry, as the installer does.
    fn install(&self, name: &str) {
        let file = NetworkFile { name: name.to_owned(), text: fs::read_to_string(self.conf(name)).unwrap() };
        let text = file.with_entry(&serde_json::json!({"type": "weft-cni"})).unwrap();
        Original::replace(&self.record(), &self.conf(""), &file, &text).unwrap();
    }

    fn restore(&self) -> bool {
        Original::restore(&self.record(), &self.conf("")).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.conf("")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

const LIST: &str = "{\"plugins\":[ {\"type\":\"ptp\"} ],\n   \"name\":\"net\", \"cniVersion\":\"1.0.0\"}";

#[test]
fn the_very_file_comes_back_with_its_mode() {
    let node = Node::new();
    node.write("10-net.conflist", LIST);
    fs::set_permissions(node.conf("10-net.conflist"), fs::Permissions::from_mode(0o600)).unwrap();
    node.install("10-net.conflist");
    assert!(fs::read_to_string(node.conf("10-net.conflist")).unwrap().contains("weft-cni"));
    assert!(node.restore());
    assert_eq!(fs::read_to_string(node.conf("10-net.conflist")).unwrap(), LIST);
    assert_eq!(fs::metadata(node.conf("10-net.conflist")).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_conf_that_became_a_list_is_a_conf_again() {
    let node = Node::new();
    let conf = "{ \"type\": \"bridge\" }";
    node.write("10-net.conf", conf);
    node.install("10-net.conf");
    assert_eq!(node.names(), ["10-net.conflist"]);
    assert!(node.restore());
    assert_eq!(node.names(), ["10-net.conf"]);
    assert_eq!(fs::read_to_string(node.conf("10-net.conf")).unwrap(), conf);
}

#[test]
fn what_others_have_written_since_is_not_overwritten() {
    let node = Node::new();
    node.write("10-net.conflist", LIST);
    node.install("10-net.conflist");
    node.write("10-net.conflist", "{\"plugins\":[{\"type\":\"calico\"}]}");
    assert!(!node.restore());
    assert!(!Node::new().restore(), "nothing was kept");
}

#[test]
fn a_repair_of_our_own_entry_keeps_the_first_original() {
    let node = Node::new();
    node.write("10-net.conflist", LIST);
    node.install("10-net.conflist");
    let file = NetworkFile {
        name: "10-net.conflist".to_owned(),
        text: fs::read_to_string(node.conf("10-net.conflist")).unwrap(),
    };
    let newer = file.with_entry(&serde_json::json!({"type": "weft-cni", "socket": "/x"})).unwrap();
    Original::replace(&node.record(), &node.conf(""), &file, &newer).unwrap();
    assert!(node.restore(), "what was written last is known, too");
    assert_eq!(fs::read_to_string(node.conf("10-net.conflist")).unwrap(), LIST);
}
