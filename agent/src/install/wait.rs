//! Waiting, with a deadline, a line that says for what, and the reasons when it takes long.

use std::time::Duration;

use anyhow::bail;
use k8s_openapi::{
    api::core::v1::Node, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{Api, Client, api::ListParams};
use tokio::time::Instant;

use super::{
    manifests::{Manifest, Part},
    progress::{Progress, State},
    rollout::{self, Rollout},
    survey::Survey,
};
use crate::kubernetes::{failure, is_passing};

/// How often the server is asked.
const POLL: Duration = Duration::from_secs(1);

/// How often it is asked for CRDs, which are served within a second.
const QUICK_POLL: Duration = Duration::from_millis(300);

/// Has the cluster any node? Without one nothing can start, and there is nothing to wait for.
///
/// # Errors
/// When the server does not say.
pub(super) async fn has_nodes(client: &Client) -> anyhow::Result<bool> {
    let nodes = Api::<Node>::all(client.clone()).list_metadata(&ListParams::default().limit(1)).await;
    Ok(!nodes.map_err(|error| anyhow::anyhow!("listing nodes: {}", failure(&error)))?.items.is_empty())
}

/// Until what is being deleted is gone: it cannot be applied before.
///
/// # Errors
/// When it is not in time.
pub(super) async fn for_endings(
    client: &Client,
    manifests: &[Manifest],
    survey: &Survey,
    deadline: Instant,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let titles: Vec<String> = survey.ending().map(str::to_owned).collect();
    let Some(first) = titles.first() else { return Ok(()) };
    let ending: Vec<Manifest> = manifests.iter().filter(|one| titles.contains(&one.title())).cloned().collect();
    loop {
        let now = Survey::of(client, &ending).await?;
        let Some(waiting) = now.ending().next() else { return Ok(()) };
        let text = format!("waiting for {waiting} of before to be gone");
        progress.set(Part::Namespace.name(), State::Waiting, text, &[])?;
        if Instant::now() >= deadline {
            bail!(
                "{first} is still being deleted: `kubectl get` it to see which finalizer holds it, then install again"
            );
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Until the server serves the CRDs.
///
/// # Errors
/// When it does not in time, with its reasons.
pub(super) async fn for_crds(
    client: &Client,
    crds: &[&Manifest],
    deadline: Instant,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let api = Api::<CustomResourceDefinition>::all(client.clone());
    let mut waiting: Vec<&str> = crds.iter().map(|crd| crd.name()).collect();
    while let Some(name) = waiting.last() {
        let crd = match api.get(name).await {
            Ok(crd) => crd,
            Err(error) if is_passing(&error) && Instant::now() < deadline => {
                tokio::time::sleep(POLL).await;
                continue;
            }
            Err(error) => bail!("asking for CRD {name}: {}", failure(&error)),
        };
        let conditions = crd.status.and_then(|status| status.conditions).unwrap_or_default();
        if conditions.iter().any(|condition| condition.type_ == "Established" && condition.status == "True") {
            waiting.pop();
            let served = crds.len() - waiting.len();
            progress.set(Part::Crds.name(), State::Waiting, format!("{served} of {} served", crds.len()), &[])?;
            continue;
        }
        if Instant::now() >= deadline {
            let why = conditions.iter().find(|one| one.status == "False").and_then(|one| one.message.clone());
            bail!("CRD {name} is not served: {}", why.unwrap_or_else(|| "the server gives no reason".to_owned()));
        }
        tokio::time::sleep(QUICK_POLL).await;
    }
    Ok(())
}

/// Until the Deployments and DaemonSets among the manifests are ready, wherever they can be.
///
/// # Errors
/// When they are not in time, with the reasons.
pub(super) async fn for_rollouts(
    client: &Client,
    manifests: &[&Manifest],
    deadline: Instant,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    for manifest in manifests {
        let namespace = manifest.namespace().unwrap_or_default();
        loop {
            let now = match manifest.kind() {
                "Deployment" => rollout::deployment(client, namespace, manifest.name()).await,
                "DaemonSet" => rollout::daemon_set(client, namespace, manifest.name()).await,
                _ => break,
            };
            let (text, reasons) = match now {
                Ok(Some(now)) if now.is_done() => {
                    progress.set(manifest.part.name(), State::Done, words(manifest, &now), &now.reasons)?;
                    break;
                }
                Ok(Some(now)) => (words(manifest, &now), now.reasons),
                Ok(None) => (format!("{} is gone", manifest.title()), Vec::new()),
                // The server may be away for a while: it is asked again until the deadline.
                Err(error) => (format!("{error:#}"), Vec::new()),
            };
            progress.set(manifest.part.name(), State::Waiting, &text, &reasons)?;
            if Instant::now() >= deadline {
                progress.set(manifest.part.name(), State::Failed, &text, &reasons)?;
                bail!(
                    "{}: {text}; what was applied stays: correct what holds it up and run `weft install` again, it goes \
                     on from there",
                    manifest.title()
                );
            }
            tokio::time::sleep(POLL).await;
        }
    }
    Ok(())
}

fn words(manifest: &Manifest, now: &Rollout) -> String {
    let Rollout { wanted, ready, .. } = now;
    match (now.is_observed, manifest.kind()) {
        (false, _) => "the controller manager has not looked at it yet".to_owned(),
        (true, "DaemonSet") => format!("ready on {ready} of {wanted} nodes"),
        (true, _) => format!("{ready} of {wanted} replicas available"),
    }
}
