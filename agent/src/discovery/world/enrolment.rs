//! Whether a pod is in the mesh, spoken in the terms of Istio's sidecar injection.
//!
//! The rules are those of Istio's webhook: namespace label `istio-injection` (which wins over
//! `istio.io/rev`), the pod's label `sidecar.istio.io/inject`, and its old annotation of the same name,
//! which can opt out, but not in where the namespace is not labelled.

use weft_model::workload::{Enrolment, Labels};

const INJECT: &str = "sidecar.istio.io/inject";
const REVISION: &str = "istio.io/rev";

/// Namespaces that Istio never injects.
const SYSTEM: &[&str] = &["kube-system", "kube-public", "kube-node-lease", "local-path-storage"];

/// Is it a namespace of the cluster itself, none of whose pods is ever in the mesh?
pub fn is_system(namespace: &str) -> bool {
    SYSTEM.contains(&namespace)
}

/// Are pods of a namespace with these labels in the mesh, unless one says otherwise?
pub fn of_namespace(name: &str, labels: &Labels) -> bool {
    let nothing = Labels::new();
    let facts = Facts {
        namespace: name,
        namespace_labels: labels,
        pod_labels: &nothing,
        inject_annotation: None,
        host_network: false,
    };
    matches!(enrolment(&facts), Enrolment::Enrolled)
}

/// What is looked at.
pub struct Facts<'a> {
    /// The pod's namespace.
    pub namespace: &'a str,
    /// Labels of the namespace, empty when there is no such object.
    pub namespace_labels: &'a Labels,
    /// Labels of the pod.
    pub pod_labels: &'a Labels,
    /// The annotation `sidecar.istio.io/inject`.
    pub inject_annotation: Option<&'a str>,
    /// `hostNetwork`.
    pub host_network: bool,
}

/// Is the pod in the mesh, and if not, why?
pub fn enrolment(facts: &Facts<'_>) -> Enrolment {
    let no = Enrolment::NotEnrolled;
    if facts.host_network {
        return no("pod uses the node's network (hostNetwork)");
    }
    if is_system(facts.namespace) {
        return no("system namespaces are left alone");
    }
    let label = facts.pod_labels.get(INJECT).map(|value| is_true(value));
    if label == Some(false) {
        return no("label sidecar.istio.io/inject of the pod is not true");
    }
    let by_namespace = match facts.namespace_labels.get("istio-injection").map(|value| &**value) {
        Some("enabled") => true,
        Some("disabled") => return no("namespace label istio-injection is disabled"),
        Some(_) => return no("namespace label istio-injection is neither enabled nor disabled"),
        None => is_set(facts.namespace_labels),
    };
    match (by_namespace, label, facts.inject_annotation) {
        (true, Some(true), _) => Enrolment::Enrolled,
        (true, _, Some(value)) if !value.is_empty() && !is_true(value) => {
            no("annotation sidecar.istio.io/inject of the pod is not true")
        }
        (true, ..) => Enrolment::Enrolled,
        (false, Some(true), _) => Enrolment::Enrolled,
        (false, ..) if is_set(facts.pod_labels) => Enrolment::Enrolled,
        (false, _, Some(value)) if is_true(value) => {
            no("annotation sidecar.istio.io/inject enrols only in a namespace labelled istio-injection=enabled")
        }
        (false, ..) => no("namespace is not labelled istio-injection=enabled"),
    }
}

/// The words of YAML 1.1 that Istio takes for true.
fn is_true(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "y" | "yes" | "true" | "on")
}

/// Does an object name a revision?
fn is_set(labels: &Labels) -> bool {
    labels.get(REVISION).is_some_and(|revision| !revision.is_empty())
}

#[cfg(test)]
mod tests;
