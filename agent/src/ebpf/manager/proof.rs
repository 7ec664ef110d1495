//! Proving again and again that captured pods are captured.

use weft_model::workload::Named;

use super::{super::probe, CaptureState, Manager};

impl Manager {
    pub(super) fn prove_all(&mut self) {
        if !self.tenure.is_owner() {
            return;
        }
        let names: Vec<Named> = self.captured.keys().cloned().collect();
        names.iter().for_each(|name| self.prove(name));
        // The host may reach them from another address by now.
        for captured in self.captured.values() {
            self.kubelets.add_pod(&self.kernel, captured.pod.netns.cookie(), &captured.workload.addresses);
        }
        self.publish();
    }

    /// Proves one pod anew whose probe failed: on a busy machine the next one comes through. One at a time, in turns, so that
    /// probes that time out leave time for everything else.
    pub(super) fn prove_next(&mut self) {
        let doubtful = self.states.iter().filter(|(_, state)| matches!(state, CaptureState::Unproven { .. }));
        let mut names: Vec<Named> = doubtful.map(|(name, _)| name.clone()).collect();
        if names.is_empty() {
            return;
        }
        self.turn = self.turn.wrapping_add(1);
        let name = names.swap_remove(self.turn % names.len());
        self.prove(&name);
        self.publish();
    }

    fn prove(&mut self, name: &Named) {
        let Some(captured) = self.captured.get(name) else { return };
        let state = probe::prove(&captured.pod.netns, &captured.workload.capture);
        if let CaptureState::Unproven { reason } = &state
            && self.states.get(name) != Some(&state)
        {
            tracing::error!(pod = %name, reason, "capture of a pod is not proven");
        }
        self.states.insert(name.clone(), state);
    }
}
