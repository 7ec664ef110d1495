//! What a worker keeps for one captured pod: its namespace, its view of the world, its dice.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    net::IpAddr,
    ops::Range,
    rc::Rc,
    sync::Arc,
};

use weft_model::{
    balance::{ClusterKey, Draw},
    decision::InboundPolicy,
    snapshot::Snapshot,
    workload::{Named, Workload},
};

use super::{Exempt, Shared, http2, pool::Pool, shared_connections::SharedConnections};
use crate::net::{
    Netns,
    socket::{APPLICATION_PORTS, MORE_APPLICATION_PORTS},
};

/// What a worker has for all its pods.
pub struct WorkerContext {
    /// Shared with the other workers.
    pub shared: Arc<Shared>,
    /// This worker's handle for marking sockets.
    pub exempt: RefCell<Box<dyn Exempt>>,
    /// This worker's idle upstream connections.
    pub pool: Pool,
    /// This worker's connections that requests share.
    pub shared_connections: SharedConnections,
    /// This worker's HTTP/2 connections upstream.
    pub calls: http2::Connections,
    /// Number of this worker, and how many there are.
    pub index: (usize, usize),
}

/// One pod on one worker.
pub struct PodContext {
    /// The pod.
    pub name: Named,
    /// Its network namespace.
    pub netns: Arc<Netns>,
    /// The worker.
    pub worker: Rc<WorkerContext>,
    /// Open connections.
    pub connections: Cell<usize>,
    /// Copies of its requests under way to mirrors.
    pub copies: Cell<usize>,
    view: RefCell<Option<Rc<View>>>,
    dice: RefCell<Dice>,
    next_port: Cell<u16>,
}

/// The world as one pod sees it, made once per snapshot.
pub struct View {
    /// The world.
    pub snapshot: Arc<Snapshot>,
    /// The pod in it.
    pub workload: Arc<Workload>,
    /// What applies to connections that reach it.
    pub policy: InboundPolicy,
}

impl PodContext {
    /// A pod on `worker`.
    pub fn new(name: Named, netns: Arc<Netns>, worker: Rc<WorkerContext>) -> Self {
        let first = random_port(worker.index, APPLICATION_PORTS);
        Self {
            name,
            netns,
            worker,
            connections: Cell::new(0),
            copies: Cell::new(0),
            view: RefCell::new(None),
            dice: RefCell::new(Dice::default()),
            next_port: Cell::new(first),
        }
    }

    /// The pod's view of the newest snapshot; `None` when the pod is no longer part of the world.
    pub fn view(&self) -> Option<Rc<View>> {
        let snapshot = self.worker.shared.snapshot.borrow().clone();
        if let Some(view) = self.view.borrow().as_ref()
            && Arc::ptr_eq(&view.snapshot, &snapshot)
        {
            return Some(view.clone());
        }
        let workload = snapshot.workloads.get(&self.name)?.clone();
        let policy = InboundPolicy::for_workload(&snapshot, &workload);
        let view = Rc::new(View { snapshot, workload, policy });
        *self.view.borrow_mut() = Some(view.clone());
        Some(view)
    }

    /// Runs `decide` with the pod's dice.
    pub fn with_dice<R>(&self, decide: impl FnOnce(&mut dyn Draw) -> R) -> R {
        decide(&mut *self.dice.borrow_mut())
    }

    /// The next source port for a connection to the pod's own application.
    pub fn next_application_port(&self) -> u16 {
        let port = self.next_port.get();
        let (worker, workers) = self.worker.index;
        let next = port.saturating_add(workers as u16);
        let wrapped = APPLICATION_PORTS.start + worker as u16 % APPLICATION_PORTS.len() as u16;
        self.next_port.set(if next < APPLICATION_PORTS.end { next } else { wrapped });
        port
    }

    /// The port was in use: the following ones may be, too, by connections of an earlier agent or an earlier capture.
    pub fn leave_application_ports(&self) {
        self.next_port.set(random_port(self.worker.index, APPLICATION_PORTS));
    }

    /// A source port for a client that has most of the others in use.
    pub fn one_more_application_port(&self) -> u16 {
        random_port(self.worker.index, MORE_APPLICATION_PORTS)
    }

    /// Is it one of the pod's own addresses?
    pub fn is_own_address(&self, view: &View, address: IpAddr) -> bool {
        view.workload.addresses.contains(&address)
    }
}

/// One of `ports` that this worker of so many uses: workers take turns, so that two never choose the
/// same one at once. Random, since an earlier agent of the node may still have connections, and began somewhere, too.
fn random_port((worker, workers): (usize, usize), ports: Range<u16>) -> u16 {
    // More workers than ports: they share, and try again where they meet.
    let (worker, workers) = (worker as u16 % ports.len() as u16, (workers as u16).clamp(1, ports.len() as u16));
    let first = ports.start + worker;
    first + workers * fastrand::u16(..(ports.end - first).div_ceil(workers))
}

impl View {
    /// The pod that a peer's address belongs to.
    pub fn workload_at(&self, address: IpAddr) -> Option<&Arc<Workload>> {
        self.snapshot.workload_by_ip(address)
    }
}

/// Chance and turns of one pod on one worker: balancer state is per client, as in a sidecar.
#[derive(Default)]
struct Dice {
    random: fastrand::Rng,
    turns: HashMap<ClusterKey, usize>,
}

/// Most clusters whose turn a pod remembers on one worker; beyond it all turns begin anew.
const TURNS_MAX: usize = 10_000;

impl Draw for Dice {
    fn below(&mut self, bound: u32) -> u32 {
        self.random.u32(..bound)
    }

    fn turn(&mut self, cluster: &ClusterKey) -> usize {
        if let Some(turn) = self.turns.get_mut(cluster) {
            *turn = turn.wrapping_add(1);
            return *turn;
        }
        if self.turns.len() >= TURNS_MAX {
            self.turns.clear();
        }
        // A random begin: otherwise all pods would send their first request to the same endpoint.
        let first = self.random.usize(..1 << 16);
        self.turns.insert(cluster.clone(), first);
        first
    }
}
