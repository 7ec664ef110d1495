//! What the conditions of the node and of its pods say, and when they are written: on a change, a few in a second, and
//! again while the API server does not take them.

mod plan;

use std::{sync::Arc, time::Duration};

use plan::Plan;

use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use weft_model::snapshot::Snapshot;

use crate::{
    cni::{install::Installed, server::Ability},
    ebpf::manager::{CaptureState, States},
    kubernetes::conditions::{Condition, Conditions},
};

/// Pause between two writes about pods: at most twenty a second, however many pods change their state at once.
const WRITE_PAUSE: Duration = Duration::from_millis(50);

/// Pauses after a failed write: the first, and the longest.
const RETRY_MIN: Duration = Duration::from_secs(2);
const RETRY_MAX: Duration = Duration::from_secs(120);

/// How often the plan is looked at without a change.
const LOOK: Duration = Duration::from_secs(20);

/// How long the CNI plugin may take to be installed before the condition says that it is not.
const INSTALLING: Duration = Duration::from_secs(15);

/// How often the node's condition is written without a change: its `lastHeartbeatTime` says that somebody stands by it.
const HEARTBEAT: Duration = Duration::from_secs(300);

fn of_node(ability: &Ability, installed: Option<Installed>) -> Condition {
    let no = |reason, message: String| Condition { is_true: false, reason, message };
    match (ability, installed) {
        (Ability::Refuses(lacks), _) => {
            no("MachineUnsupported", format!("enrolled pods may not start on this node, which lacks: {lacks}"))
        }
        (Ability::Skips(lacks), _) => no(
            "MachineUnsupported",
            format!("enrolled pods run outside of the mesh on this node, which lacks: {lacks}"),
        ),
        (Ability::Captures, Some(Installed::Waiting { reason })) => {
            no("CniPluginWaiting", format!("running pods are captured, new ones are not held until they are: {reason}"))
        }
        (Ability::Captures, Some(Installed::Failed { reason })) => no(
            "CniPluginNotInstalled",
            format!("running pods are captured, new ones are not held until they are: {reason}"),
        ),
        (Ability::Captures, Some(Installed::Yes { file })) => Condition {
            is_true: true,
            reason: "AgentReady",
            message: format!("enrolled pods are captured before they start (CNI plugin in {file})"),
        },
        (Ability::Captures, None) => Condition {
            is_true: true,
            reason: "AgentReady",
            message: "enrolled pods are captured as they are found (no CNI plugin, as configured)".to_owned(),
        },
    }
}

/// Writes the node's condition, for ever.
pub async fn keep_node(
    conditions: Conditions,
    node: Arc<str>,
    ability: Ability,
    mut installed: Option<watch::Receiver<Installed>>,
) {
    if let Some(installed) = &mut installed {
        // What an installer that has just begun would say is not worth a change of the condition.
        let _ = timeout(INSTALLING, installed.changed()).await;
    }
    let mut pause = RETRY_MIN;
    loop {
        let condition = of_node(&ability, installed.as_mut().map(|installed| installed.borrow_and_update().clone()));
        match conditions.node(&node, Some(&condition)).await {
            Ok(_) => pause = HEARTBEAT,
            Err(error) => {
                tracing::warn!(%error, "cannot write the node's condition; trying again");
                pause = if pause == HEARTBEAT { RETRY_MIN } else { (pause * 2).min(RETRY_MAX) };
            }
        }
        let has_changed = match &mut installed {
            Some(installed) => timeout(pause, installed.changed()).await,
            None => {
                sleep(pause).await;
                Ok(Ok(()))
            }
        };
        if let Ok(Err(_ended)) = has_changed {
            // Its last word stays.
            sleep(pause).await;
        }
    }
}

/// Writes the conditions of the node's pods until the world ends.
pub async fn keep_pods(
    conditions: Conditions,
    node: Arc<str>,
    mut snapshot: watch::Receiver<Arc<Snapshot>>,
    mut states: watch::Receiver<States>,
) {
    let mut plan = Plan::new(node, Instant::now());
    loop {
        let now = Instant::now();
        plan.follow(&snapshot.borrow_and_update().clone(), &states.borrow_and_update().clone(), now);
        if let Some(write) = plan.next(now) {
            match conditions.pod(&write.pod, &write.uid, write.condition.as_ref()).await {
                // A pod that is gone leaves the world soon.
                Ok(_) => plan.done(write),
                Err(error) => {
                    // Once for all pods, when the API server is away.
                    if plan.failed(&write.uid, Instant::now()) {
                        tracing::warn!(pod = %write.pod, %error, "cannot write a pod's condition; trying again");
                    }
                }
            }
            sleep(WRITE_PAUSE).await;
            continue;
        }
        tokio::select! {
            changed = snapshot.changed() => if changed.is_err() { return },
            changed = states.changed() => if changed.is_err() { return },
            () = sleep(plan.retry_in(now).unwrap_or(LOOK)) => {}
        }
    }
}

fn of_pod(node: &str, state: &CaptureState) -> Condition {
    match state {
        CaptureState::Proven { .. } => Condition {
            is_true: true,
            reason: "Proven",
            message: format!("a connection from inside the pod came out at the agent of node {node}"),
        },
        CaptureState::Unproven { reason } => Condition { is_true: false, reason: "NotProven", message: reason.clone() },
        CaptureState::Pending { reason } | CaptureState::Failed { reason } => {
            Condition { is_true: false, reason: "NotCaptured", message: reason.clone() }
        }
    }
}

#[cfg(test)]
mod tests;
