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
        let mut operations = set("labels", meta.labels.as_ref(), &self.labels);
        let removed = self
            .removed_annotations
            .iter()
            .filter(|key| meta.annotations.as_ref().is_some_and(|all| all.contains_key(*key)));
        operations.extend(removed.map(|key| json!({ "op": "remove", "path": path("annotations", key) })));
        operations.extend(set("annotations", meta.annotations.as_ref(), &self.annotations));
        operations
    }
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
