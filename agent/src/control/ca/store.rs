//! The authority's Secrets at the API server: made once, followed, replaced only as they were read.

use std::time::SystemTime;

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    api::PostParams,
    runtime::{WatchStreamExt, watcher},
};

use super::state::{CaState, OWN_SECRET, PLUGGED_IN_SECRET};
use crate::{
    control::backoff::WatchBackoff,
    identity::{SignerError, material::NewRoot},
    kubernetes::{FIELD_MANAGER, SYSTEM_NAMESPACE},
};

/// Access to the Secrets.
#[derive(Clone)]
pub struct Store {
    secrets: Api<Secret>,
}

/// Why a Secret was not made or replaced.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The API server.
    #[error("Secret {SYSTEM_NAMESPACE}/{OWN_SECRET}: {0}")]
    Api(#[source] Box<kube::Error>),
    /// Another replica was first; what it wrote will be seen by the watch.
    #[error("Secret {SYSTEM_NAMESPACE}/{OWN_SECRET} was changed by another in the meantime")]
    Overtaken,
    /// There is no randomness.
    #[error("no new root")]
    Root(#[from] SignerError),
}

impl From<kube::Error> for StoreError {
    fn from(error: kube::Error) -> Self {
        match &error {
            kube::Error::Api(status) if status.is_already_exists() || status.is_conflict() => Self::Overtaken,
            _ => Self::Api(Box::new(error)),
        }
    }
}

impl Store {
    /// The Secrets in weft's namespace.
    pub fn new(client: Client) -> Self {
        Self { secrets: Api::namespaced(client, SYSTEM_NAMESPACE) }
    }

    /// Makes a root for the mesh of `trust_domain`, unless there is one by now.
    ///
    /// # Errors
    /// [`StoreError::Overtaken`] when another replica was first, and what the API server says.
    pub async fn create(&self, trust_domain: &str) -> Result<(), StoreError> {
        let root = NewRoot::generate(trust_domain, SystemTime::now())?;
        self.secrets.create(&parameters(), &CaState::create(SYSTEM_NAMESPACE, root)).await?;
        Ok(())
    }

    /// The Secret as it is now; `None` when there is none.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn own(&self) -> Result<Option<Secret>, StoreError> {
        Ok(self.secrets.get_opt(OWN_SECRET).await?)
    }

    /// The Secret with the operator's material as it is now; `None` when there is none.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn plugged_in(&self) -> Result<Option<Secret>, StoreError> {
        Ok(self.secrets.get_opt(PLUGGED_IN_SECRET).await?)
    }

    /// Writes `state`, if the Secret is still the one that it was read from.
    ///
    /// # Errors
    /// [`StoreError::Overtaken`] when it is not, and what the API server says.
    pub async fn replace(&self, state: &CaState) -> Result<(), StoreError> {
        // The resource version in it makes the API server compare.
        self.secrets.replace(OWN_SECRET, &parameters(), state.secret()).await?;
        Ok(())
    }

    /// Follows the Secret `name`: what it is now, and again with each change; `None` while there is none.
    pub fn follow(&self, name: &'static str) -> impl Stream<Item = Option<Secret>> + Send + use<> {
        let watch = watcher::watch_object(self.secrets.clone(), name).backoff(WatchBackoff::default());
        watch.filter_map(move |seen| async move {
            seen.inspect_err(|error| tracing::warn!(secret = name, %error, "cannot follow the Secret now")).ok()
        })
    }
}

fn parameters() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}
