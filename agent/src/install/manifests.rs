//! What is installed: the files of `deploy/kustomize`, built into the binary, in the order in which they are applied.
//!
//! `kustomization.yaml` names the same files and makes the same changes to them; a test compares the two.

use kube::core::{DynamicObject, GroupVersionKind};
use serde::Deserialize;
use serde_json::Value;

use super::options::Options;

/// Label on every object of weft's: without it an object is somebody else's.
pub const PART_OF: (&str, &str) = ("app.kubernetes.io/part-of", "weft");

/// Image that the manifests name, without its tag.
pub const IMAGE: &str = "ghcr.io/weft-mesh/weft";

/// A step of the installation; each needs what the one before made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The namespace.
    Namespace,
    /// Custom resource definitions.
    Crds,
    /// Settings of the mesh.
    MeshConfig,
    /// The control plane's Deployment with what belongs to it.
    Control,
    /// Admission webhooks, which the control plane answers.
    Webhooks,
    /// The agents' DaemonSet with what belongs to it.
    Agents,
}

/// The files, in order.
pub const FILES: [(Part, &str, &str); 6] = [
    (Part::Namespace, "namespace.yaml", include_str!("../../../deploy/kustomize/namespace.yaml")),
    (Part::Crds, "crds.yaml", include_str!("../../../deploy/kustomize/crds.yaml")),
    (Part::MeshConfig, "mesh-config.yaml", include_str!("../../../deploy/kustomize/mesh-config.yaml")),
    (Part::Control, "control.yaml", include_str!("../../../deploy/kustomize/control.yaml")),
    (Part::Webhooks, "webhooks.yaml", include_str!("../../../deploy/kustomize/webhooks.yaml")),
    (Part::Agents, "agent.yaml", include_str!("../../../deploy/kustomize/agent.yaml")),
];

/// One object as it is applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// The step that applies it.
    pub part: Part,
    /// The object.
    pub object: Value,
}

impl Part {
    /// What progress calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::Crds => "CRDs",
            Self::MeshConfig => "mesh config",
            Self::Control => "control",
            Self::Webhooks => "webhooks",
            Self::Agents => "agents",
        }
    }
}

impl Manifest {
    /// `kind`.
    pub fn kind(&self) -> &str {
        text(&self.object, "/kind")
    }

    /// `metadata.name`.
    pub fn name(&self) -> &str {
        text(&self.object, "/metadata/name")
    }

    /// `metadata.namespace`; `None` for what belongs to the whole cluster.
    pub fn namespace(&self) -> Option<&str> {
        self.object.pointer("/metadata/namespace").and_then(Value::as_str)
    }

    /// Group, version and kind.
    pub fn gvk(&self) -> GroupVersionKind {
        let version = text(&self.object, "/apiVersion");
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        GroupVersionKind::gvk(group, version, self.kind())
    }

    /// The interface of the server to objects of this kind, in this object's namespace.
    pub fn api(&self, client: kube::Client) -> kube::Api<DynamicObject> {
        // The plural is made from the kind by English rules, which every kind that is installed follows.
        let resource = kube::core::ApiResource::from_gvk(&self.gvk());
        match self.namespace() {
            Some(namespace) => kube::Api::namespaced_with(client, namespace, &resource),
            None => kube::Api::all_with(client, &resource),
        }
    }

    /// `kind namespace/name`, as people read it.
    pub fn title(&self) -> String {
        match self.namespace() {
            Some(namespace) => format!("{} {namespace}/{}", self.kind(), self.name()),
            None => format!("{} {}", self.kind(), self.name()),
        }
    }
}

/// All objects, as the options want them, in the order in which they are applied.
///
/// # Errors
/// When a built-in file is no YAML: a broken build.
pub fn manifests(options: &Options) -> anyhow::Result<Vec<Manifest>> {
    let mut all = Vec::new();
    for (part, file, text) in FILES {
        for mut object in documents(text).map_err(|error| anyhow::anyhow!("built-in {file}: {error}"))? {
            label(&mut object);
            options.apply(&mut object);
            all.push(Manifest { part, object });
        }
    }
    Ok(all)
}

/// The objects of a file; documents of comments only are none.
pub fn documents(text: &str) -> Result<Vec<Value>, serde_yaml_ng::Error> {
    let all = serde_yaml_ng::Deserializer::from_str(text).map(Value::deserialize).collect::<Result<Vec<_>, _>>()?;
    Ok(all.into_iter().filter(|object| !object.is_null()).collect())
}

fn label(object: &mut Value) {
    if let Some(metadata) = object.pointer_mut("/metadata").and_then(Value::as_object_mut) {
        let labels = metadata.entry("labels").or_insert_with(|| Value::Object(serde_json::Map::new()));
        if let Some(labels) = labels.as_object_mut() {
            labels.insert(PART_OF.0.to_owned(), PART_OF.1.into());
        }
    }
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
