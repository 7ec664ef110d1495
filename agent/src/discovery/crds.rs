//! CustomResourceDefinitions of Istio's kinds, generated from the types that discovery reads.
//!
//! `weft crds` prints them and `deploy/kustomize/crds.yaml` holds them. Kinds without a type of ours ([`untyped`]) are
//! accepted whole, so that tools find them. Those of the Gateway API are not ours: its project publishes them.

mod schema;
mod untyped;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion, JSONSchemaProps,
};
use kube::CustomResourceExt;
use serde::Serialize;

use super::objects::{
    authorization_policy::AuthorizationPolicy,
    destination_rule::DestinationRule,
    gateway::Gateway,
    peer_authentication::PeerAuthentication,
    request_authentication::RequestAuthentication,
    service_entry::{ServiceEntry, WorkloadEntry},
    virtual_service::VirtualService,
};

/// Which versions of a kind are served, all with the same schema, and in which of them objects are kept.
#[derive(Clone, Copy, Debug)]
struct Versions {
    served: &'static [&'static str],
    storage: &'static str,
}

/// As Istio serves them: who changes from one to the other finds stored objects readable.
const NETWORKING: Versions = Versions { served: &["v1", "v1beta1", "v1alpha3"], storage: "v1" };
const SECURITY: Versions = Versions { served: &["v1", "v1beta1"], storage: "v1" };

/// All of them, by group and kind.
pub fn all() -> Vec<CustomResourceDefinition> {
    let mut all = vec![
        typed(VirtualService::crd(), NETWORKING),
        typed(DestinationRule::crd(), NETWORKING),
        typed(Gateway::crd(), NETWORKING),
        typed(ServiceEntry::crd(), NETWORKING),
        typed(WorkloadEntry::crd(), NETWORKING),
        typed(PeerAuthentication::crd(), SECURITY),
        typed(AuthorizationPolicy::crd(), SECURITY),
        typed(RequestAuthentication::crd(), SECURITY),
    ];
    all.extend(untyped::all());
    all.sort_by(|a, b| (&a.spec.group, &a.spec.names.kind).cmp(&(&b.spec.group, &b.spec.names.kind)));
    all
}

/// A stream of YAML documents, with a word about where it comes from.
///
/// # Errors
/// When a definition has no form in YAML, which would be a mistake in its type.
pub fn yaml() -> Result<String, serde_yaml_ng::Error> {
    let mut text =
        "# CustomResourceDefinitions of Istio's kinds as weft reads them, printed by `weft crds`.\n".to_owned();
    for crd in all() {
        text.push_str("---\n");
        text.push_str(&serde_yaml_ng::to_string(&crd)?);
    }
    Ok(text)
}

/// A list in JSON.
///
/// # Errors
/// When a definition has no form in JSON, which would be a mistake in its type.
pub fn json() -> Result<String, serde_json::Error> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct List {
        api_version: &'static str,
        kind: &'static str,
        items: Vec<CustomResourceDefinition>,
    }
    let list = List { api_version: "v1", kind: "List", items: all() };
    serde_json::to_string_pretty(&list).map(|text| text + "\n")
}

/// What the derive made of a type, in the form that is applied.
fn typed(mut crd: CustomResourceDefinition, versions: Versions) -> CustomResourceDefinition {
    let derived = crd.spec.versions.remove(0);
    crd.spec.versions = versions.of(&derived);
    for schema in schemas(&mut crd) {
        schema::finish(schema);
    }
    label(&mut crd);
    crd
}

impl Versions {
    /// Copies of one version under each name.
    fn of(self, like: &CustomResourceDefinitionVersion) -> Vec<CustomResourceDefinitionVersion> {
        let copy = |name: &&str| CustomResourceDefinitionVersion {
            name: (*name).to_owned(),
            served: true,
            storage: *name == self.storage,
            ..like.clone()
        };
        self.served.iter().map(copy).collect()
    }
}

fn schemas(crd: &mut CustomResourceDefinition) -> impl Iterator<Item = &mut JSONSchemaProps> {
    crd.spec.versions.iter_mut().filter_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut())
}

/// Says whose definition it is, and fills in what the API server would.
fn label(crd: &mut CustomResourceDefinition) {
    let labels = crd.metadata.labels.get_or_insert_default();
    labels.insert("app.kubernetes.io/part-of".to_owned(), "weft".to_owned());
    crd.spec.names.list_kind = Some(format!("{}List", crd.spec.names.kind));
}

#[cfg(test)]
mod tests;
