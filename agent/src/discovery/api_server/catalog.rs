//! What is watched at an API server: Kubernetes' own kinds, which are always there, and those of the mesh, which are
//! there when somebody installed their definitions.

use std::{fmt, sync::Arc};

use kube::{
    api::{ListParams, WatchParams},
    core::{Request, discovery::v2::APIGroupDiscoveryList},
};

use crate::{
    discovery::objects::{Kind, Recognised, recognise},
    kubernetes::{MESH_CONFIG_MAP, SYSTEM_NAMESPACE},
};

/// What the agent's service account needs to follow a cluster, by group and resources; of each `get`, `list` and `watch`.
/// Of ConfigMaps only [`MESH_CONFIG_MAP`] in [`SYSTEM_NAMESPACE`]. Other mesh kinds are watched where that is allowed,
/// to tell their authors what is not enforced. `/apis` and `/readyz` are open to every service account
/// (`system:discovery`, `system:public-info-viewer`).
pub const RIGHTS: &[(&str, &[&str])] = &[
    ("", &["configmaps", "namespaces", "nodes", "pods", "services"]),
    ("discovery.k8s.io", &["endpointslices"]),
    // All kinds of these groups: those without effect are read to say so to their authors.
    ("networking.istio.io", &["*"]),
    ("security.istio.io", &["*"]),
    ("telemetry.istio.io", &["*"]),
    ("extensions.istio.io", &["*"]),
    ("gateway.networking.k8s.io", &["*"]),
];

/// Objects in one page of a list.
const PAGE: u32 = 500;

/// Kinds that are watched only to warn about them, at most.
const MAX_WARNED: usize = 64;

/// What is done with the objects of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// They are acted on.
    Acted(Kind),
    /// Their authors are told that they are not enforced yet.
    Warned,
}

/// A kind of objects, as an API server serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// API group, empty for core.
    pub group: Arc<str>,
    /// The version to ask for.
    pub version: Arc<str>,
    /// Kind.
    pub kind: Arc<str>,
    /// Name in paths.
    pub plural: Arc<str>,
    /// What for.
    pub purpose: Use,
}

/// A resource, whatever its version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// API group, empty for core.
    pub group: Arc<str>,
    /// Kind.
    pub kind: Arc<str>,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.group.is_empty() {
            true => f.write_str(&self.kind),
            false => write!(f, "{} ({})", self.kind, self.group),
        }
    }
}

impl Resource {
    /// Its name.
    pub fn id(&self) -> Id {
        Id { group: self.group.clone(), kind: self.kind.clone() }
    }

    /// Must it have been read before the world is whole?
    pub fn is_needed(&self) -> bool {
        matches!(self.purpose, Use::Acted(_))
    }

    /// Is it Kubernetes' own, and there in any case?
    pub fn is_core(&self) -> bool {
        matches!(self.purpose, Use::Acted(kind) if kind.is_core())
    }

    /// `apiVersion` of its objects.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_string() } else { format!("{}/{}", self.group, self.version) }
    }

    /// Of some kinds names and labels are all that counts.
    pub fn is_metadata_only(&self) -> bool {
        matches!(self.purpose, Use::Warned | Use::Acted(Kind::Namespace | Kind::Node))
    }

    /// Only these objects.
    fn fields(&self) -> Option<String> {
        match self.purpose {
            Use::Acted(Kind::ConfigMap) => Some(format!("metadata.name={MESH_CONFIG_MAP}")),
            // Pods that have ended have no traffic any more: a cluster of many Jobs is full of them.
            Use::Acted(Kind::Pod) => Some("status.phase!=Succeeded,status.phase!=Failed".to_owned()),
            Use::Acted(_) | Use::Warned => None,
        }
    }

    fn path(&self) -> Request {
        let root = if self.group.is_empty() { "/api" } else { "/apis" };
        let namespace = match self.purpose {
            Use::Acted(Kind::ConfigMap) => format!("/namespaces/{SYSTEM_NAMESPACE}"),
            Use::Acted(_) | Use::Warned => String::new(),
        };
        Request::new(format!("{root}/{}{namespace}/{}", self.api_version(), self.plural))
    }

    /// The request for a page of its objects.
    ///
    /// # Errors
    /// When the parameters contradict each other, which is a mistake of this file.
    pub fn list(&self, page: Option<String>) -> Result<http::Request<Vec<u8>>, kube::Error> {
        let parameters = ListParams {
            field_selector: self.fields(),
            limit: Some(PAGE),
            continue_token: page,
            ..ListParams::default()
        };
        let request = self.path();
        let request = match self.is_metadata_only() {
            true => request.list_metadata(&parameters),
            false => request.list(&parameters),
        };
        request.map_err(kube::Error::BuildRequest)
    }

    /// The request for what changes after `position`; without a position, for everything that is there and then what
    /// changes. The server ends it after `seconds`.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub fn watch(&self, position: Option<&str>, seconds: u32) -> Result<http::Request<Vec<u8>>, kube::Error> {
        let parameters = WatchParams {
            field_selector: self.fields(),
            timeout: Some(seconds),
            bookmarks: true,
            send_initial_events: position.is_none(),
            ..WatchParams::default()
        };
        let request = self.path();
        let version = position.unwrap_or_default();
        let request = match self.is_metadata_only() {
            true => request.watch_metadata(&parameters, version),
            false => request.watch(&parameters, version),
        };
        request.map_err(kube::Error::BuildRequest)
    }
}

/// Kubernetes' own kinds: any API server serves them.
pub fn core() -> Vec<Resource> {
    let own = |group: &str, kind: Kind, plural: &str| Resource {
        group: group.into(),
        version: "v1".into(),
        kind: kind.to_string().into(),
        plural: plural.into(),
        purpose: Use::Acted(kind),
    };
    vec![
        own("", Kind::ConfigMap, "configmaps"),
        own("discovery.k8s.io", Kind::EndpointSlice, "endpointslices"),
        own("", Kind::Namespace, "namespaces"),
        own("", Kind::Node, "nodes"),
        own("", Kind::Pod, "pods"),
        own("", Kind::Service, "services"),
    ]
}

/// The mesh kinds that are acted on, served or not.
pub fn wanted() -> Vec<Id> {
    let id = |group: &str, kind: Kind| Id { group: group.into(), kind: kind.to_string().into() };
    vec![
        id("networking.istio.io", Kind::DestinationRule),
        id("networking.istio.io", Kind::VirtualService),
        id("security.istio.io", Kind::AuthorizationPolicy),
        id("security.istio.io", Kind::PeerAuthentication),
    ]
}

/// Those mesh kinds that an API server serves, each in the version it prefers among those that weft reads.
pub fn served(groups: &APIGroupDiscoveryList) -> Vec<Resource> {
    let mut found: Vec<Resource> = Vec::new();
    for group in &groups.items {
        let Some(name) = group.metadata.as_ref().and_then(|meta| meta.name.as_deref()) else { continue };
        // The server names its preferred version first.
        for version in &group.versions {
            let Some(number) = version.version.as_deref() else { continue };
            for resource in &version.resources {
                let kind = resource.response_kind.as_ref().and_then(|kind| kind.kind.as_deref());
                let (Some(kind), Some(plural)) = (kind, resource.resource.as_deref()) else { continue };
                let purpose = match recognise(name, kind) {
                    Recognised::Acted(kind, versions) if !kind.is_core() && versions.contains(&number) => {
                        Use::Acted(kind)
                    }
                    Recognised::NotEnforced => Use::Warned,
                    Recognised::Acted(..) | Recognised::Ignored => continue,
                };
                let is_watched = ["list", "watch"].iter().all(|verb| resource.verbs.iter().any(|own| own == verb));
                let is_known = found.iter().any(|one| *one.group == *name && *one.kind == *kind);
                let is_one_too_many = purpose == Use::Warned && found.len() >= MAX_WARNED;
                if is_watched && !is_known && !is_one_too_many {
                    found.push(Resource {
                        group: name.into(),
                        version: number.into(),
                        kind: kind.into(),
                        plural: plural.into(),
                        purpose,
                    });
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests;
