//! What conversions need of an object's metadata.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use weft_model::workload::Named;

use super::super::objects::Key;

/// Name, age and annotations of an object.
#[derive(Clone, Debug)]
pub struct Meta {
    /// Namespace and name.
    pub name: Named,
    /// Seconds since the epoch of `creationTimestamp`, 0 when absent.
    pub created: i64,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

impl Meta {
    /// From the object's key (which has the default namespace filled in) and its metadata.
    pub fn new(key: &Key, meta: &ObjectMeta) -> Self {
        Self {
            name: Named { namespace: key.namespace.clone(), name: key.name.clone() },
            created: meta.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second()),
            annotations: meta.annotations.clone().unwrap_or_default(),
        }
    }
}
