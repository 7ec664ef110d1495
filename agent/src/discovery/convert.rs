//! Kubernetes and Istio objects -> values of `weft-model`.
//!
//! Every object is converted, and thereby checked, when it is read: Istio's into values of the model, pods, Services
//! and slices into the few facts that a mesh needs of them. [`super::world`] puts the facts together whenever
//! something changed. Nothing below these two knows Kubernetes.

pub mod authorization_policy;
pub mod capture;
pub mod check;
pub mod deployment;
pub mod destination_rule;
pub mod endpoint_slice;
pub mod host;
pub mod matching;
pub mod mesh_config;
pub mod meta;
pub mod peer_authentication;
pub mod pod;
pub mod protocol;
pub mod scrape;
pub mod service;
pub mod virtual_service;

use std::collections::BTreeMap;

use weft_model::workload::Labels;

use super::{field_path::FieldPath, findings::Findings};

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
