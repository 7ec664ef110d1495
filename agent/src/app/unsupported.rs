//! An agent on a machine that cannot capture: it changes nothing there, answers and reports like any other, and looks
//! whether the machine can by now.

use std::{sync::Arc, time::Duration};

use anyhow::bail;
use tokio::sync::watch;
use weft_model::snapshot::Snapshot;

use super::{Config, World, open_identities, open_telemetry, pods};
use crate::{
    admin::{Admin, Front},
    cni::server::Ability,
    ebpf::{
        kubelet::Recognised,
        machine,
        manager::{CaptureState, KeeperState, Standing, States},
    },
    lifecycle::Drain,
};

/// How often the machine is looked at anew: somebody may have mounted what was missing.
const LOOK: Duration = Duration::from_secs(60);

/// What is done with enrolled pods on such a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenUnsupported {
    /// The agent ends with an error: for those who start it by hand.
    End,
    /// They may not start.
    Refuse,
    /// They start outside of the mesh.
    Skip,
}

/// Can this machine capture, and what if not?
pub fn ability(when: WhenUnsupported) -> Ability {
    let lacks = match when {
        // What is wrong is said by the part that needs it.
        WhenUnsupported::End => None,
        WhenUnsupported::Refuse | WhenUnsupported::Skip => machine::lacks(),
    };
    match (lacks, when) {
        (None, _) => Ability::Captures,
        (Some(lacks), WhenUnsupported::Skip) => Ability::Skips(lacks),
        (Some(lacks), _) => Ability::Refuses(lacks),
    }
}

/// Answers and reports until the caller ends it, or the machine can capture.
///
/// # Errors
/// When a part cannot be set up, and when the machine can capture: the next agent does.
pub async fn stand_by(
    config: &Config,
    lacks: &str,
    ability: Ability,
    world: World,
    front: &Front,
    drain: Drain,
) -> anyhow::Result<()> {
    tracing::error!(lacks, "this machine cannot capture: nothing is changed on it, and enrolled pods are reported");
    let World { snapshot, reports, places, cluster } = world;
    let (_wanted, wanted_here) = watch::channel(std::collections::BTreeSet::new());
    let (identities, _roots) = open_identities(config, &snapshot.borrow().clone(), wanted_here)?;
    let (telemetry, metrics) = open_telemetry(config, &snapshot)?;
    // Nothing is changed here, so nobody takes anything over; and nothing is kept.
    let standing = watch::channel(Standing::Owner).1;
    let (keeper, kubelet) = (watch::channel(KeeperState::Off).1, watch::channel(Recognised::default()).1);
    let states = failed(config.node.clone(), lacks.to_owned(), snapshot.clone());
    let around = pods::Surroundings {
        node: config.node.clone(),
        registry: pods::find(config, places, snapshot.clone()),
        snapshot: snapshot.clone(),
        states: states.clone(),
        standing: standing.clone(),
        metrics: metrics.clone(),
        drain: drain.clone(),
        ability: ability.clone(),
    };
    // Where enrolled pods start all the same, nobody has to be held.
    let cni = config.cni.as_ref().filter(|_| matches!(ability, Ability::Refuses(_)));
    pods::start(cni, cluster, around).await?;
    let report = reports.reports();
    let node = config.node.clone();
    let started = front.started();
    front.open(Arc::new(Admin {
        node,
        snapshot,
        states,
        standing,
        keeper,
        kubelet,
        identities,
        telemetry,
        metrics,
        report,
        started,
    }));
    loop {
        tokio::time::sleep(LOOK).await;
        if tokio::task::spawn_blocking(machine::lacks).await?.is_none() {
            bail!("this machine can capture now: start the agent again");
        }
    }
}

/// The state of every enrolled pod of the node.
fn failed(node: Arc<str>, lacks: String, mut snapshot: watch::Receiver<Arc<Snapshot>>) -> watch::Receiver<States> {
    let (sender, states) = watch::channel(States::new());
    tokio::spawn(async move {
        loop {
            let now = snapshot.borrow_and_update().clone();
            let enrolled = now.workloads.values().filter(|one| one.node == node && one.is_enrolled());
            let state = CaptureState::Failed { reason: format!("this machine cannot capture: {lacks}") };
            sender.send_replace(enrolled.map(|one| (one.pod.clone(), state.clone())).collect());
            if snapshot.changed().await.is_err() {
                return;
            }
        }
    });
    states
}
