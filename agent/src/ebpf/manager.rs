//! Follows the world and keeps the kernel in step: captures the pods of this node that are enrolled,
//! releases those that no longer are, and proves that capture works.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, watch};
use weft_model::{
    identity::SpiffeId,
    snapshot::Snapshot,
    workload::{Named, Workload},
};

pub use super::state::{CaptureState, States};
use super::{
    EbpfError, Kernel,
    leftovers::{Leftover, Leftovers},
    pod,
    pod::{CapturedPod, Prepared},
    probe,
};
use crate::{
    dataplane::worker::{Assignment, Workers},
    net::Netns,
};

/// How often failed pods are tried again, and captured ones are proven anew.
const RETRY: Duration = Duration::from_secs(2);
const PROVE: Duration = Duration::from_secs(60);

/// How long pods that an earlier agent captured stay refused because one of them may be an enrolled pod whose namespace
/// is not known yet.
const STRANGERS: Duration = Duration::from_secs(60);

/// A pod's metrics listener, for whoever serves it.
pub struct StatsListener {
    /// The pod.
    pub pod: Named,
    /// Its namespace.
    pub netns: Arc<Netns>,
    /// The listener, `None` when the pod has left.
    pub listener: Option<std::net::TcpListener>,
}

/// What a manager tells others.
pub struct Outputs {
    /// Identities that this node needs.
    pub wanted: watch::Sender<BTreeSet<SpiffeId>>,
    /// What became of each enrolled pod.
    pub states: watch::Sender<States>,
    /// Listeners for pods' metrics.
    pub stats: mpsc::UnboundedSender<StatsListener>,
}

/// Keeps the kernel in step with the world.
pub struct Manager {
    kernel: Arc<Kernel>,
    workers: Arc<Workers>,
    node: Arc<str>,
    outputs: Outputs,
    captured: HashMap<Named, Captured>,
    /// Pods that have left while connections still run through the agent.
    lingering: Vec<Captured>,
    states: States,
    /// Which of the pods without proof is probed next.
    turn: usize,
    leftovers: Leftovers,
}

struct Captured {
    workload: Arc<Workload>,
    pod: CapturedPod,
}

impl Captured {
    /// Is it no longer what the world says?
    fn is_outdated(&self, now: &Workload) -> bool {
        self.workload.capture != now.capture || self.workload.addresses != now.addresses
    }
}

impl Manager {
    /// A manager for `node`. Pods that an earlier agent captured stay refused until they are taken over
    /// or found to be gone.
    pub fn new(
        kernel: Arc<Kernel>,
        workers: Arc<Workers>,
        node: Arc<str>,
        outputs: Outputs,
        leftovers: Leftovers,
    ) -> Self {
        Self {
            kernel,
            workers,
            node,
            outputs,
            leftovers,
            captured: HashMap::new(),
            lingering: Vec::new(),
            states: States::new(),
            turn: 0,
        }
    }

    /// Runs until `stop` resolves, then releases every pod, unless `keep`: then the pins stay, and new
    /// connections are refused until another agent takes over.
    pub async fn run(
        mut self,
        mut snapshots: watch::Receiver<Arc<Snapshot>>,
        stop: impl Future<Output = ()>,
        keep: bool,
    ) -> Released {
        let mut stop = std::pin::pin!(stop);
        let mut retry = tokio::time::interval(RETRY);
        let mut prove = tokio::time::interval(PROVE);
        let started = Instant::now();
        let mut first = true;
        loop {
            let snapshot = snapshots.borrow_and_update().clone();
            self.follow(&snapshot);
            if first && snapshot.version > 0 && (knows_places(&self.node, &snapshot) || started.elapsed() > STRANGERS) {
                self.forget_strangers();
                first = false;
            }
            tokio::select! {
                changed = snapshots.changed() => if changed.is_err() { stop.as_mut().await; break },
                _ = retry.tick() => self.prove_next(),
                _ = prove.tick() => self.prove_all(),
                () = &mut stop => break,
            }
        }
        if keep { Released { kernel: None, routes: Vec::new(), leftovers: None } } else { self.release_all() }
    }

    /// Brings the kernel in step with one snapshot.
    fn follow(&mut self, snapshot: &Snapshot) {
        let node = self.node.clone();
        let wanted: HashMap<&Named, &Arc<Workload>> =
            wanted(&node, snapshot).map(|workload| (&workload.pod, workload)).collect();
        let gone: Vec<Named> = self
            .captured
            .iter()
            .filter(|(name, captured)| !wanted.contains_key(name) || !captured.pod.netns.is_current())
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            self.release(&name);
        }
        self.remove_unused_routes();
        // An identity is published before the first connection of its pod can arrive.
        self.publish_identities(wanted.values().copied());
        self.write_down(wanted.values().copied());
        for (name, workload) in &wanted {
            if self.captured.get(*name).is_none_or(|captured| captured.is_outdated(workload)) {
                self.capture(workload);
            }
        }
        self.states.retain(|name, _| wanted.contains_key(name));
        self.publish();
    }

    /// Notes whose namespaces are changed, before they are: an agent that is killed cannot do so after.
    fn write_down<'a>(&mut self, wanted: impl Iterator<Item = &'a Arc<Workload>>) {
        let changed = self.captured.values().chain(&self.lingering).map(|captured| captured.pod.leftover());
        self.leftovers.keep(wanted.filter_map(|workload| Leftover::of(workload)).chain(changed).collect());
    }

    /// Identities of the pods that are captured, and of those that left and still have connections.
    fn publish_identities<'a>(&'a self, wanted: impl Iterator<Item = &'a Arc<Workload>>) {
        let lingering = self.lingering.iter().map(|captured| &captured.workload);
        let identities: BTreeSet<SpiffeId> =
            wanted.chain(lingering).map(|workload| workload.identity.clone()).collect();
        self.outputs.wanted.send_if_modified(|now| {
            let changed = *now != identities;
            *now = identities;
            changed
        });
    }

    /// Captures a pod, or captures it anew as the world now asks: then nothing passes in between, and
    /// when it fails the earlier capture stays.
    fn capture(&mut self, workload: &Arc<Workload>) {
        let name = workload.pod.clone();
        let state = match self.try_capture(workload) {
            Ok(pod) => {
                let state = probe::prove(&pod.netns, &workload.capture);
                tracing::info!(pod = %name, cookie = pod.netns.cookie(), ?state, "pod is captured");
                let capture = workload.capture.clone();
                let before = self.captured.insert(name.clone(), Captured { workload: workload.clone(), pod });
                if let Some(before) = before {
                    before.pod.remove_exclusions(&self.kernel, &capture);
                }
                state
            }
            Err(error) => {
                let reason = error.to_string();
                if !matches!(self.states.get(&name), Some(CaptureState::Failed { reason: known }) if *known == reason) {
                    tracing::error!(pod = %name, %error, "pod is not captured");
                }
                CaptureState::Failed { reason }
            }
        };
        self.states.insert(name, state);
    }

    fn try_capture(&mut self, workload: &Arc<Workload>) -> Result<CapturedPod, EbpfError> {
        let Prepared { listeners, stats, pod } = CapturedPod::prepare(workload, self.workers.count())?;
        let mut before = self.captured.get(&workload.pod).map(|captured| captured.pod.netns.cookie());
        if before.is_some_and(|cookie| cookie != pod.netns.cookie()) {
            // The pod has moved to another namespace, which has its address.
            self.release(&workload.pod);
            before = None;
        }
        if let Err(error) = pod.capture(&self.kernel, &listeners) {
            if before.is_none() {
                pod.release(&self.kernel);
                let _ = pod.remove_route();
            }
            return Err(error);
        }
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
        Ok(pod)
    }

    fn release(&mut self, name: &Named) {
        let Some(captured) = self.captured.remove(name) else { return };
        captured.pod.release(&self.kernel);
        self.workers.leave(name);
        let netns = captured.pod.netns.clone();
        let _ = self.outputs.stats.send(StatsListener { pod: name.clone(), netns, listener: None });
        tracing::info!(pod = %name, "pod is released");
        self.lingering.push(captured);
    }

    /// Connections that run through the agent need their route until they end. Each of them holds the
    /// pod's namespace; so does the worker until it has accepted what had arrived.
    fn remove_unused_routes(&mut self) {
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
    fn forget_strangers(&mut self) {
        let known: BTreeSet<u64> = self.captured.values().map(|captured| captured.pod.netns.cookie()).collect();
        for cookie in pod::captured_before(&self.kernel) {
            if !known.contains(&cookie) {
                tracing::info!(cookie, "releasing a pod that an earlier agent captured");
                pod::forget(&self.kernel, cookie);
            }
        }
        self.leftovers.forget_earlier();
    }

    fn prove_all(&mut self) {
        let names: Vec<Named> = self.captured.keys().cloned().collect();
        names.iter().for_each(|name| self.prove(name));
        self.publish();
    }

    /// Proves one pod anew whose probe failed: on a busy machine the next one comes through. One at a time, in turns, so that
    /// probes that time out leave time for everything else.
    fn prove_next(&mut self) {
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

    fn publish(&self) {
        self.outputs.states.send_replace(self.states.clone());
    }

    fn release_all(mut self) -> Released {
        let names: Vec<Named> = self.captured.keys().cloned().collect();
        for name in names {
            self.release(&name);
        }
        let routes = self.lingering.drain(..).map(|captured| captured.pod).collect();
        Released { kernel: Some(self.kernel.clone()), routes, leftovers: Some(self.leftovers) }
    }
}

/// The pods to capture.
fn wanted<'a>(node: &'a str, snapshot: &'a Snapshot) -> impl Iterator<Item = &'a Arc<Workload>> {
    snapshot.workloads.values().filter(move |workload| &*workload.node == node && workload.is_enrolled())
}

/// Is it known where all enrolled pods are? Else a namespace that an earlier agent captured may be one of theirs.
fn knows_places(node: &str, snapshot: &Snapshot) -> bool {
    wanted(node, snapshot).all(|workload| workload.capture.netns.is_some())
}

/// What remains after all pods were released: connections that still run need their routes.
#[must_use = "routes and pins stay until `remove`"]
pub struct Released {
    kernel: Option<Arc<Kernel>>,
    routes: Vec<CapturedPod>,
    leftovers: Option<Leftovers>,
}

impl Released {
    /// Removes routes and pins: call it when no connection runs through the agent any more.
    pub fn remove(self) {
        let mut is_clean = true;
        for pod in self.routes {
            if let Err(error) = pod.remove_route() {
                is_clean = false;
                tracing::warn!(netns = %pod.netns.path().display(), %error, "cannot remove a capture route");
            }
        }
        if let Some(kernel) = self.kernel
            && let Err(error) = kernel.detach()
        {
            tracing::warn!(%error, "cannot remove all pins; `weft cleanup` removes the rest");
        }
        if let Some(leftovers) = self.leftovers.filter(|_| is_clean) {
            leftovers.end();
        }
    }
}
