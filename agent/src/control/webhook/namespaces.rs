//! The labels of a pod's namespace, on which it depends whether the pod will be in the mesh.
//!
//! Asked for at each pod: a namespace is often labelled a moment before its first pods, and what a watch shows may be
//! older than that.

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};
use weft_model::workload::Labels;

/// Who knows them.
#[async_trait]
pub trait Namespaces: Send + Sync {
    /// The labels; none when there is no such namespace.
    ///
    /// # Errors
    /// When it cannot be found out.
    async fn labels(&self, name: &str) -> Result<Labels, NamespaceError>;
}

/// Why they are not known.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the labels of namespace {name}: {source}; control needs the right to get namespaces")]
pub struct NamespaceError {
    /// The namespace.
    pub name: String,
    /// Cause.
    pub source: Box<kube::Error>,
}

/// Those of an API server.
pub struct ApiNamespaces(pub Client);

#[async_trait]
impl Namespaces for ApiNamespaces {
    async fn labels(&self, name: &str) -> Result<Labels, NamespaceError> {
        let found = Api::<Namespace>::all(self.0.clone()).get_metadata_opt(name).await;
        let found = found.map_err(|error| NamespaceError { name: name.to_owned(), source: Box::new(error) })?;
        let labels = found.and_then(|namespace| namespace.metadata.labels).unwrap_or_default();
        Ok(labels.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect())
    }
}
