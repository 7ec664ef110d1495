//! Deleting, and waiting until it is done.

use std::time::Duration;

use anyhow::bail;
use kube::{
    Api, Client,
    api::{DeleteParams, Preconditions},
    core::DynamicObject,
};
use tokio::time::Instant;

use super::{gone, some};
use crate::{
    install::{
        manifests::Manifest,
        progress::{Progress, State},
    },
    kubernetes::{failure, is_absent, is_passing},
};

/// How often the server is asked whether something is gone.
const POLL: Duration = Duration::from_millis(500);

/// Deletes for one removal.
pub(super) struct Deleter<'a> {
    pub(super) client: &'a Client,
    pub(super) deadline: Instant,
}

impl Deleter<'_> {
    /// Deletes what belongs to a part, with everything that was made for it, and waits until it is gone.
    ///
    /// # Errors
    /// What the server refuses, or what does not go in time.
    pub(super) async fn all(
        &self,
        part: &'static str,
        manifests: &[&Manifest],
        progress: &mut Progress,
    ) -> anyhow::Result<()> {
        if manifests.is_empty() {
            return Ok(());
        }
        progress.set(part, State::Waiting, "deleting", &[])?;
        let mut titles = std::collections::BTreeSet::new();
        for manifest in manifests.iter().rev() {
            self.one(&manifest.api(self.client.clone()), manifest.name(), &manifest.title()).await?;
            titles.insert(manifest.title());
        }
        for manifest in manifests {
            let api = manifest.api(self.client.clone());
            self.until_gone(&api, manifest.name(), &manifest.title(), part, progress).await?;
        }
        gone(progress, part, format!("removed {}", some(&titles)))
    }

    /// Deletes one object. What is not there any more is as good.
    ///
    /// # Errors
    /// What the server refuses.
    pub(super) async fn one(&self, api: &Api<DynamicObject>, name: &str, title: &str) -> anyhow::Result<()> {
        // In the foreground: it is gone when what it owns (pods) is.
        let owns_pods = title.starts_with("DaemonSet ") || title.starts_with("Deployment ");
        let params = if owns_pods { DeleteParams::foreground() } else { DeleteParams::background() };
        self.delete(api, name, title, &params).await
    }

    /// Deletes an object if it is still that one.
    ///
    /// # Errors
    /// What the server refuses.
    pub(super) async fn exactly(
        &self,
        api: &Api<DynamicObject>,
        name: &str,
        title: &str,
        uid: Option<String>,
    ) -> anyhow::Result<()> {
        let params = DeleteParams::background().preconditions(Preconditions { uid, resource_version: None });
        self.delete(api, name, title, &params).await
    }

    async fn delete(
        &self,
        api: &Api<DynamicObject>,
        name: &str,
        title: &str,
        params: &DeleteParams,
    ) -> anyhow::Result<()> {
        loop {
            match api.delete(name, params).await {
                Ok(_) => return Ok(()),
                Err(error) if is_absent(&error) => return Ok(()),
                Err(error) if is_passing(&error) && Instant::now() < self.deadline => tokio::time::sleep(POLL).await,
                Err(error) => bail!("cannot delete {title}: {}", failure(&error)),
            }
        }
    }

    /// Waits until it is gone.
    ///
    /// # Errors
    /// When it is not in time.
    pub(super) async fn until_gone(
        &self,
        api: &Api<DynamicObject>,
        name: &str,
        title: &str,
        part: &'static str,
        progress: &mut Progress,
    ) -> anyhow::Result<()> {
        loop {
            let finalizers = match api.get_metadata(name).await {
                Err(error) if is_absent(&error) => return Ok(()),
                Err(error) if is_passing(&error) => format!("({})", failure(&error)),
                Err(error) => bail!("asking for {title}: {}", failure(&error)),
                Ok(there) => there.metadata.finalizers.unwrap_or_default().join(", "),
            };
            progress.set(part, State::Waiting, format!("waiting for {title} to be gone"), &[])?;
            if Instant::now() >= self.deadline {
                bail!("{title} is not gone in time, it waits for {finalizers}; run `weft uninstall` again to go on");
            }
            tokio::time::sleep(POLL).await;
        }
    }
}
