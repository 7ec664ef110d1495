//! Network configurations of the CNI specification, as text: which one a node uses, and our entry in it.
//!
//! A node uses the first file by name that is one. A `.conf` (or `.json`) has one plugin; to be chained it has to become
//! a `.conflist`, which the file's name says. Everything of others in the file stays; only the order of a JSON object's
//! keys may change.

use serde_json::{Map, Value};

use crate::cni::plugin::NAME;

/// Endings of network configurations (libcni's).
const SINGLE: [&str; 2] = [".conf", ".json"];
const LIST: &str = ".conflist";

/// Plugins that take another file of the folder for the network they add to: in front of them must not stand a copy of
/// their own configuration, or they would call themselves.
const DELEGATING: [&str; 3] = ["multus", "multus-shim", "multus-cni"];

/// The version that a configuration gets which has none in which plugins can be chained.
const CHAINING: &str = "0.3.1";

/// A file that says it is a network configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkFile {
    /// Its name in the folder.
    pub name: String,
    /// Its text.
    pub text: String,
}

impl NetworkFile {
    /// Is the file's name one of a network configuration?
    pub fn is_one(name: &str) -> bool {
        name.ends_with(LIST) || SINGLE.iter().any(|ending| name.ends_with(ending))
    }

    /// The name it has as a list.
    pub fn list_name(&self) -> String {
        let stem = SINGLE.iter().find_map(|ending| self.name.strip_suffix(ending));
        stem.map_or_else(|| self.name.clone(), |stem| format!("{stem}{LIST}"))
    }

    /// The configuration as a list.
    ///
    /// # Errors
    /// Why it is none: then runtimes pass over the file, too.
    fn list(&self) -> Result<Map<String, Value>, String> {
        let parsed: Value = serde_json::from_str(&self.text).map_err(|error| format!("is no JSON: {error}"))?;
        let Value::Object(mut object) = parsed else { return Err("is no JSON object".to_owned()) };
        if self.name.ends_with(LIST) {
            return match object.get("plugins") {
                Some(Value::Array(plugins)) if !plugins.is_empty() => Ok(object),
                _ => Err("has no plugins".to_owned()),
            };
        }
        if object.get("type").and_then(Value::as_str).is_none_or(str::is_empty) {
            return Err("names no plugin (\"type\")".to_owned());
        }
        let mut list = Map::new();
        let version = object.remove("cniVersion").filter(can_chain).unwrap_or_else(|| CHAINING.into());
        list.insert("cniVersion".to_owned(), version);
        // The network's name stays with the plugin, too, where it was.
        list.insert("name".to_owned(), object.get("name").cloned().unwrap_or_else(|| "k8s-pod-network".into()));
        list.insert("plugins".to_owned(), Value::Array(vec![Value::Object(object)]));
        Ok(list)
    }

    /// The text with our entry in it, behind the others; as it is when the entry is there already.
    ///
    /// # Errors
    /// Why it is no network configuration.
    pub fn with_entry(&self, entry: &Value) -> Result<String, String> {
        let mut list = self.list()?;
        let plugins = plugins(&mut list)?;
        let at: Vec<usize> = (0..plugins.len()).filter(|index| is_ours(&plugins[*index])).collect();
        // Behind the plugin that makes the interface is enough: others may want to be the last one, too.
        if let [index] = at[..]
            && index > 0
            && plugins[index] == *entry
        {
            return Ok(self.text.clone());
        }
        plugins.retain(|plugin| !is_ours(plugin));
        if plugins.is_empty() {
            return Err("has no plugin but ours".to_owned());
        }
        plugins.push(entry.clone());
        Ok(text(&list))
    }

    /// Does its first plugin call the plugins of other configurations, which it looks for in the folder by itself?
    pub fn delegates(&self) -> bool {
        let list = self.list().ok();
        let first = list.as_ref().and_then(|list| list.get("plugins")?.as_array()?.first()?.get("type")?.as_str());
        first.is_some_and(|kind| DELEGATING.contains(&kind))
    }

    /// The text without our entry; `None` when it is not there.
    pub fn without_entry(&self) -> Option<String> {
        let mut list = self.list().ok()?;
        let plugins = plugins(&mut list).ok()?;
        let before = plugins.len();
        plugins.retain(|plugin| !is_ours(plugin));
        (plugins.len() < before).then(|| text(&list))
    }
}

/// The file that a node uses: the first by name that is a network configuration. Also why those before it are none.
pub fn active(files: &[NetworkFile]) -> (Option<&NetworkFile>, Vec<String>) {
    let mut sorted: Vec<&NetworkFile> = files.iter().filter(|file| NetworkFile::is_one(&file.name)).collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    let mut passed_over = Vec::new();
    for file in sorted {
        match file.list() {
            Ok(_) => return (Some(file), passed_over),
            Err(reason) => passed_over.push(format!("{} {reason}", file.name)),
        }
    }
    (None, passed_over)
}

fn plugins(list: &mut Map<String, Value>) -> Result<&mut Vec<Value>, String> {
    list.get_mut("plugins").and_then(Value::as_array_mut).ok_or_else(|| "has no plugins".to_owned())
}

fn is_ours(plugin: &Value) -> bool {
    plugin.get("type").and_then(Value::as_str) == Some(NAME)
}

fn can_chain(version: &Value) -> bool {
    version
        .as_str()
        .is_some_and(|version| !version.is_empty() && !["0.1.", "0.2."].iter().any(|old| version.starts_with(old)))
}

fn text(list: &Map<String, Value>) -> String {
    // Values that were parsed can be written.
    serde_json::to_string_pretty(list).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests;
