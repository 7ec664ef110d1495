//! Changes of an object's labels and annotations as a JSON Patch (RFC 6902).

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::admission::{AdmissionResponse, SerializePatchError};
use serde_json::{Value, json};

/// What to change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Labels to set.
    pub labels: BTreeMap<String, String>,
    /// Labels to remove.
    pub removed_labels: BTreeSet<String>,
    /// Annotations to set.
    pub annotations: BTreeMap<String, String>,
    /// Annotations to remove.
    pub removed_annotations: BTreeSet<String>,
    /// What the author of the object should know.
    pub warnings: Vec<String>,
}

/// Why there is no patch.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// The operations are no patch.
    #[error("not a JSON Patch: {0}")]
    Form(#[from] serde_json::Error),
    /// The patch has no form in JSON.
    #[error(transparent)]
    Text(#[from] SerializePatchError),
}

impl Changes {
    /// `response` with the patch, if there is anything to change in an object with that metadata.
    ///
    /// # Errors
    /// When the patch cannot be written.
    pub fn answer(&self, response: AdmissionResponse, meta: &ObjectMeta) -> Result<AdmissionResponse, PatchError> {
        let operations = self.operations(meta);
        if operations.is_empty() {
            return Ok(response);
        }
        Ok(response.with_patch(serde_json::from_value(Value::Array(operations))?)?)
    }

    /// The operations, in an order in which they can be done one after the other.
    pub fn operations(&self, meta: &ObjectMeta) -> Vec<Value> {
        let mut operations = removed("labels", meta.labels.as_ref(), &self.removed_labels);
        operations.extend(set("labels", meta.labels.as_ref(), &self.labels));
        operations.extend(removed("annotations", meta.annotations.as_ref(), &self.removed_annotations));
        operations.extend(set("annotations", meta.annotations.as_ref(), &self.annotations));
        operations
    }

    /// The same for an object that is there, as a merge patch (RFC 7396) of exactly that version of it; `None` when
    /// there is nothing to change.
    pub fn merge_patch(&self, meta: &ObjectMeta) -> Option<Value> {
        if self.operations(meta).is_empty() {
            return None;
        }
        let merged = |removed: &BTreeSet<String>, set: &BTreeMap<String, String>| -> Value {
            let removed = removed.iter().map(|key| (key.clone(), Value::Null));
            removed.chain(set.iter().map(|(key, value)| (key.clone(), value.as_str().into()))).collect()
        };
        Some(json!({ "metadata": {
            "resourceVersion": meta.resource_version,
            "labels": merged(&self.removed_labels, &self.labels),
            "annotations": merged(&self.removed_annotations, &self.annotations),
        } }))
    }
}

/// Removes what is there of one of the two maps.
fn removed(map: &str, present: Option<&BTreeMap<String, String>>, unwanted: &BTreeSet<String>) -> Vec<Value> {
    let is_present = |key: &&String| present.is_some_and(|all| all.contains_key(*key));
    unwanted.iter().filter(is_present).map(|key| json!({ "op": "remove", "path": path(map, key) })).collect()
}

/// Sets keys of one of the two maps, which may not be there at all.
fn set(map: &str, present: Option<&BTreeMap<String, String>>, wanted: &BTreeMap<String, String>) -> Vec<Value> {
    match present {
        _ if wanted.is_empty() => Vec::new(),
        None => vec![json!({ "op": "add", "path": format!("/metadata/{map}"), "value": wanted })],
        Some(present) => {
            let new = wanted.iter().filter(|(key, value)| present.get(*key) != Some(value));
            new.map(|(key, value)| json!({ "op": "add", "path": path(map, key), "value": value })).collect()
        }
    }
}

/// The JSON Pointer (RFC 6901) of a key.
fn path(map: &str, key: &str) -> String {
    format!("/metadata/{map}/{}", key.replace('~', "~0").replace('/', "~1"))
}
