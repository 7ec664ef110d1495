//! Deployment -> pods, where nobody else makes them.
//!
//! An exercise's manifest becomes usable in directory mode by one annotation in its pod template:
//! `weft.dev/netns: "name-a, name-b@node-2"`, one pod per entry, called `<deployment>-<n>`.

use std::sync::Arc;

use k8s_openapi::{
    api::{apps::v1::Deployment, core::v1::Pod},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};

use super::{
    super::{field_path::FieldPath, findings::Findings, parse::Settings},
    capture::{NETNS, NetnsEntry, capture, netns_entries},
    pod::{self, PodFacts},
};

/// What the mesh needs of a Deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentFacts {
    /// Pods that its template's annotation makes, by name.
    pub pods: Vec<(Arc<str>, Arc<PodFacts>)>,
    /// It asks for more pods than it names network namespaces.
    pub lacks_namespaces: bool,
}

/// The facts of the Deployment called `name`.
pub fn facts(name: &str, deployment: &Deployment, settings: &Settings, findings: &mut Findings) -> DeploymentFacts {
    let path = FieldPath::of(&["spec", "template", "metadata", "annotations"]);
    let template = deployment.spec.as_ref().and_then(|spec| spec.template.metadata.as_ref());
    capture(template.and_then(|meta| meta.annotations.as_ref()), &path, findings);
    let fact = |one: Pod| {
        let name = one.metadata.name.as_deref().unwrap_or_default();
        // Said once, above.
        let facts = pod::facts(&one, settings, &path, &mut Findings::default());
        (Arc::from(name), Arc::new(facts))
    };
    DeploymentFacts {
        pods: pods(name, deployment).into_iter().map(fact).collect(),
        lacks_namespaces: lacks_namespaces(deployment),
    }
}

/// The pods of a Deployment called `name`, counted from 0, in the order of its annotation. At most
/// `replicas` of them when that is given, so that scaling works as in a cluster.
fn pods(name: &str, deployment: &Deployment) -> Vec<Pod> {
    let Some(spec) = &deployment.spec else { return Vec::new() };
    let meta = spec.template.metadata.clone().unwrap_or_default();
    let entries = netns_entries(meta.annotations.as_ref());
    let wanted = spec.replicas.map_or(entries.len(), |replicas| usize::try_from(replicas).unwrap_or(0));
    let pod = |(number, entry): (usize, NetnsEntry<'_>)| {
        let mut annotations = meta.annotations.clone().unwrap_or_default();
        let node = entry.node.map(|node| format!("@{node}")).unwrap_or_default();
        annotations.insert(NETNS.to_owned(), format!("{}{node}", entry.netns));
        let owner = OwnerReference {
            kind: "Deployment".into(),
            name: name.into(),
            controller: Some(true),
            ..OwnerReference::default()
        };
        Pod {
            metadata: ObjectMeta {
                name: Some(format!("{name}-{number}")),
                labels: meta.labels.clone(),
                annotations: Some(annotations),
                owner_references: Some(vec![owner]),
                ..ObjectMeta::default()
            },
            spec: spec.template.spec.clone(),
            status: None,
        }
    };
    entries.into_iter().take(wanted).enumerate().map(pod).collect()
}

/// Does the Deployment ask for more pods than it names network namespaces?
fn lacks_namespaces(deployment: &Deployment) -> bool {
    let Some(spec) = &deployment.spec else { return false };
    let annotations = spec.template.metadata.as_ref().and_then(|meta| meta.annotations.as_ref());
    let named = netns_entries(annotations).len();
    spec.replicas.map_or(named == 0, |replicas| usize::try_from(replicas).is_ok_and(|wanted| wanted > named))
}
