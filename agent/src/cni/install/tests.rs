//! An installer on folders of its own, with a script in the plugin's place.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use super::{Config, Installed, binary, entry, remove};

struct Node {
    folder: tempfile::TempDir,
}

const PATIENCE: Duration = Duration::from_secs(30);

const LIST: &str = r#"{"name":"net","cniVersion":"1.0.0","plugins":[{"type":"ptp"}]}"#;

impl Node {
    fn new() -> Self {
        let made = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(made.config().conf_dir).unwrap();
        made.program("echo '{\"supportedVersions\":[]}'");
        made
    }

    fn program(&self, script: &str) {
        fs::write(self.config().program, format!("#!/bin/sh\n{script}\n")).unwrap();
    }

    fn config(&self) -> Config {
        let path = |name: &str| self.folder.path().join(name);
        Config {
            program: path("program"),
            bin_dir: path("bin"),
            conf_dir: path("net.d"),
            socket: "/run/weft/cni.sock".into(),
            state: path("lib/cni-state.json"),
            agent_namespace: "istio-system".to_owned(),
        }
    }

    fn conf(&self, name: &str) -> PathBuf {
        self.config().conf_dir.join(name)
    }

    fn has_entry(&self, name: &str) -> bool {
        fs::read_to_string(self.conf(name)).is_ok_and(|text| text.contains("\"weft-cni\""))
    }
}

#[test]
fn the_entry_says_where_agent_and_state_are() {
    let node = Node::new();
    fs::write(node.conf("10-net.conflist"), LIST).unwrap();
    assert_eq!(entry(&node.config()), Installed::Yes { file: "10-net.conflist".to_owned() });
    let list: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(node.conf("10-net.conflist")).unwrap()).unwrap();
    assert_eq!(
        list["plugins"][1],
        serde_json::json!({
            "type": "weft-cni", "socket": "/run/weft/cni.sock", "agentNamespace": "istio-system",
            "state": node.config().state,
        })
    );
    assert_eq!(entry(&node.config()), Installed::Yes { file: "10-net.conflist".to_owned() });
}

#[test]
fn without_a_network_it_waits_and_says_for_what() {
    let node = Node::new();
    let Installed::Waiting { reason } = entry(&node.config()) else { panic!("nothing to write into") };
    assert!(reason.contains("no network configuration in"), "{reason}");
    fs::write(node.conf("10-net.conflist"), "{").unwrap();
    let Installed::Waiting { reason } = entry(&node.config()) else { panic!("nothing to write into") };
    assert!(reason.contains("10-net.conflist is no JSON"), "{reason}");
    fs::remove_dir_all(node.config().conf_dir).unwrap();
    assert!(matches!(entry(&node.config()), Installed::Waiting { .. }));
}

#[test]
fn removing_leaves_the_node_as_it_was() {
    let node = Node::new();
    fs::write(node.conf("10-net.conf"), "{\"type\": \"bridge\"}").unwrap();
    fs::write(node.conf("99-other.conflist"), LIST).unwrap();
    assert_eq!(entry(&node.config()), Installed::Yes { file: "10-net.conflist".to_owned() });
    assert!(binary::install(&node.config().program, &node.config().bin_dir).unwrap());
    fs::write(node.config().state, "{}").unwrap();
    let removed = remove(&node.config()).unwrap();
    assert_eq!(removed.len(), 4, "{removed:?}");
    assert_eq!(fs::read_to_string(node.conf("10-net.conf")).unwrap(), "{\"type\": \"bridge\"}");
    assert!(!node.conf("10-net.conflist").exists());
    assert_eq!(fs::read_to_string(node.conf("99-other.conflist")).unwrap(), LIST);
    assert_eq!(fs::read_dir(node.config().bin_dir).unwrap().count(), 0);
    assert_eq!(fs::read_dir(node.folder.path().join("lib")).unwrap().count(), 0);
    assert!(remove(&node.config()).unwrap().is_empty());
}

#[test]
fn what_another_has_rewritten_loses_only_our_entry() {
    let node = Node::new();
    fs::write(node.conf("10-net.conflist"), LIST).unwrap();
    entry(&node.config());
    let text = fs::read_to_string(node.conf("10-net.conflist")).unwrap();
    let theirs = text.replace("\"ptp\"", "\"calico\"");
    fs::write(node.conf("10-net.conflist"), &theirs).unwrap();
    remove(&node.config()).unwrap();
    let now = fs::read_to_string(node.conf("10-net.conflist")).unwrap();
    assert!(now.contains("calico") && !now.contains("weft-cni"), "{now}");
}

#[test]
fn the_binary_is_replaced_only_when_it_differs() {
    let node = Node::new();
    let Config { program, bin_dir, .. } = node.config();
    assert!(binary::install(&program, &bin_dir).unwrap());
    assert!(!binary::install(&program, &bin_dir).unwrap());
    let path = binary::path(&bin_dir);
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(binary::install(&program, &bin_dir).unwrap(), "one byte is another");
    assert_eq!(fs::read_dir(&bin_dir).unwrap().count(), 1, "nothing beside it");
}

#[tokio::test]
async fn what_others_overwrite_or_remove_comes_back() {
    let node = Node::new();
    let (installer, mut state) = super::Installer::new(node.config());
    let running = tokio::spawn(installer.run());
    fs::write(node.conf("10-net.conflist"), LIST).unwrap();
    let installed = state.wait_for(|state| matches!(state, Installed::Yes { .. }));
    tokio::time::timeout(PATIENCE, installed).await.expect("in time").unwrap();
    for round in 0..3 {
        assert!(node.has_entry("10-net.conflist"), "round {round}");
        fs::write(node.conf("10-net.conflist"), LIST).unwrap();
        fs::remove_file(binary::path(&node.config().bin_dir)).unwrap();
        let started = Instant::now();
        while !node.has_entry("10-net.conflist") || !binary::path(&node.config().bin_dir).exists() {
            assert!(started.elapsed() < PATIENCE, "round {round}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    running.abort();
}

#[tokio::test]
async fn a_plugin_that_does_not_run_on_the_node_is_not_put_into_the_configuration() {
    let node = Node::new();
    fs::write(node.conf("10-net.conflist"), LIST).unwrap();
    node.program("echo no such library >&2; exit 127");
    let (installer, mut state) = super::Installer::new(node.config());
    let running = tokio::spawn(installer.run());
    let failed = state.wait_for(|state| matches!(state, Installed::Failed { .. }));
    let failed = tokio::time::timeout(PATIENCE, failed).await.expect("in time").unwrap().clone();
    running.abort();
    let Installed::Failed { reason } = failed else { panic!("{failed:?}") };
    assert!(reason.contains("no such library"), "{reason}");
    assert!(!node.has_entry("10-net.conflist"));
}

#[tokio::test]
async fn a_folder_is_watched_also_after_it_was_replaced() {
    let node = Node::new();
    let mut watch = super::Watch::new();
    for round in 0..2 {
        watch.ensure([&*node.config().conf_dir]);
        let started = Instant::now();
        fs::write(node.conf("10-net.conflist"), LIST).unwrap();
        tokio::time::timeout(Duration::from_secs(5), watch.woken()).await.expect("an event");
        assert!(started.elapsed() < Duration::from_secs(5), "round {round}");
        while tokio::time::timeout(Duration::from_millis(100), watch.woken()).await.is_ok() {}
        fs::read_to_string(node.conf("10-net.conflist")).unwrap();
        let own = tokio::time::timeout(Duration::from_millis(100), watch.woken()).await;
        assert!(own.is_err(), "our own reading is no change");
        fs::remove_dir_all(node.config().conf_dir).unwrap();
        while tokio::time::timeout(Duration::from_millis(100), watch.woken()).await.is_ok() {}
        fs::create_dir(node.config().conf_dir).unwrap();
    }
}
