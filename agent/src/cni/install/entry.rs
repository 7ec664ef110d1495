//! Our entry in a network configuration: what the installer writes, and the runtime hands to the plugin.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cni::plugin::NAME;

/// What the plugin has to know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The agent's socket.
    #[serde(default)]
    pub socket: PathBuf,
    /// The file of [`crate::cni::known::Known`].
    #[serde(default)]
    pub state: PathBuf,
    /// Where weft's own pods are.
    #[serde(default)]
    pub agent_namespace: String,
    /// The folder in which the entry's file is a copy of another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copied_in: Option<PathBuf>,
    /// That other one, for people who wonder where the file comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy_of: Option<String>,
}

impl Entry {
    /// The entry in JSON, with its type.
    pub fn value(&self) -> Value {
        let mut value = json!(self);
        value["type"] = NAME.into();
        value
    }
}
