//! Fuzz targets: what a runtime hands to the plugin, what plugin and agent say to each other, and configurations of others.

use serde_json::Value;

use super::*;
use crate::cni::{install::conflist::NetworkFile, message};

/// Standard input with the entry, and `CNI_ARGS`: the input is both.
pub fn input(data: &[u8]) {
    let _ = Settings::version(data);
    let text = String::from_utf8_lossy(data);
    let variable = |name: &str| match name {
        "CNI_CONTAINERID" => Some("container".to_owned()),
        _ => Some(text.clone().into_owned()),
    };
    let Ok(settings) = Settings::read(data) else { return };
    assert!(settings.entry.socket.is_absolute() && settings.entry.state.is_absolute());
    if let Some(sandbox) = Call::of(&variable).ok().and_then(|call| call.sandbox(&settings)) {
        assert!(!sandbox.namespace.is_empty() && !sandbox.name.is_empty());
        // What the plugin understood arrives at the agent.
        let line = message::line(&Request::Add(sandbox.clone())).unwrap_or_default();
        assert!(line.iter().filter(|byte| **byte == b'\n').count() == 1, "one line");
        assert_eq!(message::parse::<Request>(&line).ok(), Some(Request::Add(sandbox)));
    }
}

/// A line on the agent's socket.
pub fn socket(data: &[u8]) {
    let read = message::read::<Request>(data);
    assert_eq!(read.as_ref().ok(), message::read::<Request>(data).as_ref().ok());
    if let Ok(request) = read {
        let line = message::line(&request).unwrap_or_default();
        assert_eq!(message::parse::<Request>(&line).ok(), Some(request));
    }
    if let Ok(answer) = message::read::<Answer>(data) {
        let line = message::line(&answer).unwrap_or_default();
        assert_eq!(message::parse::<Answer>(&line).ok(), Some(answer));
    }
}

/// Another's network configuration: our entry goes in and out, all else stays.
pub fn network(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let entry = serde_json::json!({ "type": NAME, "socket": "/run/weft.sock" });
    for name in ["10-net.conflist", "10-net.conf"] {
        let before = NetworkFile { name: name.to_owned(), text: text.to_owned() };
        let _ = before.delegates();
        let Ok(text) = before.with_entry(&entry) else { continue };
        let with = NetworkFile { name: before.list_name(), text };
        assert_eq!(with.with_entry(&entry).as_ref(), Ok(&with.text), "the entry goes in twice");
        let Some(without) = with.without_entry() else { panic!("the entry is not found: {:?}", with.text) };
        let kinds = |text: &str| -> Vec<Value> {
            let list: Value = serde_json::from_str(text).unwrap_or_default();
            let plugins = list.get("plugins").and_then(Value::as_array).cloned().unwrap_or_default();
            plugins.into_iter().filter(|plugin| plugin.get("type").and_then(Value::as_str) != Some(NAME)).collect()
        };
        assert_eq!(kinds(&without), kinds(&with.text), "another's plugin is lost");
        if name.ends_with(".conflist") {
            assert_eq!(kinds(&before.text), kinds(&without), "another's plugin is lost");
        }
    }
}
