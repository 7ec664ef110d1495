//! Applying one object, server-side: what others have added to it stays theirs.

use std::time::Duration;

use anyhow::bail;
use kube::{
    Client, ResourceExt,
    api::{Patch, PatchParams, ValidationDirective},
    core::{DynamicObject, Status},
};
use serde_json::Value;

use super::{
    manifests::{Manifest, PART_OF, Part},
    survey::Survey,
};
use crate::kubernetes::{FIELD_MANAGER, MESH_CONFIG_MAP, failure, is_passing};

/// Attempts while the server is away or busy.
const ATTEMPTS_MAX: u32 = 5;

/// Wait between them.
const PAUSE: Duration = Duration::from_secs(2);

/// What became of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It is new, or another than before.
    Made,
    /// It was like that already.
    None,
    /// Something was left as it was, and this is to be said about it.
    Kept(String),
}

/// Applies an object, unless it is one that stays as it was found.
///
/// # Errors
/// What the server refuses, with who has what is fought over.
pub(super) async fn apply(
    client: &Client,
    manifest: &Manifest,
    survey: &Survey,
    force: bool,
) -> anyhow::Result<Change> {
    let found = survey.found(manifest).filter(|found| !found.is_ending);
    let is_foreign = found.is_some_and(|found| !found.is_ours) && !force;
    let mut manifest = manifest.clone();
    let mut kept = None;
    if is_foreign && manifest.part == Part::Crds {
        return Ok(Change::Kept(format!("{} is not weft's and stays as it is (--force replaces it)", manifest.name())));
    }
    if is_foreign {
        // Whose it was it stays: `weft uninstall` is to leave it.
        remove_label(&mut manifest.object);
    }
    if manifest.part == Part::MeshConfig && manifest.name() == MESH_CONFIG_MAP && found.is_some() {
        kept = keep_settings(client, &mut manifest).await?;
    }
    let applied = patch(client, &manifest, force).await?;
    let is_same = found.is_some_and(|found| found.version == applied.resource_version());
    Ok(match kept {
        Some(kept) => Change::Kept(kept),
        None if is_same => Change::None,
        None => Change::Made,
    })
}

async fn patch(client: &Client, manifest: &Manifest, force: bool) -> anyhow::Result<DynamicObject> {
    let mut params = PatchParams::apply(FIELD_MANAGER);
    params.force = force;
    params.field_validation = Some(ValidationDirective::Strict);
    let api = manifest.api(client.clone());
    let mut attempt = 1;
    loop {
        match api.patch(manifest.name(), &params, &Patch::Apply(&manifest.object)).await {
            Ok(applied) => return Ok(applied),
            Err(error) if is_passing(&error) && attempt < ATTEMPTS_MAX => {
                attempt += 1;
                tokio::time::sleep(PAUSE).await;
            }
            Err(kube::Error::Api(status)) if status.is_conflict() => bail!("{}", conflict(manifest, &status)),
            Err(error) => bail!("cannot apply {}: {}", manifest.title(), failure(&error)),
        }
    }
}

/// Who has which field.
fn conflict(manifest: &Manifest, status: &Status) -> String {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let fields: Vec<String> = causes.map(|cause| format!("{} ({})", cause.field, cause.message)).collect();
    let fields = if fields.is_empty() { status.message.clone() } else { fields.join(", ") };
    format!("{}: others have set {fields}; undo that, or let weft have its way with --force", manifest.title())
}

/// Settings that are there stay; keys that are missing come. Says what stays when it is another than ours.
async fn keep_settings(client: &Client, manifest: &mut Manifest) -> anyhow::Result<Option<String>> {
    let api = manifest.api(client.clone());
    let there = api.get(manifest.name()).await;
    let there = there.map_err(|error| anyhow::anyhow!("cannot read {}: {}", manifest.title(), failure(&error)))?;
    let mut other = Vec::new();
    let theirs = there.data.get("data").and_then(Value::as_object);
    let ours = manifest.object.get_mut("data").and_then(Value::as_object_mut);
    for (key, value) in ours.into_iter().flatten() {
        if let Some(theirs) = theirs.and_then(|theirs| theirs.get(key)).filter(|theirs| *theirs != value) {
            *value = theirs.clone();
            other.push(key.clone());
        }
    }
    let kept = (!other.is_empty()).then(|| format!("key {} was edited and stays as it is", other.join(", ")));
    Ok(kept)
}

fn remove_label(object: &mut Value) {
    if let Some(labels) = object.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(PART_OF.0);
    }
}
