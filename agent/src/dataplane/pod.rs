//! What a worker keeps for one captured pod: its namespace, its view of the world, its dice.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    net::IpAddr,
    ops::Range,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use weft_model::{
    balance::{ClusterKey, Draw},
    decision::InboundPolicy,
    snapshot::Snapshot,
    workload::{Named, Workload},
};

use super::{Exempt, Shared, http2, pool::Pool, shared_connections::SharedConnections};
use crate::net::{Netns, socket::APPLICATION_PORTS};

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
    /// Where the search for a source port begins.
    next_port: Cell<u16>,
    /// When all were in use.
    crowded_since: Cell<Option<Instant>>,
}

/// How long ports are not searched after all were in use: they can be used again one second after a connection has ended
/// ([`APPLICATION_PORTS`]).
const CROWDED: Duration = Duration::from_secs(1);

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
        Self {
            name,
            netns,
            worker,
            connections: Cell::new(0),
            copies: Cell::new(0),
            view: RefCell::new(None),
            dice: RefCell::new(Dice::default()),
            // Random, since workers and an earlier agent begin somewhere, too.
            next_port: Cell::new(fastrand::u16(APPLICATION_PORTS)),
            crowded_since: Cell::new(None),
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

    /// All [`APPLICATION_PORTS`], beginning behind the one that was taken last; `None` for a while after all were in use.
    pub fn application_ports(&self) -> Option<impl Iterator<Item = u16>> {
        let is_crowded = self.crowded_since.get().is_some_and(|since| since.elapsed() < CROWDED);
        let (Range { start, end }, first) = (APPLICATION_PORTS, self.next_port.get());
        (!is_crowded).then(|| (first..end).chain(start..first))
    }

    /// Notes which of them was taken.
    pub fn took_application_port(&self, port: u16) {
        self.next_port.set(if port + 1 < APPLICATION_PORTS.end { port + 1 } else { APPLICATION_PORTS.start });
    }

    /// Notes that all of them are in use.
    pub fn found_no_application_port(&self) {
        self.crowded_since.set(Some(Instant::now()));
    }

    /// Is it one of the pod's own addresses?
    pub fn is_own_address(&self, view: &View, address: IpAddr) -> bool {
        view.workload.addresses.contains(&address)
    }
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
