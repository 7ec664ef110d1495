//! `weft install` and `weft uninstall`: weft's objects on a cluster, and off it again.
//!
//! Owns the manifests ([`manifests`], built in from `deploy/kustomize`), the order in which they are applied, the waiting,
//! and what is left and what is not when weft goes. `cli` calls it; what the objects do when they run is the others'.

mod apply;
pub mod manifests;
pub mod options;
pub mod progress;
pub mod rollout;
mod survey;
pub mod uninstall;
mod wait;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

use std::time::Duration;

use anyhow::{Context, bail};
use kube::Client;
use tokio::time::Instant;

use self::{
    apply::Change,
    manifests::{Manifest, Part},
    options::Options,
    progress::{Progress, State},
    survey::Survey,
};
use crate::kubernetes::{SYSTEM_NAMESPACE, failure};

/// How long the API server may take to say that it is there.
const GREETING: Duration = Duration::from_secs(15);

/// Oldest API server: `maxSurge` of DaemonSets is there since 1.25, the field `appArmorProfile` since 1.30.
pub const OLDEST_SERVER: (u32, u32) = (1, 30);

/// How to install.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What may be chosen about the objects.
    pub options: Options,
    /// Take over objects and fields that belong to somebody else.
    pub force: bool,
    /// Wait until control plane and agents are ready.
    pub wait: bool,
    /// For how long, in all.
    pub timeout: Duration,
}

/// Installs weft, or brings an installation to this version. May be interrupted and run again at any time.
///
/// # Errors
/// What the server refuses, what is in the way, or what is not ready in time, each with the next step.
pub async fn install(client: &Client, setup: &Setup, progress: &mut Progress) -> anyhow::Result<()> {
    install_these(client, setup, &manifests::manifests(&setup.options)?, progress).await
}

async fn install_these(
    client: &Client,
    setup: &Setup,
    manifests: &[Manifest],
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + setup.timeout;
    let version = server_version(client).await?;
    let image = setup.options.image();
    progress.say(&format!("weft {} on Kubernetes {version}, image {image}", env!("CARGO_PKG_VERSION")))?;
    let survey = Survey::of(client, manifests).await?;
    survey.refuse_foreign(setup.force)?;
    wait::for_endings(client, manifests, &survey, deadline, progress).await?;
    let installer = Installer { client, setup, survey: &survey, manifests, deadline };
    for part in [Part::Namespace, Part::Crds, Part::MeshConfig, Part::Control] {
        installer.apply(part, progress).await?;
    }
    let has_nodes = wait::has_nodes(client).await?;
    // Webhooks come when somebody answers them: until then they would only stand in the way of the cluster's pods.
    if setup.wait && has_nodes {
        wait::for_rollouts(client, &installer.of(Part::Control), deadline, progress).await?;
    }
    installer.apply(Part::Webhooks, progress).await?;
    installer.apply(Part::Agents, progress).await?;
    if !has_nodes {
        let text = "the cluster has no nodes: control plane and agents start with the first one";
        return Ok(progress.say(text)?);
    }
    if setup.wait {
        wait::for_rollouts(client, &installer.of(Part::Agents), deadline, progress).await?;
    }
    Ok(())
}

/// One installation under way.
struct Installer<'a> {
    client: &'a Client,
    setup: &'a Setup,
    survey: &'a Survey,
    manifests: &'a [Manifest],
    deadline: Instant,
}

impl Installer<'_> {
    fn of(&self, part: Part) -> Vec<&Manifest> {
        self.manifests.iter().filter(|manifest| manifest.part == part).collect()
    }

    async fn apply(&self, part: Part, progress: &mut Progress) -> anyhow::Result<()> {
        let all = self.of(part);
        let (mut changed, mut kept) = (0, Vec::new());
        for (done, manifest) in all.iter().enumerate() {
            progress.set(part.name(), State::Waiting, format!("{done} of {} applied", all.len()), &[])?;
            match apply::apply(self.client, manifest, self.survey, self.setup.force).await {
                Ok(Change::Made) => changed += 1,
                Ok(Change::None) => {}
                Ok(Change::Kept(what)) => kept.push(what),
                Err(error) => {
                    progress.set(part.name(), State::Failed, manifest.title(), &[])?;
                    return Err(error);
                }
            }
        }
        if part == Part::Crds {
            wait::for_crds(self.client, &all, self.deadline, progress).await?;
        }
        let text = match (all.len(), changed) {
            (0, _) => return Ok(()),
            (1, 0) => format!("{}, unchanged", all[0].title()),
            (1, _) => all[0].title(),
            (count, changed) => format!("{count} objects, {changed} changed"),
        };
        Ok(progress.set(part.name(), State::Done, text, &kept)?)
    }
}

/// Version of the API server, when it is one that weft can live with.
///
/// # Errors
/// When the server does not answer, or is too old.
pub async fn server_version(client: &Client) -> anyhow::Result<String> {
    let asking = tokio::time::timeout(GREETING, client.apiserver_version());
    let info = match asking.await {
        Ok(answer) => answer.map_err(|error| anyhow::anyhow!("{}", failure(&error)))?,
        Err(_elapsed) => bail!("the API server did not answer within {} seconds", GREETING.as_secs()),
    };
    let number = |text: &str| text.trim_end_matches(|c: char| !c.is_ascii_digit()).parse::<u32>().ok();
    if let (Some(major), Some(minor)) = (number(&info.major), number(&info.minor))
        && (major, minor) < OLDEST_SERVER
    {
        let (oldest_major, oldest_minor) = OLDEST_SERVER;
        bail!("Kubernetes {} is too old: weft needs {oldest_major}.{oldest_minor} or later", info.git_version);
    }
    Ok(info.git_version)
}

/// Objects in weft's place that are somebody else's, such as Istio's control plane.
///
/// # Errors
/// When the server cannot be asked.
pub async fn foreign(client: &Client) -> anyhow::Result<Vec<String>> {
    let manifests = manifests::manifests(&Options::default())?;
    Ok(Survey::of(client, &manifests).await?.foreign().map(str::to_owned).collect())
}

/// Image of the agents that are installed.
///
/// # Errors
/// When the server cannot be asked.
pub async fn installed_image(client: &Client) -> anyhow::Result<Option<String>> {
    let agents = kube::Api::<k8s_openapi::api::apps::v1::DaemonSet>::namespaced(client.clone(), SYSTEM_NAMESPACE);
    let found = agents.get_opt(AGENTS).await.map_err(|error| anyhow::anyhow!("{}", failure(&error)));
    let found = found.context("asking for the agents' DaemonSet")?;
    let pod = found.and_then(|agents| agents.spec?.template.spec);
    Ok(pod.and_then(|pod| pod.containers.into_iter().next()?.image))
}

/// The control plane's Deployment, in [`SYSTEM_NAMESPACE`].
pub const CONTROL: &str = "weft-control";

/// The agents' DaemonSet, in [`SYSTEM_NAMESPACE`].
pub const AGENTS: &str = "weft-agent";
