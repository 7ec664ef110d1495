//! The namespace goes when nothing is left in it: add-ons such as Prometheus and Kiali live there, too.

use std::collections::BTreeSet;

use anyhow::Context;
use kube::{
    Api, ResourceExt,
    api::{ListParams, PartialObjectMeta},
    core::DynamicObject,
    discovery::{Discovery, Scope, verbs},
};

use super::{Remains, delete::Deleter, some};
use crate::{
    install::{manifests::Manifest, progress::Progress},
    kubernetes::{SYSTEM_NAMESPACE, failure},
};

/// Objects that Kubernetes itself puts into every namespace, or keeps for a while.
const OF_KUBERNETES: [&str; 2] = ["ConfigMap/kube-root-ca.crt", "ServiceAccount/default"];
const PASSING_KINDS: [&str; 4] = ["Event", "EndpointSlice", "Endpoints", "ControllerRevision"];

/// Objects of one kind that are looked at: one is enough to keep the namespace.
const LISTED_MAX: u32 = 20;

/// Removes it, or says what it is kept for.
///
/// # Errors
/// What the server refuses, or when it does not go in time.
pub(super) async fn remove(
    deleter: &Deleter<'_>,
    namespace: &[&Manifest],
    remains: &mut Remains,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let others = others(deleter).await?;
    if others.is_empty() {
        return deleter.all("namespace", namespace, progress).await;
    }
    remains.kept.push(format!("namespace {SYSTEM_NAMESPACE}, because of {}", some(&others)));
    Ok(())
}

/// `Kind/name` of what is in the namespace and not Kubernetes' own.
async fn others(deleter: &Deleter<'_>) -> anyhow::Result<BTreeSet<String>> {
    // Groups whose server is away are passed over by discovery: what they hold would go with the namespace in any case.
    // In one answer: asked group by group, the server would not know those any more whose last CRD has just gone.
    let discovery = Discovery::new(deleter.client.clone()).run_aggregated().await;
    let discovery = discovery.map_err(|error| anyhow::anyhow!("{}", failure(&error)));
    let discovery = discovery.context("asking which kinds of objects the server has")?;
    // Who answers in another form, as servers before 1.26 do, has told nothing: the namespace might be full.
    anyhow::ensure!(
        discovery.has_group(""),
        "the server does not say which kinds of objects it has: Kubernetes 1.26 or newer does"
    );
    let mut found = BTreeSet::new();
    for group in discovery.groups() {
        for (resource, capabilities) in group.recommended_resources() {
            let is_countable = capabilities.scope == Scope::Namespaced && capabilities.supports_operation(verbs::LIST);
            if !is_countable || PASSING_KINDS.contains(&&*resource.kind) {
                continue;
            }
            let api = Api::<DynamicObject>::namespaced_with(deleter.client.clone(), SYSTEM_NAMESPACE, &resource);
            // Kinds that only answer questions (metrics, reviews) refuse to be listed so: they hold nothing.
            let Ok(list) = api.list_metadata(&ListParams::default().limit(LISTED_MAX)).await else { continue };
            let title = |one: &PartialObjectMeta<DynamicObject>| format!("{}/{}", resource.kind, one.name_any());
            found.extend(list.items.iter().map(title).filter(|title| !OF_KUBERNETES.contains(&&**title)));
        }
    }
    Ok(found)
}
