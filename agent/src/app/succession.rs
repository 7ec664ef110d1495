//! Becoming the node's agent: at once when there is none, else when this one can do what the running one does.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use tokio::sync::watch;
use weft_model::{identity::SpiffeId, snapshot::Snapshot, workload::Workload};

use super::Config;
use crate::{
    ebpf::check,
    handover::{Files, Ownership, Predecessor},
    identity::Identities,
};

/// How often an agent that waits looks whether it can have the node.
const LOOK: Duration = Duration::from_millis(200);

/// How long pods are waited for whose namespaces nobody finds: the running agent may not know them, either.
const PLACES: Duration = Duration::from_secs(30);

/// How often it says why it waits.
const SAY: Duration = Duration::from_secs(10);

/// The node, when nobody has it.
///
/// # Errors
/// When another agent has it and is not to be taken over from.
pub(super) fn claim(config: &Config, files: &Files) -> anyhow::Result<Option<Ownership>> {
    let lock = files.lock.display();
    let ownership = Ownership::claim(&files.lock).with_context(|| format!("cannot use {lock}"))?;
    if ownership.is_none() && !config.takeover {
        bail!(
            "another agent of node {} is running ({lock} is locked): end it first, give this one another --node or \
             --state-dir, or let it take the node over with --takeover",
            config.node
        );
    }
    Ok(ownership)
}

/// Waits until this agent has the node. With it, the agent that had it before, if that one still runs.
///
/// # Errors
/// When the kernel refuses this agent's programs: then the other one keeps the node.
pub(super) async fn own(
    config: &Config,
    files: &Files,
    snapshot: &watch::Receiver<Arc<Snapshot>>,
    wanted: &watch::Sender<BTreeSet<SpiffeId>>,
    identities: &Identities,
) -> anyhow::Result<(Ownership, Option<Predecessor>)> {
    tracing::info!("another agent has this node; taking it over when everything is ready here");
    // What the kernel would refuse is known before anybody is disturbed.
    tokio::task::spawn_blocking(rehearse).await??;
    let started = tokio::time::Instant::now();
    let mut said: Option<tokio::time::Instant> = None;
    loop {
        let now = snapshot.borrow().clone();
        let reason = if let Some(missing) = without_certificate(config, &now, wanted, identities) {
            missing
        } else if let Some(missing) = without_place(config, &now).filter(|_| started.elapsed() < PLACES) {
            missing
        } else {
            match ask(files).await? {
                Ok(Some((ownership, predecessor))) => return Ok((ownership, Some(predecessor))),
                Ok(None) => "the running agent is starting or ending".to_owned(),
                Err(error) => format!("the running agent does not let go: {error}"),
            }
        };
        if let Some(ownership) = claim(config, files)? {
            return Ok((ownership, None));
        }
        if said.is_none_or(|said| said.elapsed() >= SAY) {
            tracing::info!(reason, "waiting for this node");
            said = Some(tokio::time::Instant::now());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Asking blocks for as long as the other agent is busy.
async fn ask(files: &Files) -> anyhow::Result<std::io::Result<Option<(Ownership, Predecessor)>>> {
    let files = files.clone();
    Ok(tokio::task::spawn_blocking(move || Predecessor::ask(&files.desk, &files.lock)).await?)
}

/// How many of this node's identities have no certificate, if any. They are asked for here: the manager does not run
/// yet.
fn without_certificate(
    config: &Config,
    snapshot: &Snapshot,
    wanted: &watch::Sender<BTreeSet<SpiffeId>>,
    identities: &Identities,
) -> Option<String> {
    let here: BTreeSet<SpiffeId> = enrolled(config, snapshot).map(|workload| workload.identity.clone()).collect();
    let issued: BTreeSet<SpiffeId> =
        identities.status().into_iter().filter(|status| status.life.is_some()).map(|status| status.id).collect();
    let missing = here.difference(&issued).count();
    wanted.send_if_modified(|now| {
        let changed = *now != here;
        *now = here;
        changed
    });
    (missing > 0).then(|| format!("{missing} identities have no certificate yet"))
}

/// How many of this node's enrolled pods have no known namespace, if any.
fn without_place(config: &Config, snapshot: &Snapshot) -> Option<String> {
    let missing = enrolled(config, snapshot).filter(|workload| workload.capture.netns.is_none()).count();
    (missing > 0).then(|| format!("the namespaces of {missing} pods are not known yet"))
}

fn enrolled<'a>(config: &'a Config, snapshot: &'a Snapshot) -> impl Iterator<Item = &'a Arc<Workload>> {
    snapshot.workloads.values().filter(|workload| workload.node == config.node && workload.is_enrolled())
}

fn rehearse() -> anyhow::Result<()> {
    for program in check::probe_load().context("not taking this node over")? {
        if let Err(refused) = program.result {
            bail!("not taking this node over: eBPF program {}: {}", program.name, refused.reason);
        }
    }
    Ok(())
}
