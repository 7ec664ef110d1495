//! Is everything in place that this node's pods need?

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use weft_model::workload::Workload;

use super::Admin;
use crate::{
    discovery::Report,
    ebpf::manager::{CaptureState, Standing},
    identity::CertificateStatus,
};

/// Said instead of everything else by an agent that was told to stop.
pub(super) const ENDING: &str = "the agent is ending";

/// How long an agent may take to find the pods that run already.
const SETTLING: Duration = Duration::from_secs(15);

/// What keeps the world from being whole, and why, a line each.
pub(super) fn not_read(report: &Report) -> Vec<String> {
    let awaited = report.awaited.iter().map(|what| format!("not read yet: {what}"));
    let mut missing: Vec<String> = awaited.chain(report.errors.iter().map(ToString::to_string)).collect();
    if missing.is_empty() {
        missing.push("nothing was read yet".to_owned());
    }
    missing
}

impl Admin {
    /// What is still missing, a line each; empty means ready. A pod that cannot be captured does not keep the node
    /// from being ready: `/status` and the log say it, and the other pods are served.
    pub fn missing(&self, is_ending: bool) -> Vec<String> {
        if is_ending {
            return vec![ENDING.to_owned()];
        }
        let snapshot = self.snapshot.borrow().clone();
        if snapshot.version == 0 {
            return not_read(&self.report.borrow());
        }
        match *self.standing.borrow() {
            Standing::Waiting => return vec!["another agent has this node and does not let go yet".to_owned()],
            // Who replaces agents ends the other one as soon as this one is ready.
            Standing::TakingOver => return vec!["another agent still serves pods that this one does not".to_owned()],
            Standing::Owner | Standing::Superseded => {}
        }
        let states = self.states.borrow();
        let certificates: HashMap<_, _> =
            self.identities.status().into_iter().map(|status| (status.id.clone(), status)).collect();
        let mut missing = Vec::new();
        for workload in self.enrolled(&snapshot) {
            match states.get(&workload.pod) {
                None => missing.push(format!("pod {} is not captured yet", workload.pod)),
                // A pod with an address runs: an agent that has just begun is about to find it. Later, whatever is the
                // matter with that pod must not keep the others from being served by this agent.
                Some(CaptureState::Pending { .. }) if !workload.addresses.is_empty() && self.has_just_begun() => {
                    missing.push(format!("pod {} was not found yet", workload.pod));
                }
                Some(CaptureState::Pending { .. } | CaptureState::Failed { .. }) => {}
                Some(_) => missing.extend(without_certificate(workload, certificates.get(&workload.identity))),
            }
        }
        missing.dedup();
        missing
    }

    fn has_just_begun(&self) -> bool {
        self.started.elapsed() < SETTLING
    }

    /// Sets the gauges that only this page knows.
    pub(super) fn set_gauges(&self, is_ready: bool) {
        self.metrics.ready.set(i64::from(is_ready));
        let is_captured =
            |state: &&CaptureState| matches!(state, CaptureState::Proven { .. } | CaptureState::Unproven { .. });
        let captured = self.states.borrow().values().filter(is_captured).count();
        self.metrics.captured_pods.set(i64::try_from(captured).unwrap_or(i64::MAX));
        let states = self.states.borrow();
        let named = states.iter().map(|(pod, state)| (&*pod.namespace, &*pod.name, state.word()));
        self.metrics.set_captures(named);
        let kubelet = self.kubelet.borrow();
        self.metrics.kubelet.set(i64::from(kubelet.pid.is_some()));
        // Counted in the kernel: what is there replaces what was shown.
        self.metrics.kubelet_probes.reset();
        self.metrics.kubelet_probes.inc_by(kubelet.probes);
        drop(kubelet);
        if let Some(age) = self.report.borrow().age() {
            self.metrics.source_age.set(age.as_secs_f64());
        }
    }

    /// Pods that this node captures.
    pub(super) fn enrolled<'a>(
        &'a self,
        snapshot: &'a weft_model::snapshot::Snapshot,
    ) -> impl Iterator<Item = &'a std::sync::Arc<Workload>> {
        snapshot.workloads.values().filter(|workload| workload.node == self.node && workload.is_enrolled())
    }
}

fn without_certificate(workload: &Workload, status: Option<&CertificateStatus>) -> Option<String> {
    let valid = status.and_then(|status| status.life).is_some_and(|(_, end)| SystemTime::now() < end);
    if valid {
        return None;
    }
    let reason = status.and_then(|status| status.last_error.as_deref());
    let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    Some(format!("{} has no valid certificate{reason}", workload.identity))
}
