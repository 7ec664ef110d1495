//! The objects of a directory: which kinds weft acts on, and what it keeps of each.
//!
//! Core kinds are those of `k8s-openapi`; Istio's are our own types, one file per kind, in the shape
//! from which CRDs are generated: a superset of old and new spellings. All are converted when they are read
//! ([`super::convert`]), and only the result is kept.

pub mod authorization_policy;
pub mod common;
pub mod destination_rule;
pub mod gateway;
pub mod peer_authentication;
pub mod request_authentication;
pub mod service_entry;
pub mod status;
pub mod virtual_service;

use std::{fmt, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use weft_model::{
    mesh::MeshConfig,
    policy::{AuthorizationPolicy, PeerAuthentication},
    route::{DestinationRule, VirtualService},
    workload::{Labels, Named},
};

use super::convert::{deployment::DeploymentFacts, endpoint_slice::SliceFacts, pod::PodFacts, service::ServiceFacts};

/// Kinds weft acts on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the Kubernetes kinds")]
pub enum Kind {
    Namespace,
    Node,
    Pod,
    Service,
    EndpointSlice,
    ServiceAccount,
    ConfigMap,
    Deployment,
    VirtualService,
    DestinationRule,
    PeerAuthentication,
    AuthorizationPolicy,
}

impl Kind {
    /// Does it live outside of namespaces?
    pub fn is_cluster_scoped(self) -> bool {
        matches!(self, Self::Namespace | Self::Node)
    }

    /// Is it Kubernetes' own? The others are defined by Istio.
    pub fn is_core(self) -> bool {
        use Kind::{AuthorizationPolicy, DestinationRule, PeerAuthentication, VirtualService};
        !matches!(self, VirtualService | DestinationRule | PeerAuthentication | AuthorizationPolicy)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// What weft does with a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recognised {
    /// Acts on it, in these versions of its group.
    Acted(Kind, &'static [&'static str]),
    /// Knows it as a mesh kind and does not act on it yet.
    NotEnforced,
    /// A kind that a mesh has no business with.
    Ignored,
}

/// What weft does with `kind` of API group `group` (empty for core).
pub fn recognise(group: &str, kind: &str) -> Recognised {
    const CORE: &[&str] = &["v1"];
    const NETWORKING: &[&str] = &["v1alpha3", "v1beta1", "v1"];
    const SECURITY: &[&str] = &["v1beta1", "v1"];
    match (group, kind) {
        ("", "Namespace") => Recognised::Acted(Kind::Namespace, CORE),
        ("", "Node") => Recognised::Acted(Kind::Node, CORE),
        ("", "Pod") => Recognised::Acted(Kind::Pod, CORE),
        ("", "Service") => Recognised::Acted(Kind::Service, CORE),
        ("", "ServiceAccount") => Recognised::Acted(Kind::ServiceAccount, CORE),
        ("", "ConfigMap") => Recognised::Acted(Kind::ConfigMap, CORE),
        ("discovery.k8s.io", "EndpointSlice") => Recognised::Acted(Kind::EndpointSlice, CORE),
        // Deployments of old exercises are in groups that Kubernetes gave up in 1.16: an error, not a note.
        ("apps" | "extensions", "Deployment") => Recognised::Acted(Kind::Deployment, CORE),
        ("networking.istio.io", "VirtualService") => Recognised::Acted(Kind::VirtualService, NETWORKING),
        ("networking.istio.io", "DestinationRule") => Recognised::Acted(Kind::DestinationRule, NETWORKING),
        ("security.istio.io", "PeerAuthentication") => Recognised::Acted(Kind::PeerAuthentication, SECURITY),
        ("security.istio.io", "AuthorizationPolicy") => Recognised::Acted(Kind::AuthorizationPolicy, SECURITY),
        (group, _) if group.ends_with(".istio.io") || group == "gateway.networking.k8s.io" => Recognised::NotEnforced,
        _ => Recognised::Ignored,
    }
}

/// An object's name. Cluster-scoped kinds have an empty namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Kind.
    pub kind: Kind,
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

impl Key {
    /// Namespace and name.
    pub fn named(&self) -> Named {
        Named { namespace: self.namespace.clone(), name: self.name.clone() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.is_empty() {
            true => write!(f, "{} {}", self.kind, self.name),
            false => write!(f, "{} {}/{}", self.kind, self.namespace, self.name),
        }
    }
}

/// What is kept of an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Labels of a Namespace.
    Namespace(Arc<Labels>),
    /// Labels of a Node.
    Node(Arc<Labels>),
    /// A Pod.
    Pod(Arc<PodFacts>),
    /// A Service.
    Service(Arc<ServiceFacts>),
    /// An EndpointSlice.
    EndpointSlice(Arc<SliceFacts>),
    /// A ServiceAccount: that it exists.
    ServiceAccount,
    /// ConfigMap `istio-system/istio`.
    MeshConfig(Box<MeshConfig>),
    /// Another ConfigMap: that it exists.
    ConfigMap,
    /// A Deployment, from whose annotated template pods are derived.
    Deployment(Arc<DeploymentFacts>),
    /// A VirtualService.
    VirtualService(Arc<VirtualService>),
    /// A DestinationRule.
    DestinationRule(Arc<DestinationRule>),
    /// A PeerAuthentication.
    PeerAuthentication(Arc<PeerAuthentication>),
    /// An AuthorizationPolicy.
    AuthorizationPolicy(Arc<AuthorizationPolicy>),
}

/// An Istio object of any served version: they differ in name only.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", bound = "S: Deserialize<'de> + Default")]
pub struct Resource<S> {
    /// Group and version.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Name, namespace, labels, annotations.
    pub metadata: ObjectMeta,
    /// What it wants; absent is empty.
    pub spec: Option<S>,
    /// What others wrote about it; not read.
    pub status: Option<serde_yaml_ng::Value>,
}

#[cfg(test)]
mod tests;
