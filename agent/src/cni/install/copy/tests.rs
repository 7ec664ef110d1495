use std::fs;

use super::{Entry, NAME, Plan, files, plan, refresh};

const LIST: &str = r#"{"name":"net","cniVersion":"1.0.0","plugins":[{"type":"ptp"}]}"#;

fn entry() -> Entry {
    Entry { socket: "/run/weft/cni.socket".into(), agent_namespace: "istio-system".to_owned(), ..Entry::default() }
}

#[test]
fn the_copy_comes_before_all_others_and_follows_the_one_it_was_made_from() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["00-first.conflist", "05-cilium.conflist", "10-calico.conflist"] {
        assert!(NAME < name, "{name}");
        fs::write(path(name), LIST.replace("ptp", name)).unwrap();
    }
    assert!(refresh(folder.path(), &entry()).unwrap());
    assert!(!refresh(folder.path(), &entry()).unwrap(), "the copy is not copied again");
    let copy: serde_json::Value = serde_json::from_slice(&fs::read(path(NAME)).unwrap()).unwrap();
    assert_eq!(copy["name"], "net", "the same network: its addresses and caches are found by its name");
    assert_eq!(copy["plugins"][0]["type"], "00-first.conflist");
    assert_eq!(copy["plugins"][1]["copyOf"], "00-first.conflist");
    fs::remove_file(path("00-first.conflist")).unwrap();
    assert!(refresh(folder.path(), &entry()).unwrap());
    assert!(fs::read_to_string(path(NAME)).unwrap().contains("05-cilium"));
    for name in ["05-cilium.conflist", "10-calico.conflist"] {
        fs::remove_file(path(name)).unwrap();
    }
    assert!(!refresh(folder.path(), &entry()).unwrap());
    assert!(path(NAME).exists(), "who is about to write a network may not be here yet");
}

#[test]
fn a_plugin_that_picks_a_file_itself_gets_the_entry_in_its_own() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("00-multus.conf"), r#"{"type":"multus","name":"m"}"#).unwrap();
    fs::write(folder.path().join("10-net.conflist"), LIST).unwrap();
    let (plan, _) = plan(&files(folder.path()).unwrap(), folder.path(), &entry()).unwrap();
    let Some(Plan::InPlace { file, text }) = plan else { panic!("{plan:?}") };
    assert_eq!(file.name, "00-multus.conf");
    assert!(text.contains("weft-cni") && !text.contains("copyOf"), "{text}");
    assert!(!refresh(folder.path(), &entry()).unwrap());
    assert!(!folder.path().join(NAME).exists());
}
