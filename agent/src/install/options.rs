//! The few things about an installation that may be chosen, and where they go in the manifests.
//!
//! The namespace is none of them: Istio's tools, Kiali and every exercise look for the control plane in `istio-system`,
//! and identities, webhooks and policies of the whole mesh name it.

use serde_json::{Value, json};

use super::manifests::IMAGE;

/// Environment variable of the level that the agent and the control plane log at.
const LOG_LEVEL: &str = "WEFT_LOG_LEVEL";

/// Volumes of the agents that are the node's CNI folders.
const CNI_CONF_VOLUME: &str = "cni-conf";
const CNI_BIN_VOLUME: &str = "cni-bin";

/// What may be chosen; `None` leaves what the manifests say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Image of agents and control plane, with its tag; `None`: the one of this version.
    pub image: Option<String>,
    /// `imagePullPolicy`.
    pub image_pull_policy: Option<String>,
    /// What agents and control plane log: a level, or filters.
    pub log_level: Option<String>,
    /// Replicas of the control plane.
    pub control_replicas: Option<u16>,
    /// The node's folder of CNI configurations.
    pub cni_conf_dir: Option<String>,
    /// The node's folder of CNI plugins.
    pub cni_bin_dir: Option<String>,
}

impl Options {
    /// The image, spelled out.
    pub fn image(&self) -> String {
        self.image.clone().unwrap_or_else(|| format!("{IMAGE}:{}", env!("CARGO_PKG_VERSION")))
    }

    /// Changes an object of the manifests.
    pub(super) fn apply(&self, object: &mut Value) {
        let kind = object.pointer("/kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        if kind == "Deployment"
            && let Some(replicas) = self.control_replicas
            && let Some(spec) = object.pointer_mut("/spec").and_then(Value::as_object_mut)
        {
            spec.insert("replicas".to_owned(), replicas.into());
        }
        if !matches!(&*kind, "Deployment" | "DaemonSet") {
            return;
        }
        let Some(pod) = object.pointer_mut("/spec/template/spec") else { return };
        for list in ["containers", "initContainers"] {
            for container in pod.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                self.apply_to_container(container);
            }
        }
        for volume in pod.get_mut("volumes").and_then(Value::as_array_mut).into_iter().flatten() {
            let wanted = match volume.get("name").and_then(Value::as_str) {
                Some(CNI_CONF_VOLUME) => &self.cni_conf_dir,
                Some(CNI_BIN_VOLUME) => &self.cni_bin_dir,
                _ => &None,
            };
            if let (Some(wanted), Some(path)) = (wanted, volume.pointer_mut("/hostPath/path")) {
                *path = wanted.as_str().into();
            }
        }
    }

    fn apply_to_container(&self, container: &mut Value) {
        let Some(container) = container.as_object_mut() else { return };
        let is_ours = container.get("image").and_then(Value::as_str).is_some_and(|image| without_tag(image) == IMAGE);
        if !is_ours {
            return;
        }
        container.insert("image".to_owned(), self.image().into());
        if let Some(policy) = &self.image_pull_policy {
            container.insert("imagePullPolicy".to_owned(), policy.as_str().into());
        }
        if let Some(level) = &self.log_level {
            let variables = container.entry("env").or_insert_with(|| json!([]));
            let Some(variables) = variables.as_array_mut() else { return };
            variables.retain(|variable| variable.get("name").and_then(Value::as_str) != Some(LOG_LEVEL));
            variables.push(json!({"name": LOG_LEVEL, "value": level}));
        }
    }
}

/// An image's name: what follows the last `:` or the `@` is its tag or digest, unless it holds a `/` (a registry's port).
fn without_tag(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(name, _digest)| name);
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}

#[cfg(test)]
mod tests;
