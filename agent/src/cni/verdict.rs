//! May a pod's containers start? A function of what the agent knows at one moment.

use weft_model::{
    snapshot::Snapshot,
    workload::{Enrolment, Named},
};

use super::message::Sandbox;
use crate::ebpf::manager::{CaptureState, States};

/// What is known of a pod whose sandbox was just made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may start; the reason is for the log.
    Pass(String),
    /// It is enrolled, and not proven to be captured: wait, then refuse for this reason.
    Pending(String),
    /// The world does not have it (yet).
    Unknown,
}

/// The verdict on a sandbox whose network namespace has that cookie.
pub fn verdict(sandbox: &Sandbox, netns: u64, node: &str, snapshot: &Snapshot, states: &States) -> Verdict {
    let name = Named::new(&*sandbox.namespace, &*sandbox.name);
    let workload = snapshot.workloads.get(&name).filter(|workload| {
        // A pod of that name may be another one: an earlier one of a StatefulSet, for example.
        let is_same = sandbox.uid.is_empty() || workload.uid.is_empty() || *workload.uid == *sandbox.uid;
        is_same && &*workload.node == node
    });
    let Some(workload) = workload else { return Verdict::Unknown };
    if let Enrolment::NotEnrolled(reason) = workload.enrolment {
        return Verdict::Pass(format!("not enrolled: {reason}"));
    }
    match states.get(&name) {
        Some(CaptureState::Proven { netns: proven, .. }) if *proven == netns => {
            Verdict::Pass("captured, and proven to be".to_owned())
        }
        Some(CaptureState::Proven { .. }) => Verdict::Pending("an earlier sandbox of it is captured still".to_owned()),
        Some(
            CaptureState::Unproven { reason } | CaptureState::Pending { reason } | CaptureState::Failed { reason },
        ) => Verdict::Pending(reason.clone()),
        None => Verdict::Pending("its capture has not begun".to_owned()),
    }
}

#[cfg(test)]
mod tests;
