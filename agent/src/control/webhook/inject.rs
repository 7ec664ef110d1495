//! Pods that will be in the mesh are told so: in labels and annotations that others read. Nothing is put into them.
//!
//! - `prometheus.io/*` lead to the agent's page of the pod, which has the application's metrics merged in; what was
//!   there before is kept in annotations from which discovery reads where the application's page is.
//! - `security.istio.io/tlsMode: istio` lets Istio's sidecars speak mTLS to the pod.
//! - `service.istio.io/canonical-*` are the names in telemetry, as Istio writes them.
//! - `ambient.istio.io/redirection: enabled` tells Kiali that the pod is in the mesh.
//!
//! `sidecar.istio.io/status` is not written: readers look for the containers that it names, and there are none.

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::core::admission::{AdmissionRequest, AdmissionResponse};
use weft_model::{
    mesh::MeshConfig,
    workload::{Enrolment, Labels},
};

use super::patch::Changes;
use crate::discovery::{
    convert::{
        pod::controller,
        scrape::{self, PAGE_PATH, PAGE_PORT, Written},
    },
    world::enrolment::{Facts, enrolment},
};

const TLS_MODE: &str = "security.istio.io/tlsMode";
const CANONICAL_NAME: &str = "service.istio.io/canonical-name";
const CANONICAL_REVISION: &str = "service.istio.io/canonical-revision";
const REDIRECTION: &str = "ambient.istio.io/redirection";

/// Letters of a label's value.
const LABEL_LENGTH_MAX: usize = 63;

/// The answer for a pod of a namespace with these labels.
pub fn mutate_pod(request: &AdmissionRequest<Pod>, namespace_labels: &Labels, mesh: &MeshConfig) -> AdmissionResponse {
    let response = AdmissionResponse::from(request);
    let Some(pod) = &request.object else { return response };
    let namespace = request.namespace.as_deref().or(pod.metadata.namespace.as_deref()).unwrap_or("default");
    let changes = changes(pod, namespace, namespace_labels, mesh);
    let warnings = changes.warnings.clone();
    match changes.answer(response, &pod.metadata) {
        Ok(mut response) => {
            response.warnings = (!warnings.is_empty()).then_some(warnings);
            response
        }
        // The pod works without: agents do not depend on what is written here.
        Err(error) => {
            tracing::warn!(%error, namespace, "cannot write what a pod should be told");
            AdmissionResponse::from(request)
        }
    }
}

/// Will the pod be in the mesh, or is it?
pub fn is_enrolled(pod: &Pod, namespace: &str, namespace_labels: &Labels) -> bool {
    let annotations = pod.metadata.annotations.as_ref();
    let facts = Facts {
        namespace,
        namespace_labels,
        pod_labels: &model_labels(pod.metadata.labels.as_ref()),
        inject_annotation: annotations.and_then(|all| all.get("sidecar.istio.io/inject")).map(String::as_str),
        host_network: pod.spec.as_ref().and_then(|spec| spec.host_network).unwrap_or(false),
    };
    enrolment(&facts) == Enrolment::Enrolled
}

/// What is written to a pod; nothing when it will not be in the mesh, or has it all.
pub fn changes(pod: &Pod, namespace: &str, namespace_labels: &Labels, mesh: &MeshConfig) -> Changes {
    let mut changes = Changes::default();
    if !is_enrolled(pod, namespace, namespace_labels) {
        return changes;
    }
    let annotations = pod.metadata.annotations.as_ref();
    let labels: Labels = model_labels(pod.metadata.labels.as_ref());
    let mut label = |key: &str, value: String| {
        if !labels.contains_key(key) {
            changes.labels.insert(key.to_owned(), value);
        }
    };
    label(TLS_MODE, "istio".to_owned());
    label(CANONICAL_NAME, canonical_name(pod, &labels));
    label(CANONICAL_REVISION, canonical_revision(&labels));
    if annotations.and_then(|all| all.get(REDIRECTION)).is_none_or(|value| value != "enabled") {
        changes.annotations.insert(REDIRECTION.to_owned(), "enabled".to_owned());
    }
    scraping(annotations, mesh, &mut changes);
    changes
}

/// What is taken back from a pod that has left the mesh while it runs: what others would rely on. Nothing when it was not
/// weft that wrote it: Istio's sidecars have the label, too, but not the annotation, and a status of their own.
pub fn undo(meta: &ObjectMeta) -> Changes {
    let mut changes = Changes::default();
    let has = |map: &Option<BTreeMap<String, String>>, key: &str, value: &str| {
        map.as_ref().and_then(|all| all.get(key)).is_some_and(|present| present == value)
    };
    let has_sidecar = meta.annotations.as_ref().is_some_and(|all| all.contains_key("sidecar.istio.io/status"));
    if has_sidecar || !has(&meta.labels, TLS_MODE, "istio") || !has(&meta.annotations, REDIRECTION, "enabled") {
        return changes;
    }
    changes.removed_labels.insert(TLS_MODE.to_owned());
    changes.removed_annotations.insert(REDIRECTION.to_owned());
    let written = Written::of(meta.annotations.as_ref());
    if written.leads_to_page() {
        changes.removed_annotations.extend([scrape::SCRAPE, scrape::PORT, scrape::PATH].map(str::to_owned));
        for (original, key, value) in written.remembered() {
            changes.removed_annotations.insert(original.to_owned());
            changes.removed_annotations.remove(key);
            changes.annotations.insert(key.to_owned(), value.to_owned());
        }
    }
    changes
}

/// Is something in a workload's labels that does not fit to whether it is in the mesh? Its annotations are not known here.
pub fn is_doubtful(is_enrolled: bool, labels: &Labels) -> bool {
    match labels.get(TLS_MODE) {
        None => is_enrolled,
        Some(mode) => !is_enrolled && &**mode == "istio",
    }
}

/// Leads Prometheus to the agent's page. As Istio does, also for a pod that says nothing about its metrics, because the
/// mesh has some for it; a pod that does not want to be scraped or merged stays as it is.
fn scraping(annotations: Option<&BTreeMap<String, String>>, mesh: &MeshConfig, changes: &mut Changes) {
    let written = Written::of(annotations);
    let is_merged = mesh.prometheus_merge && written.allows_merge();
    if !is_merged || written.leads_to_page() || written.refuses_scrape() {
        return;
    }
    if let Some(port) = written.port.filter(|port| port.parse::<u16>().map_or(true, |port| port == 0)) {
        let message =
            format!("annotation prometheus.io/port: {port:?} is no port, so it is left as it is; use 1 to 65535");
        changes.warnings.push(message);
        return;
    }
    for (key, value) in written.originals() {
        changes.annotations.insert(key.to_owned(), value.to_owned());
    }
    // Every way of writing them: of two that mean the same to it, Prometheus takes one by chance.
    changes.removed_annotations.extend(scrape::spellings(annotations).map(str::to_owned));
    for (key, value) in [(scrape::SCRAPE, "true"), (scrape::PORT, PAGE_PORT), (scrape::PATH, PAGE_PATH)] {
        changes.removed_annotations.remove(key);
        changes.annotations.insert(key.to_owned(), value.to_owned());
    }
}

/// The name of the workload in telemetry, in the form of a label.
fn canonical_name(pod: &Pod, labels: &Labels) -> String {
    let by_label =
        ["app.kubernetes.io/name", "app"].iter().find_map(|key| labels.get(*key).filter(|name| !name.is_empty()));
    let name = match by_label {
        Some(name) => name.to_string(),
        None => controller(pod)
            .or_else(|| pod.metadata.name.clone())
            .or_else(|| pod.metadata.generate_name.clone())
            .unwrap_or_default(),
    };
    let end = name.char_indices().nth(LABEL_LENGTH_MAX).map_or(name.len(), |(end, _)| end);
    name[..end].trim_matches(['-', '_', '.']).to_owned()
}

fn canonical_revision(labels: &Labels) -> String {
    let by_label = ["app.kubernetes.io/version", "version"].iter().find_map(|key| labels.get(*key));
    by_label.filter(|revision| !revision.is_empty()).map_or_else(|| "latest".to_owned(), ToString::to_string)
}

fn model_labels(map: Option<&BTreeMap<String, String>>) -> Labels {
    map.into_iter().flatten().map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect()
}

#[cfg(test)]
mod tests;
