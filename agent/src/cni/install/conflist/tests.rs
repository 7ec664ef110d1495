//! Configurations as CNI plugins' installers write them.

use serde_json::{Value, json};

use super::{NetworkFile, active};

const FLANNEL: &str = r#"{
  "name": "cbr0",
  "cniVersion": "0.3.1",
  "plugins": [
    {"type": "flannel", "delegate": {"hairpinMode": true, "isDefaultGateway": true}},
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}"#;

fn file(name: &str, text: &str) -> NetworkFile {
    NetworkFile { name: name.to_owned(), text: text.to_owned() }
}

fn entry() -> Value {
    json!({"type": "weft-cni", "socket": "/run/weft/cni.sock"})
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The file with our entry.
fn with(name: &str, text: &str) -> Value {
    parsed(&file(name, text).with_entry(&entry()).unwrap())
}

#[test]
fn our_entry_is_added_at_the_end_and_nothing_else_changes() {
    let changed = with("10-flannel.conflist", FLANNEL);
    let mut expected = parsed(FLANNEL);
    expected["plugins"].as_array_mut().unwrap().push(entry());
    assert_eq!(changed, expected);
}

#[test]
fn an_entry_that_is_there_is_left_alone_wherever_it_stands_behind_the_first() {
    let there = with("10-flannel.conflist", FLANNEL);
    let mut moved = there.clone();
    moved["plugins"].as_array_mut().unwrap().swap(1, 2);
    for list in [there.to_string(), moved.to_string()] {
        assert_eq!(file("10-flannel.conflist", &list).with_entry(&entry()).unwrap(), list, "to the letter");
    }
}

#[test]
fn an_entry_that_is_outdated_doubled_or_in_front_is_written_anew() {
    let right = with("10-flannel.conflist", FLANNEL);
    let mut outdated = right.clone();
    outdated["plugins"][2]["socket"] = "/elsewhere".into();
    let mut doubled = right.clone();
    doubled["plugins"].as_array_mut().unwrap().push(entry());
    let mut in_front = right.clone();
    in_front["plugins"].as_array_mut().unwrap().swap(0, 2);
    in_front["plugins"].as_array_mut().unwrap().swap(1, 2);
    for wrong in [outdated, doubled, in_front] {
        assert_eq!(with("10-flannel.conflist", &wrong.to_string()), right, "{wrong}");
    }
}

#[test]
fn a_single_plugin_becomes_a_list_under_the_name_that_says_so() {
    let conf =
        file("10-bridge.conf", r#"{"cniVersion": "0.3.0", "name": "mynet", "type": "bridge", "bridge": "cni0"}"#);
    assert_eq!(conf.list_name(), "10-bridge.conflist");
    assert_eq!(file("x.json", "").list_name(), "x.conflist");
    assert_eq!(file("x.conflist", "").list_name(), "x.conflist");
    let list = parsed(&conf.with_entry(&entry()).unwrap());
    assert_eq!(
        list,
        json!({"cniVersion": "0.3.0", "name": "mynet",
            "plugins": [{"name": "mynet", "type": "bridge", "bridge": "cni0"}, entry()]})
    );
    for version in [r#""cniVersion": "0.2.0","#, r#""cniVersion": "","#, ""] {
        let old = format!(r#"{{{version} "type": "bridge"}}"#);
        assert_eq!(with("10-bridge.conf", &old)["cniVersion"], "0.3.1", "{old}");
    }
}

#[test]
fn a_node_uses_the_first_file_by_name_that_is_a_configuration() {
    let files = [
        file("87-podman.conflist", FLANNEL),
        file("10-flannel.conflist", FLANNEL),
        file("00-broken.conflist", "{"),
        file("01-empty.conflist", r#"{"name": "x", "plugins": []}"#),
        file("02-list.conf", FLANNEL),
        file("00-notes.txt", "not ours to read"),
    ];
    let (found, passed_over) = active(&files);
    assert_eq!(found.unwrap().name, "10-flannel.conflist");
    assert_eq!(passed_over.len(), 3, "{passed_over:?}");
    assert!(passed_over[0].starts_with("00-broken.conflist is no JSON"), "{passed_over:?}");
    assert_eq!(active(&files[2..4]).0, None);
    assert_eq!(active(&[]).0, None);
}

#[test]
fn our_entry_is_taken_out_again() {
    let changed = with("10-flannel.conflist", FLANNEL).to_string();
    let removed = file("10-flannel.conflist", &changed).without_entry().unwrap();
    assert_eq!(parsed(&removed), parsed(FLANNEL));
    assert_eq!(file("10-flannel.conflist", FLANNEL).without_entry(), None);
    assert_eq!(file("10-flannel.conflist", "{").without_entry(), None);
}

#[test]
fn a_list_with_nothing_but_our_entry_is_no_network() {
    let alone = json!({"name": "x", "plugins": [entry()]}).to_string();
    assert!(file("10-x.conflist", &alone).with_entry(&entry()).unwrap_err().contains("no plugin but ours"));
}

#[test]
fn a_plugin_that_calls_others_is_told_from_one_that_makes_a_network() {
    assert!(file("00-multus.conf", r#"{"type": "multus-shim", "name": "multus-cni-network"}"#).delegates());
    assert!(file("00-multus.conflist", r#"{"plugins": [{"type": "multus"}, {"type": "portmap"}]}"#).delegates());
    assert!(!file("10-flannel.conflist", FLANNEL).delegates());
    assert!(!file("10-flannel.conflist", "{").delegates());
}
