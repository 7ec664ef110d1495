//! Kubernetes and Istio objects -> values of `weft-model`.
//!
//! Istio objects and the mesh configuration are converted, and thereby checked, one by one when they
//! are read; core objects are only checked here. [`super::world`] puts pods, nodes, Services and slices
//! together whenever something changed. Nothing below these two knows Kubernetes.

pub mod authorization_policy;
pub mod capture;
pub mod check;
pub mod destination_rule;
pub mod host;
pub mod matching;
pub mod mesh_config;
pub mod meta;
pub mod peer_authentication;
pub mod scrape;
pub mod virtual_service;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use weft_model::workload::Labels;

use super::{field_path::FieldPath, findings::Findings};

/// Labels of an object.
pub fn labels(meta: &ObjectMeta) -> Labels {
    meta.labels.as_ref().map(model_labels).unwrap_or_default()
}

/// A map of strings as model labels.
pub fn model_labels(map: &BTreeMap<String, String>) -> Labels {
    map.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect()
}

/// A port number from an object, or an error at `path`.
pub fn port(number: i64, path: &FieldPath, findings: &mut Findings) -> Option<u16> {
    match u16::try_from(number) {
        Ok(port) if port > 0 => Some(port),
        _ => {
            findings.error(path, format!("{number} is no port"), "use a number from 1 to 65535");
            None
        }
    }
}
