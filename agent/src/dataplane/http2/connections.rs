//! HTTP/2 connections upstream. Calls of one source pod to one destination share them, per worker; so do the calls of one
//! client's connection to the pod's own application.
//!
//! A peer that says GOAWAY, ends or breaks is asked no more: the next call dials. Who dials does so for all that wait.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    io,
    net::SocketAddr,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::sync::watch;
use weft_model::decision::Forward;

use super::{client_builder, transport::Transport};
use crate::{
    dataplane::{
        dial::DialError,
        pod::{PodContext, View},
        pool::PoolKey,
    },
    identity::Purpose,
    net::stream::Stream,
};

/// Connections to one peer; calls beyond what these may carry wait for the end of others.
const CONNECTIONS_PER_PEER_MAX: usize = 8;

/// How long a peer's settings are waited for before a tunnel is refused, and how often they are looked at: the crate tells
/// nobody when they have come.
const SETTINGS_WAIT: Duration = Duration::from_secs(1);
const SETTINGS_LOOK: Duration = Duration::from_millis(5);

/// Peers remembered per worker; beyond it each call has a connection of its own.
const PEERS_MAX: usize = 10_000;

/// A worker's connections to other pods.
#[derive(Default)]
pub struct Connections {
    peers: RefCell<HashMap<PoolKey, Rc<Peer>>>,
}

/// The connections to one peer.
#[derive(Default)]
pub struct Peer {
    open: RefCell<Vec<Rc<Connection>>>,
    dialling: RefCell<Option<watch::Receiver<()>>>,
}

struct Connection {
    sender: SendRequest<Bytes>,
    local: Option<SocketAddr>,
    calls: Cell<usize>,
    idle_since: Cell<Instant>,
}

/// A place on a connection for one call.
pub struct Call {
    /// Sends it.
    pub sender: SendRequest<Bytes>,
    /// Our own address of the connection.
    pub local: Option<SocketAddr>,
    /// Did the connection carry calls before? It may have ended unseen.
    pub reused: bool,
    connection: Rc<Connection>,
}

enum Next {
    Call(Call),
    Wait(watch::Receiver<()>),
    /// For oneself and, with a sender, for all that ask meanwhile.
    Dial(Option<watch::Sender<()>>),
}

impl Connections {
    /// A place for a call to where `forward` leads.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn call(pod: &PodContext, view: &View, forward: &Forward, key: &PoolKey) -> Result<Call, DialError> {
        let peer = pod.worker.calls.peer(key);
        peer.call(async || pod.dial(view, forward, Purpose::Http2).await).await
    }

    fn peer(&self, key: &PoolKey) -> Rc<Peer> {
        let mut peers = self.peers.borrow_mut();
        if let Some(peer) = peers.get(key) {
            return peer.clone();
        }
        let peer = Rc::new(Peer::default());
        if peers.len() < PEERS_MAX {
            peers.insert(key.clone(), peer.clone());
        }
        peer
    }

    /// Ends connections that were unused for longer than `age`, and forgets those that have ended.
    pub fn expire(&self, age: Duration) {
        self.peers.borrow_mut().retain(|_, peer| peer.expire(age));
    }

    /// Ends the connections of a pod that leaves as soon as their calls have ended.
    pub fn forget(&self, source: u64) {
        self.peers.borrow_mut().retain(|key, _| key.source != source);
    }
}

impl Peer {
    /// A place for a call; `dial` makes another connection when there is none with room.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn call(&self, dial: impl AsyncFn() -> Result<Stream, DialError>) -> Result<Call, DialError> {
        let mut waited = false;
        loop {
            match self.next(waited) {
                Next::Call(call) => return Ok(call),
                Next::Wait(mut dialling) => {
                    // It only ever closes.
                    let _ = dialling.changed().await;
                    waited = true;
                }
                Next::Dial(done) => {
                    let _dialling = done.map(|done| Dialling { peer: self, _done: done });
                    return self.add(dial().await?).await;
                }
            }
        }
    }

    fn next(&self, waited: bool) -> Next {
        let mut open = self.open.borrow_mut();
        open.retain(|connection| connection.is_open());
        if let Some(connection) = open.iter().find(|connection| connection.has_room()) {
            return Next::Call(Call::on(connection, true));
        }
        // Who has waited for another connection and still finds no room waits for a stream instead.
        if (waited || open.len() >= CONNECTIONS_PER_PEER_MAX)
            && let Some(connection) = open.iter().min_by_key(|connection| connection.calls.get())
        {
            return Next::Call(Call::on(connection, true));
        }
        let mut dialling = self.dialling.borrow_mut();
        match dialling.as_ref() {
            // Whoever was waited for has failed: everybody for himself, or all would wait for each other in turn.
            _ if waited => Next::Dial(None),
            Some(dialling) => Next::Wait(dialling.clone()),
            None => {
                let (done, waiting) = watch::channel(());
                *dialling = Some(waiting);
                Next::Dial(Some(done))
            }
        }
    }

    async fn add(&self, stream: Stream) -> Result<Call, DialError> {
        let local = stream.local_addr();
        let handshake = client_builder().handshake(Transport::new(stream, Bytes::new()));
        let (sender, driver) = handshake.await.map_err(|error| DialError::Connect(into_io(error)))?;
        tokio::task::spawn_local(async move {
            // Its streams learn how it ended.
            let _ = driver.await;
        });
        let connection =
            Rc::new(Connection { sender, local, calls: Cell::new(0), idle_since: Cell::new(Instant::now()) });
        let mut open = self.open.borrow_mut();
        if open.len() < CONNECTIONS_PER_PEER_MAX {
            open.push(connection.clone());
        }
        Ok(Call::on(&connection, false))
    }

    /// False when nothing is left of it.
    fn expire(&self, age: Duration) -> bool {
        let now = Instant::now();
        let mut open = self.open.borrow_mut();
        open.retain(|connection| {
            let is_idle = connection.calls.get() == 0 && now.duration_since(connection.idle_since.get()) >= age;
            !is_idle && connection.is_open()
        });
        !open.is_empty() || self.dialling.borrow().is_some()
    }
}

impl Connection {
    /// Has the peer neither ended it nor said that it takes no more?
    fn is_open(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        !matches!(self.sender.clone().poll_ready(&mut cx), Poll::Ready(Err(_)))
    }

    fn has_room(&self) -> bool {
        self.calls.get() < self.sender.current_max_send_streams()
    }
}

impl Call {
    fn on(connection: &Rc<Connection>, reused: bool) -> Self {
        connection.calls.set(connection.calls.get() + 1);
        Self { sender: connection.sender.clone(), local: connection.local, reused, connection: connection.clone() }
    }
}

impl Call {
    /// Does the peer take extended CONNECT (RFC 8441)? Its settings say so, the first thing it says on a connection.
    pub(super) async fn takes_tunnels(&self) -> bool {
        let told = async {
            while !self.sender.is_extended_connect_protocol_enabled() {
                tokio::time::sleep(SETTINGS_LOOK).await;
            }
        };
        tokio::time::timeout(SETTINGS_WAIT, told).await.is_ok()
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.connection.calls.set(self.connection.calls.get() - 1);
        self.connection.idle_since.set(Instant::now());
    }
}

/// A call that dials for all others; when it ends, however it does, the next one may.
struct Dialling<'a> {
    peer: &'a Peer,
    _done: watch::Sender<()>,
}

impl Drop for Dialling<'_> {
    fn drop(&mut self) {
        *self.peer.dialling.borrow_mut() = None;
    }
}

fn into_io(error: h2::Error) -> io::Error {
    if error.is_io() {
        error.into_io().unwrap_or_else(|| io::ErrorKind::BrokenPipe.into())
    } else {
        io::Error::other(error)
    }
}
