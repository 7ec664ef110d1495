//! The few things about an installation that may be chosen, and where they go in the manifests.
//!
//! The namespace is none of them: Istio's tools, Kiali and every exercise look for the control plane in `istio-system`,
//! and identities, webhooks and policies of the whole mesh name it.

use serde_json::{Map, Value, json};

use super::manifests::IMAGE;

/// Environment variable of the level that the agent and the control plane log at.
const LOG_LEVEL: &str = "WEFT_LOG_LEVEL";

/// Lists of a pod's containers.
const CONTAINERS: [&str; 2] = ["containers", "initContainers"];

/// Volumes of the agents that are the node's CNI folders, and by which variables agents are told.
pub(super) const CNI_CONF: (&str, &str) = ("cni-conf", "WEFT_CNI_CONF_DIR");
pub(super) const CNI_BIN: (&str, &str) = ("cni-bin", "WEFT_CNI_BIN_DIR");

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
        for list in CONTAINERS {
            items(pod, list).for_each(|container| self.apply_to_container(container));
        }
        for (folder, place) in [(&self.cni_conf_dir, CNI_CONF), (&self.cni_bin_dir, CNI_BIN)] {
            if let Some(folder) = folder {
                move_folder(pod, place, folder);
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
            set_variable(container, LOG_LEVEL, level);
        }
    }
}

/// Another folder of the node in the place of a volume. It has the same path in the container: the CNI plugin, which the
/// agent installs, runs outside of it.
pub(super) fn move_folder(pod: &mut Value, (volume, variable): (&str, &str), folder: &str) {
    let is_it = |one: &&mut Value| one.get("name").and_then(Value::as_str) == Some(volume);
    let Some(found) = items(pod, "volumes").find(is_it) else { return };
    if let Some(path) = found.pointer_mut("/hostPath/path") {
        *path = folder.into();
    }
    for list in CONTAINERS {
        for container in items(pod, list) {
            move_mount(container, (volume, variable), folder);
        }
    }
}

fn move_mount(container: &mut Value, (volume, variable): (&str, &str), folder: &str) {
    let is_it = |one: &&mut Value| one.get("name").and_then(Value::as_str) == Some(volume);
    let Some(mount) = items(container, "volumeMounts").find(is_it) else { return };
    mount["mountPath"] = folder.into();
    if let Some(container) = container.as_object_mut() {
        set_variable(container, variable, folder);
    }
}

fn items<'a>(object: &'a mut Value, list: &str) -> impl Iterator<Item = &'a mut Value> {
    object.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten()
}

fn set_variable(container: &mut Map<String, Value>, name: &str, value: &str) {
    let variables = container.entry("env").or_insert_with(|| json!([]));
    let Some(variables) = variables.as_array_mut() else { return };
    variables.retain(|variable| variable.get("name").and_then(Value::as_str) != Some(name));
    variables.push(json!({"name": name, "value": value}));
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
