//! Leaving the nodes: agents release their pods, then everything of weft's on the node goes.
//!
//! An agent that ends usually leaves its pods captured, so that they are refused and not unprotected until the next
//! agent comes. Therefore a pod on each node first notes that the next end is for good (`weft cleanup --announce`); then
//! the agents end, and release; then a second pod removes what they left (`weft cleanup --all`). The nodes' other pods
//! notice nothing: their open connections end in the agent's draining, new ones go past it.

use std::time::Duration;

use anyhow::{Context, bail};
use k8s_openapi::api::apps::v1::DaemonSet;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::time::Instant;

use super::delete::Deleter;
use crate::{
    install::{
        AGENTS,
        manifests::{Manifest, Part, documents},
        options::{CNI_BIN, CNI_CONF, Options, move_folder},
        progress::{Progress, State},
        rollout,
    },
    kubernetes::{FIELD_MANAGER, SYSTEM_NAMESPACE, failure, is_absent},
};

const NODES: &str = include_str!("nodes.yaml");

/// The two rounds: name of the DaemonSet, what its pods do, and how progress calls it.
const ANNOUNCE: (&str, &str, &str) = ("weft-release", "--announce", "told");
const CLEAN: (&str, &str, &str) = ("weft-cleanup", "--all", "clean");

const PART: &str = "nodes";
const POLL: Duration = Duration::from_secs(1);

/// Removes agents and what they left. Returns what could not be done on nodes that are down.
///
/// # Errors
/// When a node that is up is not clean in time, with the reasons.
pub(super) async fn clean(
    deleter: &Deleter<'_>,
    agents: &[&Manifest],
    progress: &mut Progress,
) -> anyhow::Result<Vec<String>> {
    let installed = installed(deleter).await?;
    let rounds = [ANNOUNCE, CLEAN].map(|(name, work, _)| round(name, work, installed.as_ref()));
    let [announce, clean] = rounds;
    let (announce, clean) = (announce?, clean?);
    // Nothing to announce when the agents are gone already: an uninstallation that was interrupted goes on.
    if installed.is_some() {
        run(deleter, &announce, ANNOUNCE.2, progress).await?;
        deleter.all("agents", agents, progress).await?;
    }
    // Before the cleaning: its pods write what that is to remove.
    remove(deleter, &announce, progress).await?;
    let dead = run(deleter, &clean, CLEAN.2, progress).await?;
    remove(deleter, &clean, progress).await?;
    super::gone(progress, PART, "agents, capture, CNI plugin and folders removed")?;
    Ok(dead.map(|dead| format!("{dead}: run `weft cleanup --all` there when it is back")).into_iter().collect())
}

async fn remove(deleter: &Deleter<'_>, round: &Manifest, progress: &mut Progress) -> anyhow::Result<()> {
    let api = round.api(deleter.client.clone());
    deleter.one(&api, round.name(), &round.title()).await?;
    deleter.until_gone(&api, round.name(), &round.title(), PART, progress).await
}

/// The agents' DaemonSet as it is installed: images and folders are taken from there.
async fn installed(deleter: &Deleter<'_>) -> anyhow::Result<Option<DaemonSet>> {
    let api = Api::<DaemonSet>::namespaced(deleter.client.clone(), SYSTEM_NAMESPACE);
    let found = api.get_opt(AGENTS).await.map_err(|error| anyhow::anyhow!("{}", failure(&error)));
    found.context("asking for the agents' DaemonSet")
}

/// The DaemonSet of a round.
pub(super) fn round(name: &str, work: &str, installed: Option<&DaemonSet>) -> anyhow::Result<Manifest> {
    let text = NODES.replace("NAME", name).replace("WORK", work);
    let object = documents(&text)?.into_iter().next().context("nodes.yaml is empty")?;
    let mut manifest = Manifest { part: Part::Agents, object };
    let pod = manifest.object.pointer_mut("/spec/template/spec").context("nodes.yaml has no pod template")?;
    let template = installed.and_then(|agents| agents.spec.as_ref()?.template.spec.clone()).unwrap_or_default();
    let agent = template.containers.into_iter().next();
    let image = agent.as_ref().and_then(|agent| agent.image.clone());
    let container = &mut pod["initContainers"][0];
    container["image"] = image.unwrap_or_else(|| Options::default().image()).into();
    if let Some(policy) = agent.and_then(|agent| agent.image_pull_policy) {
        container["imagePullPolicy"] = policy.into();
    }
    if let Some(secrets) = &template.image_pull_secrets {
        pod["imagePullSecrets"] = serde_json::to_value(secrets)?;
    }
    for place in [CNI_CONF, CNI_BIN] {
        let theirs = template.volumes.iter().flatten().find(|theirs| theirs.name == place.0);
        if let Some(folder) = theirs.and_then(|theirs| theirs.host_path.as_ref()) {
            move_folder(pod, place, &folder.path);
        }
    }
    let mut stay = pod["initContainers"][0].clone();
    stay["name"] = "stay".into();
    stay["args"] = json!([work, "--stay"]);
    pod["containers"] = json!([stay]);
    Ok(manifest)
}

/// Runs a round on every node that is up. Returns what is to be said about the others.
async fn run(
    deleter: &Deleter<'_>,
    manifest: &Manifest,
    done: &str,
    progress: &mut Progress,
) -> anyhow::Result<Option<String>> {
    let api = manifest.api(deleter.client.clone());
    let params = PatchParams::apply(FIELD_MANAGER).force();
    match api.patch(manifest.name(), &params, &Patch::Apply(&manifest.object)).await {
        Ok(_) => {}
        // The namespace is gone, and whatever ran in it: nobody is left to be told, and nowhere to run.
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => bail!("cannot apply {}: {}", manifest.title(), failure(&error)),
    }
    loop {
        let now = rollout::daemon_set(deleter.client, SYSTEM_NAMESPACE, manifest.name()).await?.unwrap_or_default();
        let text = match now.is_observed {
            true => format!("{} of {} {done}", now.ready, now.wanted),
            false => format!("pod {} starts on each", manifest.name()),
        };
        if now.is_done() {
            progress.set(PART, State::Waiting, text, &now.reasons)?;
            return Ok((!now.reasons.is_empty()).then(|| now.reasons.join("; ")));
        }
        progress.set(PART, State::Waiting, &text, &now.reasons)?;
        if Instant::now() >= deleter.deadline {
            progress.set(PART, State::Failed, &text, &now.reasons)?;
            bail!(
                "nodes: {text}; run `weft uninstall` again to go on, or with --skip-nodes and `weft cleanup --all` on the \
                 nodes themselves"
            );
        }
        tokio::time::sleep(POLL).await;
    }
}
