//! `weft uninstall`: takes weft off a cluster, so that the cluster is as it was and no connection breaks on the way.
//!
//! Webhooks go first, or they would stand in the way of everything that follows. Then the nodes: agents are told that
//! this end is for good ([`nodes`]), which makes them release their pods instead of leaving them refused. What the
//! control plane wrote goes after it ([`written`], [`marks`]), CRDs only when nobody uses them ([`crds`]), the namespace only when
//! nothing is left in it ([`namespace`]).

mod crds;
mod delete;
mod marks;
mod namespace;
mod nodes;
mod written;

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, time::Duration};

use kube::Client;
use tokio::time::Instant;

use self::delete::Deleter;
use super::{
    manifests::{Manifest, Part, manifests},
    options::Options,
    progress::{Progress, State},
    survey::Survey,
};
use crate::kubernetes::SYSTEM_NAMESPACE;

/// What to remove, and what not.
#[derive(Clone, Debug)]
pub struct Removal {
    /// Keep the certificate authority's keys: a later installation has the same root.
    pub keep_ca: bool,
    /// Remove the CRDs even when objects of theirs exist, which go with them.
    pub purge: bool,
    /// Leave the nodes as they are.
    pub skip_nodes: bool,
    /// How long it may take, in all.
    pub timeout: Duration,
}

/// What stays, and has to be known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remains {
    /// What was to go and could not, each with the next step.
    pub undone: Vec<String>,
    /// What stays on purpose.
    pub kept: Vec<String>,
}

/// Removes weft. May be interrupted and run again at any time.
///
/// # Errors
/// What the server refuses, or what does not go in time, each with the next step.
pub async fn uninstall(client: &Client, removal: &Removal, progress: &mut Progress) -> anyhow::Result<Remains> {
    uninstall_these(client, removal, &manifests(&Options::default())?, progress).await
}

async fn uninstall_these(
    client: &Client,
    removal: &Removal,
    manifests: &[Manifest],
    progress: &mut Progress,
) -> anyhow::Result<Remains> {
    let deadline = Instant::now() + removal.timeout;
    super::server_version(client).await?;
    let survey = Survey::of(client, manifests).await?;
    let ours: Vec<&Manifest> =
        manifests.iter().filter(|one| survey.found(one).is_some_and(|found| found.is_ours)).collect();
    let mut remains = Remains::default();
    if ours.is_empty() {
        progress.say("nothing of weft's is installed here")?;
        return Ok(remains);
    }
    let deleter = Deleter { client, deadline };
    let of = |part: Part| ours.iter().copied().filter(|one| one.part == part).collect::<Vec<_>>();
    deleter.all("webhooks", &of(Part::Webhooks), progress).await?;
    let (agents, access): (Vec<_>, Vec<_>) = of(Part::Agents).into_iter().partition(|one| one.kind() == "DaemonSet");
    if removal.skip_nodes {
        remains.undone.push("nodes were skipped: run `weft cleanup --all` on each".to_owned());
        deleter.all("agents", &agents, progress).await?;
    } else {
        remains.undone.extend(nodes::clean(&deleter, &agents, progress).await?);
    }
    deleter.all("control", &of(Part::Control), progress).await?;
    written::remove(&deleter, removal.keep_ca, &mut remains, progress).await?;
    marks::remove(&deleter, &mut remains, progress).await?;
    deleter.all("settings", &[of(Part::MeshConfig), access].concat(), progress).await?;
    crds::remove(&deleter, &of(Part::Crds), removal.purge, &mut remains, progress).await?;
    if of(Part::Namespace).is_empty() {
        remains.kept.push(format!("namespace {SYSTEM_NAMESPACE}, which was there before weft"));
    } else {
        namespace::remove(&deleter, &of(Part::Namespace), &mut remains, progress).await?;
    }
    Ok(remains)
}

/// Says that a part is gone.
fn gone(progress: &mut Progress, part: &'static str, text: impl Into<String>) -> anyhow::Result<()> {
    Ok(progress.set(part, State::Done, text, &[])?)
}

/// Names in one line, the first few of them.
fn some(names: &BTreeSet<String>) -> String {
    const SHOWN_MAX: usize = 5;
    let shown = names.iter().take(SHOWN_MAX).cloned().collect::<Vec<_>>().join(", ");
    let more = names.len().saturating_sub(SHOWN_MAX);
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}
