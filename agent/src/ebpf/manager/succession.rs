//! From one agent to the next: taking the node over, giving it away, taking it back.

use std::time::Instant;

use weft_model::workload::Named;

use super::{super::probe, CaptureState, Manager, StatsListener, tenure::Event};
use crate::handover::ownership::Word;

impl Manager {
    /// The node is this agent's from now on.
    pub(super) fn begin(&mut self) {
        self.refresh_kubelet();
        self.keeping.ensure();
        if !self.tenure.has_predecessor() {
            self.keeping.inherit();
        }
        self.strangers_since = Some(Instant::now());
        self.outputs.standing.send_replace(self.tenure.standing());
    }

    /// What has to be looked at again and again.
    pub(super) fn look_around(&mut self) {
        if self.tenure.resume() {
            self.resume();
        }
        if !self.tenure.is_owner() {
            return;
        }
        self.refresh_kubelet();
        if self.keeping.ensure() {
            // It holds nothing yet; who captures anew hands listeners over, too.
            self.captured.values_mut().for_each(|captured| captured.is_held = false);
        }
        if self.tenure.lost_predecessor() {
            tracing::info!("the agent that had this node before has ended");
            // In its listeners connections may wait that it did not come to accept.
            self.keeping.inherit();
            let names: Vec<Named> = self.captured.keys().cloned().collect();
            names.iter().for_each(|name| self.serve_inherited(name));
            self.strangers_since = Some(Instant::now());
        }
        if !self.tenure.has_predecessor() {
            self.keeping.settle();
        }
        self.prove_next();
        self.announce();
    }

    fn refresh_kubelet(&mut self) {
        let now = self.kubelets.refresh(&self.kernel);
        self.outputs.kubelet.send_if_modified(|known| {
            if now.probes > known.probes {
                tracing::debug!(count = now.probes - known.probes, "the kubelet's probes went to their applications");
            }
            let is_new = *known != now;
            *known = now;
            is_new
        });
    }

    /// Heeds what another agent of this node says.
    pub(super) fn heed(&mut self, event: Event) {
        match event {
            Event::Asked(request) => {
                if self.tenure.grant(request) {
                    tracing::info!("another agent takes this node over; this one serves until that one does");
                }
            }
            Event::Successor(Word::Serving) => {
                tracing::info!("another agent serves this node; this one keeps the connections that it has");
                self.drain.set_retiring(true);
                self.workers.retire();
                self.captured.drain().for_each(|(name, captured)| {
                    let _ = self.outputs.stats.send(StatsListener::none(name, &captured.pod));
                });
            }
            Event::Successor(Word::Gone) => {
                tracing::warn!("the agent that took this node over has ended");
                self.tenure.lose_successor();
            }
        }
        self.outputs.standing.send_replace(self.tenure.standing());
    }

    /// Takes the node back.
    fn resume(&mut self) {
        tracing::warn!("this node has no agent but this one, which takes it back");
        if let Err(error) = self.kernel.attach_again() {
            tracing::error!(%error, "cannot put the connect hooks back; those of the other agent stay");
        }
        self.drain.set_retiring(false);
        self.keeping.begin_again();
        self.captured.clear();
        self.begin();
    }

    /// Tells the agent that had the node before when it is no longer needed.
    pub(super) fn announce(&mut self) {
        let serves = |(name, state): (&Named, &CaptureState)| match state {
            CaptureState::Proven { .. } => true,
            CaptureState::Pending { .. } | CaptureState::Failed { .. } => false,
            CaptureState::Unproven { .. } => {
                self.captured.get(name).is_some_and(|captured| !probe::can_prove(&captured.workload.capture))
            }
        };
        let serves_all = self.states.iter().all(serves);
        self.tenure.announce(serves_all);
        self.outputs.standing.send_if_modified(|known| {
            let now = self.tenure.standing();
            std::mem::replace(known, now) != now
        });
    }
}
