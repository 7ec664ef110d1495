//! The listeners of captured pods in the keeper's hands: kept before the kernel learns of them, closed there when
//! nothing waits in them any more.

use std::{
    collections::HashMap,
    net::TcpListener,
    os::fd::AsFd,
    path::PathBuf,
    time::{Duration, Instant},
};

use tokio::sync::watch;
use weft_ebpf_common::Direction;

use super::super::pod::PodListeners;
use crate::{
    dataplane::worker::FAREWELL,
    handover::{Held, Keeper, keeper::KeeperError},
};

/// How often a keeper that could not be started is tried again.
const RETRY: Duration = Duration::from_secs(60);

/// When nothing waits any more in listeners that the kernel no longer steers to and that are accepted from.
const SETTLE: Duration = Duration::from_secs(2 * FAREWELL.as_secs());

/// How the keeper is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeeperState {
    /// None is wanted: an agent's death refuses connections until the next agent is there.
    Off,
    /// It holds all listeners.
    Holding,
    /// There is none, and why.
    Absent(String),
}

/// How listeners are kept.
#[derive(Clone, Debug)]
pub struct Config {
    /// The keeper's socket.
    pub path: PathBuf,
    /// How long they are kept when no agent comes; none are when it is zero.
    pub patience: Duration,
}

/// An agent's dealings with the keeper.
pub struct Keeping {
    config: Config,
    keeper: Option<Keeper>,
    tried: Option<Instant>,
    /// Listeners of an earlier agent, in which connections may wait.
    inherited: HashMap<u64, Vec<Inherited>>,
    /// The listeners of this agent.
    own: HashMap<u64, Own>,
    state: watch::Sender<KeeperState>,
}

struct Own {
    generation: u64,
    /// When the namespace's earlier ones can be closed; `None` when they have been.
    settles: Option<Instant>,
}

impl Own {
    fn new(generation: u64) -> Self {
        Self { generation, settles: Some(Instant::now() + SETTLE) }
    }
}

/// One listener of an earlier agent.
pub struct Inherited {
    /// Which way its connections go.
    pub direction: Direction,
    /// The worker it was for.
    pub worker: usize,
    /// It.
    pub listener: TcpListener,
}

impl Keeping {
    /// Dealings that are still to begin. `state` learns how the keeper is.
    pub fn new(config: Config, state: watch::Sender<KeeperState>) -> Self {
        state.send_replace(KeeperState::Off);
        Self { config, keeper: None, tried: None, inherited: HashMap::new(), own: HashMap::new(), state }
    }

    /// Makes sure that there is a keeper. True: there is another one than before, which holds nothing of ours.
    pub fn ensure(&mut self) -> bool {
        if self.config.patience.is_zero() {
            return false;
        }
        if self.keeper.as_ref().is_some_and(Keeper::has_ended) {
            tracing::warn!("the keeper of this node's listeners has ended; starting another one");
            (self.keeper, self.tried) = (None, None);
        }
        if self.keeper.is_some() || self.tried.is_some_and(|tried| tried.elapsed() < RETRY) {
            return false;
        }
        self.tried = Some(Instant::now());
        match Keeper::find_or_start(&self.config.path, self.config.patience) {
            Ok(keeper) => {
                self.keeper = Some(keeper);
                self.state.send_replace(KeeperState::Holding);
                true
            }
            Err(error) => {
                self.lose(&error);
                false
            }
        }
    }

    /// Is there a keeper?
    pub fn is_on(&self) -> bool {
        self.keeper.is_some()
    }

    /// Another agent has had the node meanwhile: all that is held now is an earlier agent's.
    pub fn begin_again(&mut self) {
        self.own.clear();
        self.tried = None;
    }

    /// Takes what the keeper holds of earlier agents, for [`Self::inherited`].
    pub fn inherit(&mut self) {
        let Some(keeper) = &self.keeper else { return };
        match keeper.held() {
            Ok(held) => {
                self.inherited.clear();
                for (key, socket) in held {
                    let direction = if key.direction == Direction::Inbound as u32 {
                        Direction::Inbound
                    } else {
                        Direction::Outbound
                    };
                    let listener = TcpListener::from(socket);
                    let one = Inherited { direction, worker: key.worker as usize, listener };
                    if self.own.get(&key.namespace).is_none_or(|own| own.generation != key.generation) {
                        self.inherited.entry(key.namespace).or_default().push(one);
                    }
                }
            }
            Err(error) => self.lose(&error),
        }
    }

    /// What an earlier agent left of a namespace that is captured now.
    pub fn inherited(&mut self, namespace: u64) -> Vec<Inherited> {
        let inherited = self.inherited.remove(&namespace).unwrap_or_default();
        if let Some(own) = self.own.get_mut(&namespace).filter(|_| !inherited.is_empty()) {
            *own = Own::new(own.generation);
        }
        inherited
    }

    /// Gives up what was inherited and not captured.
    pub fn forget_strangers(&mut self) {
        let strangers: Vec<u64> = self.inherited.drain().map(|(namespace, _)| namespace).collect();
        strangers.into_iter().for_each(|namespace| self.forget(namespace));
    }

    /// Has a namespace's new listeners held. False: they are not.
    pub fn hold(&mut self, namespace: u64, generation: u64, listeners: &[PodListeners]) -> bool {
        let Some(keeper) = &self.keeper else { return false };
        let held = listeners.iter().enumerate().try_for_each(|(worker, pair)| {
            let key = |direction| Held { namespace, generation, direction: direction as u32, worker: worker as u32 };
            keeper.hold(key(Direction::Outbound), pair.outbound.as_fd())?;
            keeper.hold(key(Direction::Inbound), pair.inbound.as_fd())
        });
        if let Err(error) = &held {
            self.lose(error);
        }
        held.is_ok()
    }

    /// The kernel steers to that generation alone from now on.
    pub fn captured(&mut self, namespace: u64, generation: u64) {
        self.own.insert(namespace, Own::new(generation));
    }

    /// Has earlier listeners closed in which nothing waits any more.
    pub fn settle(&mut self) {
        let Some(keeper) = &self.keeper else { return };
        let now = Instant::now();
        let mut settled = Ok(());
        for (namespace, own) in self.own.iter_mut().filter(|(_, own)| own.settles.is_some_and(|due| due <= now)) {
            settled = keeper.settle(*namespace, own.generation);
            if settled.is_err() {
                break;
            }
            own.settles = None;
        }
        if let Err(error) = settled {
            self.lose(&error);
        }
    }

    /// Has a namespace's listeners closed.
    pub fn forget(&mut self, namespace: u64) {
        self.own.remove(&namespace);
        if let Some(keeper) = &self.keeper
            && let Err(error) = keeper.forget(namespace)
        {
            self.lose(&error);
        }
    }

    /// Ends the keeper.
    pub fn stop(mut self) {
        if let Some(keeper) = self.keeper.take()
            && let Err(error) = keeper.stop()
        {
            tracing::warn!(%error, "cannot end the keeper");
        }
    }

    fn lose(&mut self, error: &KeeperError) {
        tracing::error!(%error, "no keeper: connections are refused while no agent runs");
        self.keeper = None;
        self.state.send_replace(KeeperState::Absent(error.to_string()));
    }
}
