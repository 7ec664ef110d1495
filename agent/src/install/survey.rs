//! What of the objects to be applied is there already, and whose it is.

use std::collections::BTreeMap;

use anyhow::bail;
use futures::{StreamExt, TryStreamExt, stream};
use kube::{Client, ResourceExt, api::PartialObjectMeta, core::DynamicObject};

use super::manifests::{Manifest, PART_OF};
use crate::kubernetes::{failure, is_absent};

/// Questions under way at once.
const ASKED_MAX: usize = 8;

/// Foreign objects named in a complaint.
const NAMED_MAX: usize = 4;

/// Metadata of what is there, by title.
#[derive(Debug, Default)]
pub(super) struct Survey {
    found: BTreeMap<String, Found>,
}

/// One object that is there.
#[derive(Clone, Debug)]
pub(super) struct Found {
    kind: String,
    pub(super) is_ours: bool,
    pub(super) is_ending: bool,
    pub(super) version: Option<String>,
}

impl Survey {
    /// Asks for every object.
    ///
    /// # Errors
    /// When the server does not say.
    pub(super) async fn of(client: &Client, manifests: &[Manifest]) -> anyhow::Result<Self> {
        let questions = manifests.iter().map(|manifest| async move {
            let found = fetch(client, manifest).await?;
            anyhow::Ok(found.map(|found| (manifest.title(), found)))
        });
        let answers: Vec<_> = stream::iter(questions).buffer_unordered(ASKED_MAX).try_collect().await?;
        Ok(Self { found: answers.into_iter().flatten().collect() })
    }

    /// The object as it was found.
    pub(super) fn found(&self, manifest: &Manifest) -> Option<&Found> {
        self.found.get(&manifest.title())
    }

    /// Titles of objects that are being deleted.
    pub(super) fn ending(&self) -> impl Iterator<Item = &str> {
        self.found.iter().filter(|(_, found)| found.is_ending).map(|(title, _)| title.as_str())
    }

    /// Titles of objects in weft's place that are somebody else's.
    pub(super) fn foreign(&self) -> impl Iterator<Item = &str> {
        let foreign = self.found.iter().filter(|(_, found)| !found.is_ours && !found.may_be_shared());
        foreign.map(|(title, _)| title.as_str())
    }

    /// Istio's own control plane has the same names: two cannot be in one namespace.
    ///
    /// # Errors
    /// When there is something that weft would have to take from its owner.
    pub(super) fn refuse_foreign(&self, force: bool) -> anyhow::Result<()> {
        let foreign: Vec<&str> = self.foreign().collect();
        if foreign.is_empty() || force {
            return Ok(());
        }
        let named = foreign.iter().take(NAMED_MAX).copied().collect::<Vec<_>>().join(", ");
        let more = foreign.len().saturating_sub(NAMED_MAX);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        bail!(
            "{named}{more}: there already, and not weft's (no label {}={}). Is Istio installed here? Remove it first \
             (`istioctl uninstall --purge`), or let weft take these over with --force",
            PART_OF.0,
            PART_OF.1
        )
    }
}

impl Found {
    /// A namespace may have been made by anyone, Istio's CRDs serve weft as they are, and settings of the mesh are
    /// whoever's who wrote them.
    pub(super) fn may_be_shared(&self) -> bool {
        matches!(&*self.kind, "Namespace" | "CustomResourceDefinition" | "ConfigMap")
    }
}

async fn fetch(client: &Client, manifest: &Manifest) -> anyhow::Result<Option<Found>> {
    let found: PartialObjectMeta<DynamicObject> = match manifest.api(client.clone()).get_metadata(manifest.name()).await
    {
        Ok(found) => found,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => bail!("asking for {}: {}", manifest.title(), failure(&error)),
    };
    Ok(Some(Found {
        kind: manifest.kind().to_owned(),
        is_ours: found.labels().get(PART_OF.0).is_some_and(|value| value == PART_OF.1),
        is_ending: found.metadata.deletion_timestamp.is_some(),
        version: found.resource_version(),
    }))
}
