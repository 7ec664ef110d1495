//! Kubernetes YAML: read from the caller, written as one file per object into the folder that agents watch.
//!
//! Objects stay untyped JSON values: the testbed must pass on fields it does not know. Called by `cluster` and `state`.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};

/// Kinds without a namespace, as far as the exercises use them.
const CLUSTER_SCOPED: [&str; 9] = [
    "Namespace",
    "Node",
    "GatewayClass",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
    "IngressClass",
];

/// What identifies an object. The namespace of a cluster-scoped one is empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) kind: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Key {
    pub(crate) fn new(kind: &str, namespace: &str, name: &str) -> Self {
        let namespace = if CLUSTER_SCOPED.contains(&kind) { "" } else { namespace };
        Self { kind: kind.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
    }

    pub(crate) fn of(object: &Value) -> Self {
        Self::new(text(object, "/kind"), text(object, "/metadata/namespace"), text(object, "/metadata/name"))
    }

    fn file_name(&self) -> String {
        let kind = self.kind.to_lowercase();
        if self.namespace.is_empty() {
            format!("{kind}.{}.yaml", self.name)
        } else {
            format!("{kind}.{}.{}.yaml", self.namespace, self.name)
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.kind, self.name)
        } else {
            write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

/// The string at a JSON pointer, or the empty one.
pub(crate) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The list at a JSON pointer, or the empty one.
pub(crate) fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The map of strings at a JSON pointer, or the empty one.
pub(crate) fn strings(object: &Value, pointer: &str) -> BTreeMap<String, String> {
    let map = object.pointer(pointer).and_then(Value::as_object);
    map.into_iter().flatten().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
}

/// Whether every label of a `matchLabels`-like map is on the object. An empty selector selects everything.
pub(crate) fn selects(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// Reads all documents of `yaml`, unfolds `kind: List` and puts objects without a namespace into `default`.
pub(crate) fn parse(yaml: &str) -> Result<Vec<Value>> {
    let mut objects = Vec::new();
    for (index, document) in serde_yaml_ng::Deserializer::from_str(yaml).enumerate() {
        let place = || format!("document {} of the applied YAML", index + 1);
        let value = Value::deserialize(document).with_context(place)?;
        match value.get("kind").and_then(Value::as_str) {
            None if value.is_null() => {}
            None => bail!("{} has no `kind`", place()),
            Some("List") => {
                for item in list(&value, "/items") {
                    objects.push(checked(item.clone()).with_context(place)?);
                }
            }
            Some(_) => objects.push(checked(value).with_context(place)?),
        }
    }
    Ok(objects)
}

fn checked(mut object: Value) -> Result<Value> {
    let kind = text(&object, "/kind").to_owned();
    if kind.is_empty() || text(&object, "/metadata/name").is_empty() {
        bail!("an object needs `kind` and `metadata.name` (kind is {kind:?})");
    }
    if !CLUSTER_SCOPED.contains(&kind.as_str()) && text(&object, "/metadata/namespace").is_empty() {
        object["metadata"]["namespace"] = json!("default");
    }
    Ok(object)
}

/// The folder of manifests. Files appear and change by rename, so that a reader never sees half of one.
#[derive(Debug)]
pub(crate) struct Folder {
    dir: PathBuf,
    staging: PathBuf,
    written: BTreeMap<Key, String>,
}

impl Folder {
    /// Makes `dir`; files are prepared in `staging`, which must be on the same file system.
    pub(crate) fn create(dir: &Path, staging: &Path) -> Result<Self> {
        for path in [dir, staging] {
            fs::create_dir_all(path).with_context(|| format!("creating {}", path.display()))?;
        }
        Ok(Self { dir: dir.to_owned(), staging: staging.to_owned(), written: BTreeMap::new() })
    }

    /// Writes `object`, unless the file already says the same.
    pub(crate) fn write(&mut self, object: &Value) -> Result<()> {
        let key = Key::of(object);
        let yaml = serde_yaml_ng::to_string(object).with_context(|| format!("writing {key}"))?;
        if self.written.get(&key) == Some(&yaml) {
            return Ok(());
        }
        let draft = self.staging.join(key.file_name());
        fs::write(&draft, &yaml).with_context(|| format!("writing {}", draft.display()))?;
        fs::rename(&draft, self.dir.join(key.file_name())).with_context(|| format!("publishing {key}"))?;
        self.written.insert(key, yaml);
        Ok(())
    }

    /// Removes the object's file, if there is one.
    pub(crate) fn remove(&mut self, key: &Key) -> Result<()> {
        if self.written.remove(key).is_some() {
            fs::remove_file(self.dir.join(key.file_name())).with_context(|| format!("removing the file of {key}"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_and_lists_are_unfolded_and_get_a_namespace() {
        let yaml = "---\nkind: Service\nmetadata: {name: a}\n---\n# nothing\n---\nkind: List\nitems:\n\
                    - {kind: Node, metadata: {name: n}}\n- {kind: Pod, metadata: {name: p, namespace: x}}\n";
        let keys: Vec<String> = parse(yaml).unwrap().iter().map(|o| Key::of(o).to_string()).collect();
        assert_eq!(keys, ["Service default/a", "Node n", "Pod x/p"]);
    }

    #[test]
    fn an_error_names_the_document() {
        let error = parse("kind: Pod\nmetadata: {name: a}\n---\nkind: Pod\n").unwrap_err();
        assert!(format!("{error:#}").contains("document 2"), "{error:#}");
    }
}
