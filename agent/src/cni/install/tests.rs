//! An installer on folders of its own, with a script in the plugin's place.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use super::{Config, Installed, binary, copy, remove};

struct Node {
    folder: tempfile::TempDir,
}

const PATIENCE: Duration = Duration::from_secs(30);

const LIST: &str = r#"{"name":"net","cniVersion":"1.0.0","plugins":[{"type":"ptp"}]}"#;

impl Node {
    fn new() -> Self {
        let made = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(made.config().conf_dir).unwrap();
        fs::create_dir(made.folder.path().join("lib")).unwrap();
        fs::write(made.config().state, "{}").unwrap();
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
            socket: "/run/weft/cni.socket".into(),
            state: path("lib/cni-state.json"),
            agent_namespace: "istio-system".to_owned(),
        }
    }

    fn conf(&self, name: &str) -> PathBuf {
        self.config().conf_dir.join(name)
    }

    /// The copy that the node uses, with our entry in it.
    fn has_entry(&self) -> bool {
        fs::read_to_string(self.conf(copy::NAME)).is_ok_and(|text| text.contains("\"weft-cni\""))
    }
}

fn entry(config: &Config) -> Installed {
    super::entry(config).0
}

fn in_copy() -> Installed {
    Installed::Yes { file: copy::NAME.to_owned() }
}

#[test]
fn the_entry_says_where_agent_and_state_are_and_the_file_of_others_is_not_touched() {
    let node = Node::new();
    fs::write(node.conf("10-net.conflist"), LIST).unwrap();
    for _ in 0..2 {
        assert_eq!(entry(&node.config()), in_copy());
    }
    let list: serde_json::Value = serde_json::from_slice(&fs::read(node.conf(copy::NAME)).unwrap()).unwrap();
    let Config { conf_dir, state, .. } = node.config();
    assert_eq!(
        list["plugins"][1],
        serde_json::json!({
            "type": "weft-cni", "socket": "/run/weft/cni.socket", "agentNamespace": "istio-system",
            "state": state, "copiedIn": conf_dir, "copyOf": "10-net.conflist",
        })
    );
    assert_eq!(fs::read_to_string(node.conf("10-net.conflist")).unwrap(), LIST);
}

#[test]
fn nothing_is_written_before_the_plugin_knows_what_to_do_without_an_agent() {
    let node = Node::new();
    fs::write(node.conf("10-net.conflist"), LIST).unwrap();
    fs::remove_file(node.config().state).unwrap();
    let Installed::Waiting { reason } = entry(&node.config()) else { panic!("too early") };
    assert!(reason.contains("cni-state.json is not written yet"), "{reason}");
    assert!(!node.has_entry());
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
    for (name, text) in [("10-net.conflist", LIST), ("00-multus.conf", "{\"type\":  \"multus\"}")] {
        let node = Node::new();
        fs::write(node.conf(name), text).unwrap();
        fs::write(node.conf("99-other.conflist"), LIST).unwrap();
        assert!(matches!(entry(&node.config()), Installed::Yes { .. }));
        assert!(binary::install(&node.config().program, &node.config().bin_dir).unwrap());
        let removed = remove(&node.config()).unwrap();
        assert!(removed.len() >= 3, "{removed:?}");
        assert_eq!(fs::read_to_string(node.conf(name)).unwrap(), text);
        assert_eq!(fs::read_to_string(node.conf("99-other.conflist")).unwrap(), LIST);
        assert_eq!(fs::read_dir(node.config().conf_dir).unwrap().count(), 2);
        assert_eq!(fs::read_dir(node.config().bin_dir).unwrap().count(), 0);
        assert_eq!(fs::read_dir(node.folder.path().join("lib")).unwrap().count(), 0);
        assert!(remove(&node.config()).unwrap().is_empty());
    }
}

#[test]
fn what_another_has_rewritten_loses_only_our_entry() {
    let node = Node::new();
    fs::write(node.conf("00-multus.conflist"), r#"{"name":"m","plugins":[{"type":"multus"}]}"#).unwrap();
    assert_eq!(entry(&node.config()), Installed::Yes { file: "00-multus.conflist".to_owned() });
    let text = fs::read_to_string(node.conf("00-multus.conflist")).unwrap();
    fs::write(node.conf("00-multus.conflist"), text.replace("\"m\"", "\"theirs\"")).unwrap();
    remove(&node.config()).unwrap();
    let now = fs::read_to_string(node.conf("00-multus.conflist")).unwrap();
    assert!(now.contains("theirs") && !now.contains("weft-cni"), "{now}");
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
        assert!(node.has_entry(), "round {round}");
        match round {
            0 => fs::remove_file(node.conf(copy::NAME)).unwrap(),
            _ => fs::write(node.conf(copy::NAME), LIST).unwrap(),
        }
        fs::remove_file(binary::path(&node.config().bin_dir)).unwrap();
        let started = Instant::now();
        while !node.has_entry() || !binary::path(&node.config().bin_dir).exists() {
            assert!(started.elapsed() < PATIENCE, "round {round}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    let changed = LIST.replace("ptp", "bridge");
    fs::write(node.conf("10-net.conflist"), &changed).unwrap();
    let started = Instant::now();
    while !fs::read_to_string(node.conf(copy::NAME)).is_ok_and(|text| text.contains("bridge")) {
        assert!(started.elapsed() < PATIENCE, "the copy does not follow");
        tokio::time::sleep(Duration::from_millis(10)).await;
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
    assert!(!node.has_entry());
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

#[tokio::test]
async fn a_contest_is_slowed_down_and_told() {
    let node = Node::new();
    fs::write(node.conf("10-net.conflist"), LIST).unwrap();
    let (mut installer, _state) = super::Installer::new(node.config());
    for round in 0..=super::REPAIRS_MAX {
        assert!(!installer.is_contested(), "round {round}");
        assert_eq!(installer.step().await, in_copy());
        fs::remove_file(node.conf(copy::NAME)).unwrap();
    }
    assert!(installer.is_contested());
    let Installed::Failed { reason } = super::contested(&installer.step().await) else { panic!("not told") };
    assert!(reason.contains("cni.exclusive=false"), "{reason}");
    assert!(node.has_entry(), "and put right all the same");
}
