//! Capturing one pod, and letting it go.

use std::{collections::BTreeSet, sync::Arc};

use weft_model::workload::{Named, Workload};

use super::{
    super::{
        EbpfError, pod,
        pod::{CapturedPod, Prepared},
        probe,
    },
    CaptureState, Captured, Manager, StatsListener,
    keeping::Inherited,
};
use crate::dataplane::worker::{Assignment, Inheritance};

impl Manager {
    /// Captures a pod, or captures it anew as the world now asks: then nothing passes in between, and
    /// when it fails the earlier capture stays.
    pub(super) fn capture(&mut self, workload: &Arc<Workload>) {
        let name = workload.pod.clone();
        let state = match self.try_capture(workload) {
            Ok((pod, is_held)) => {
                let state = probe::prove(&pod.netns, &workload.capture);
                tracing::info!(pod = %name, cookie = pod.netns.cookie(), ?state, "pod is captured");
                self.kubelets.add_pod(&self.kernel, pod.netns.cookie(), &workload.addresses);
                let capture = workload.capture.clone();
                let captured = Captured { workload: workload.clone(), pod, is_held };
                if let Some(before) = self.captured.insert(name.clone(), captured) {
                    before.pod.remove_exclusions(&self.kernel, &capture);
                }
                self.serve_inherited(&name);
                state
            }
            Err(error) => {
                let state = CaptureState::after(&error);
                if matches!(state, CaptureState::Failed { .. }) && self.states.get(&name) != Some(&state) {
                    tracing::error!(pod = %name, %error, "pod is not captured");
                }
                state
            }
        };
        self.states.insert(name, state);
    }

    /// Captures a pod. With it, whether the keeper holds its listeners.
    fn try_capture(&mut self, workload: &Arc<Workload>) -> Result<(CapturedPod, bool), EbpfError> {
        let Prepared { listeners, stats, pod } = CapturedPod::prepare(workload, self.workers.count(), &self.leftovers)?;
        let mut before = self.captured.get(&workload.pod).map(|captured| captured.pod.netns.cookie());
        if before.is_some_and(|cookie| cookie != pod.netns.cookie()) {
            // The pod has moved to another namespace, which has its address.
            self.release(&workload.pod);
            before = None;
        }
        let (cookie, generation) = (pod.netns.cookie(), fastrand::u64(..));
        // Held before the kernel knows them: were the agent to die now, what arrives at them would wait.
        let is_held = self.keeping.hold(cookie, generation, &listeners);
        if let Err(error) = pod.capture(&self.kernel, &listeners) {
            if before.is_none() && !self.tenure.has_predecessor() {
                pod.release(&self.kernel);
                self.keeping.forget(cookie);
                let _ = pod.remove_route();
            }
            return Err(error);
        }
        self.keeping.captured(cookie, generation);
        for (index, pair) in listeners.into_iter().enumerate() {
            let assignment = Assignment {
                pod: workload.pod.clone(),
                netns: pod.netns.clone(),
                outbound: pair.outbound,
                inbound: pair.inbound,
            };
            self.workers.serve(index, assignment);
        }
        let listener = StatsListener { pod: workload.pod.clone(), netns: pod.netns.clone(), listener: stats };
        // Nobody listens in tests without metrics.
        let _ = self.outputs.stats.send(listener);
        Ok((pod, is_held))
    }

    /// Has connections served that wait in listeners which an earlier agent had for the pod.
    pub(super) fn serve_inherited(&mut self, name: &Named) {
        let Some(Captured { pod, .. }) = self.captured.get(name) else { return };
        for Inherited { direction, worker, listener } in self.keeping.inherited(pod.netns.cookie()) {
            let inheritance = Inheritance { pod: name.clone(), netns: pod.netns.clone(), direction, listener };
            self.workers.inherit(worker, inheritance);
        }
    }

    pub(super) fn release(&mut self, name: &Named) {
        let Some(captured) = self.captured.remove(name) else { return };
        captured.pod.release(&self.kernel);
        self.workers.leave(name);
        let cookie = captured.pod.netns.cookie();
        self.kubelets.remove_pod(&self.kernel, cookie, &captured.workload.addresses);
        self.keeping.forget(cookie);
        let _ = self.outputs.stats.send(StatsListener::none(name.clone(), &captured.pod));
        tracing::info!(pod = %name, "pod is released");
        self.lingering.push(captured);
    }

    /// Connections that run through the agent need their route until they end. Each of them holds the
    /// pod's namespace; so does the worker until it has accepted what had arrived. What another agent still serves is
    /// not known here.
    pub(super) fn remove_unused_routes(&mut self) {
        if self.tenure.has_predecessor() {
            return;
        }
        let live: BTreeSet<u64> = self.captured.values().map(|captured| captured.pod.netns.cookie()).collect();
        self.lingering.retain(|Captured { pod, .. }| {
            if live.contains(&pod.netns.cookie()) {
                // It has entered again, with the same route.
                return false;
            }
            let in_use = Arc::strong_count(&pod.netns) > 1;
            if !in_use && let Err(error) = pod.remove_route() {
                tracing::warn!(netns = %pod.netns.path().display(), %error, "cannot remove a capture route");
            }
            in_use
        });
    }

    /// Forgets pods of an earlier agent that are not enrolled any more.
    pub(super) fn forget_strangers(&mut self) {
        let known: BTreeSet<u64> = self.captured.values().map(|captured| captured.pod.netns.cookie()).collect();
        for cookie in pod::captured_before(&self.kernel) {
            if !known.contains(&cookie) {
                tracing::info!(cookie, "releasing a pod that an earlier agent captured");
                pod::forget(&self.kernel, cookie);
            }
        }
        self.keeping.forget_strangers();
        if !self.tenure.has_predecessor() {
            self.leftovers.forget_earlier();
        }
    }
}

impl StatsListener {
    /// The pod has none any more.
    pub(super) fn none(pod: Named, captured: &CapturedPod) -> Self {
        Self { pod, netns: captured.netns.clone(), listener: None }
    }
}
