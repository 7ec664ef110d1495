//! Follows the world and keeps the kernel in step: captures the pods of this node that are enrolled,
//! releases those that no longer are, and proves that capture works.
//!
//! While this agent owns the node ([`tenure`]): one that was superseded changes nothing any more.

pub mod keeping;
mod capturing;
mod proof;
mod released;
mod succession;
pub mod tenure;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

pub use keeping::KeeperState;
use keeping::Keeping;
use released::Gone;
pub use released::Released;
pub use tenure::Standing;
use tenure::Tenure;
use tokio::sync::{mpsc, oneshot, watch};
use weft_model::{
    identity::SpiffeId,
    snapshot::Snapshot,
    workload::{Named, Workload},
};

pub use super::state::{CaptureState, States};
use super::{
    Kernel,
    kubelet::{Kubelets, Recognised},
    leftovers::{Leftover, Leftovers},
    pod::CapturedPod,
};
use crate::{
    dataplane::worker::Workers,
    handover::{Files, Ownership, Predecessor},
    lifecycle::Drain,
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
    /// What this agent is to the node.
    pub standing: watch::Sender<Standing>,
    /// What is known of the node's kubelet.
    pub kubelet: watch::Sender<Recognised>,
}

/// How a manager is told to end.
pub struct Orders {
    /// The agent is to end: capture nothing new.
    pub stop: oneshot::Receiver<()>,
    /// Told when nothing is captured any more, or everything stays captured for another agent.
    pub stopped: oneshot::Sender<()>,
    /// The agent's last connection has ended.
    pub end: oneshot::Receiver<()>,
}

/// What a manager works with.
pub struct Parts {
    /// The hooks and maps.
    pub kernel: Arc<Kernel>,
    /// Who accepts.
    pub workers: Arc<Workers>,
    /// This node.
    pub node: Arc<str>,
    /// Where to tell what.
    pub outputs: Outputs,
    /// What is changed inside pods.
    pub leftovers: Leftovers,
    /// The listeners' keeper.
    pub keeping: Keeping,
    /// Who asks applications how they are.
    pub kubelets: Kubelets,
    /// Tells clients to go.
    pub drain: Drain,
    /// The node is this agent's.
    pub ownership: Ownership,
    /// Whose it was, if that agent still runs.
    pub predecessor: Option<Predecessor>,
    /// Where agents of the node meet.
    pub files: Files,
}

/// Keeps the kernel in step with the world.
pub struct Manager {
    kernel: Arc<Kernel>,
    workers: Arc<Workers>,
    node: Arc<str>,
    outputs: Outputs,
    drain: Drain,
    tenure: Tenure,
    keeping: Keeping,
    kubelets: Kubelets,
    captured: HashMap<Named, Captured>,
    /// Pods that have left while connections still run through the agent.
    lingering: Vec<Captured>,
    states: States,
    /// Which of the pods without proof is probed next.
    turn: usize,
    leftovers: Leftovers,
    /// Since when pods of earlier agents are to be looked through.
    strangers_since: Option<Instant>,
}

struct Captured {
    workload: Arc<Workload>,
    pod: CapturedPod,
    /// The keeper holds its listeners.
    is_held: bool,
}

impl Captured {
    /// Is it no longer what the world says?
    fn is_outdated(&self, now: &Workload) -> bool {
        self.workload.capture != now.capture || self.workload.addresses != now.addresses
    }
}

impl Manager {
    /// A manager for a node. Pods that an earlier agent captured stay refused until they are taken over
    /// or found to be gone. To be made inside the runtime that runs it.
    pub fn new(parts: Parts) -> Self {
        let Files { lock, desk, keeper: _ } = parts.files;
        Self {
            kernel: parts.kernel,
            workers: parts.workers,
            node: parts.node,
            outputs: parts.outputs,
            drain: parts.drain,
            tenure: Tenure::begin(lock, desk, parts.ownership, parts.predecessor),
            keeping: parts.keeping,
            kubelets: parts.kubelets,
            leftovers: parts.leftovers,
            captured: HashMap::new(),
            lingering: Vec::new(),
            states: States::new(),
            turn: 0,
            strangers_since: None,
        }
    }

    /// Runs until it is told to stop, then releases every pod; unless `keep` then says so, or another agent has or had the node:
    /// then everything stays, and it can still be taken over until the end.
    pub async fn run(
        mut self,
        mut snapshots: watch::Receiver<Arc<Snapshot>>,
        mut orders: Orders,
        keep: impl FnOnce() -> bool,
    ) -> Released {
        let mut retry = tokio::time::interval(RETRY);
        let mut prove = tokio::time::interval(PROVE);
        let mut is_told = true;
        self.begin();
        loop {
            let snapshot = snapshots.borrow_and_update().clone();
            self.follow(&snapshot);
            tokio::select! {
                changed = snapshots.changed(), if is_told => is_told = changed.is_ok(),
                _ = retry.tick() => self.look_around(),
                _ = prove.tick() => self.prove_all(),
                event = self.tenure.next() => self.heed(event),
                // An error means that nobody can tell any more: an end, too.
                _ = &mut orders.stop => break,
            }
        }
        if !keep() && self.tenure.is_owner() && !self.tenure.has_predecessor() {
            let released = self.release_all();
            let _ = orders.stopped.send(());
            return released;
        }
        let _ = orders.stopped.send(());
        loop {
            tokio::select! {
                event = self.tenure.next() => self.heed(event),
                _ = &mut orders.end => return Released { gone: None, tenure: self.tenure },
            }
        }
    }

    /// Brings the kernel in step with one snapshot.
    fn follow(&mut self, snapshot: &Snapshot) {
        if !self.tenure.is_owner() {
            return;
        }
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
            let keeps = self.keeping.is_on();
            let is_right = |captured: &Captured| !captured.is_outdated(workload) && (captured.is_held || !keeps);
            if !self.captured.get(*name).is_some_and(is_right) {
                self.capture(workload);
            }
        }
        self.states.retain(|name, _| wanted.contains_key(name));
        self.publish();
        if snapshot.version > 0 {
            let may_be_ours = |since: Instant| !knows_places(&node, snapshot) && since.elapsed() < STRANGERS;
            if self.strangers_since.is_some_and(|since| !may_be_ours(since)) {
                self.strangers_since = None;
                self.forget_strangers();
            }
            self.announce();
        }
    }

    /// Notes whose namespaces are changed, before they are: an agent that is killed cannot do so after.
    fn write_down<'a>(&mut self, wanted: impl Iterator<Item = &'a Arc<Workload>>) {
        let changed = self.captured.values().chain(&self.lingering).map(|captured| captured.pod.leftover());
        let all: Vec<Leftover> = wanted.filter_map(|workload| self.leftovers.of(workload)).chain(changed).collect();
        self.leftovers.keep(all);
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

    fn publish(&self) {
        self.outputs.states.send_replace(self.states.clone());
    }

    fn release_all(mut self) -> Released {
        self.tenure.close_desk();
        let names: Vec<Named> = self.captured.keys().cloned().collect();
        for name in names {
            self.release(&name);
        }
        let Self { kernel, leftovers, keeping, tenure, lingering, .. } = self;
        let routes = lingering.into_iter().map(|captured| captured.pod).collect();
        Released { gone: Some(Gone { kernel, routes, leftovers, keeping }), tenure }
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
