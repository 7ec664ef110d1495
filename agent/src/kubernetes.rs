//! The API server: how to reach it, and the names that weft's parts agree on.
//!
//! Discovery, control, installer and command line all ask here for a client, so that a kubeconfig means the same
//! everywhere and an unreachable server is explained once. What is read from it is theirs.

pub mod conditions;
mod failure;
mod multiplexed;

use std::path::PathBuf;

pub use failure::{failure, is_absent, is_passing};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};

/// Namespace of weft's own objects, and Istio's root namespace: tools look for a control plane there.
pub const SYSTEM_NAMESPACE: &str = "istio-system";

/// ConfigMap with the mesh's settings (key `mesh`) in [`SYSTEM_NAMESPACE`].
pub const MESH_CONFIG_MAP: &str = "istio";

/// Who weft is in `metadata.managedFields`.
pub const FIELD_MANAGER: &str = "weft";

/// The kubelet's name for a pod. It knows a static pod by another uid than the pod's mirror object has, which says so.
pub fn kubelet_uid(pod: &Pod) -> Option<&str> {
    let annotations = pod.metadata.annotations.as_ref();
    let of_static_pod = annotations.and_then(|all| all.get("kubernetes.io/config.mirror"));
    of_static_pod.or(pod.metadata.uid.as_ref()).map(String::as_str)
}

/// Where the API server is found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiServer {
    /// A kubeconfig; without one `KUBECONFIG`, then `~/.kube/config`, then the service account of the pod.
    pub kubeconfig: Option<PathBuf>,
    /// Context in it; without one its current context.
    pub context: Option<String>,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The named file cannot be used.
    #[error("kubeconfig {path}: {source}; name another with --kubeconfig", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: Box<KubeconfigError>,
    },
    /// Nothing says where the API server is.
    #[error("no API server is known: {0}; give --kubeconfig, set KUBECONFIG, or run in a pod with a service account")]
    Nowhere(Box<kube::config::InferConfigError>),
    /// What was found is no usable configuration.
    #[error("cannot make a client for the API server: {0}")]
    Client(Box<kube::Error>),
}

impl ApiServer {
    /// A client; nothing is asked of the server yet.
    ///
    /// # Errors
    /// When no usable configuration is found.
    pub async fn client(&self) -> Result<Client, ConnectError> {
        Client::try_from(self.config().await?).map_err(|error| ConnectError::Client(Box::new(error)))
    }

    /// A client for watches: all of them share one connection (HTTP/2), which is given up when nobody answers on it any
    /// more. That of [`Self::client`] needs one for each watch, and waits for ever; through a proxy it has to do.
    ///
    /// # Errors
    /// When no usable configuration is found.
    pub async fn watching_client(&self) -> Result<Client, ConnectError> {
        let config = self.config().await?;
        if config.proxy_url.is_some() {
            return self.client().await;
        }
        multiplexed::client(&config).map_err(|error| ConnectError::Client(Box::new(error)))
    }

    async fn config(&self) -> Result<Config, ConnectError> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let Some(path) = &self.kubeconfig else {
            if self.context.is_none() {
                return Config::infer().await.map_err(|error| ConnectError::Nowhere(Box::new(error)));
            }
            let failed = |source| ConnectError::File { path: "KUBECONFIG".into(), source: Box::new(source) };
            return Config::from_kubeconfig(&options).await.map_err(failed);
        };
        let failed = |source| ConnectError::File { path: path.clone(), source: Box::new(source) };
        let kubeconfig = Kubeconfig::read_from(path).map_err(failed)?;
        Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(failed)
    }
}
