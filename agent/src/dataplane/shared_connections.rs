//! Connections that the requests of one pod to one other pod share ([`mux`]), per worker.
//!
//! [`super::http::outbound`] asks for a stream; the first request to a peer dials, the others that come meanwhile wait
//! for the outcome instead of dialling, too. Whether the peer can do it shows the handshake: a sidecar chooses
//! `istio-http/1.1`, and its connections carry one exchange at a time. [`serve`] is the other end.

use std::{
    cell::RefCell,
    collections::HashMap,
    io,
    rc::Rc,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use tokio::sync::watch;
use weft_model::decision::{Forward, UpstreamTls};

use super::{
    dial::DialError,
    http::{self, Wire, inbound::InboundHop},
    inbound::Client,
    pod::{PodContext, View},
    pool::PoolKey,
    worker::Open,
};
use crate::{
    identity::Purpose,
    net::{
        mux::{self, MuxStream, Opener},
        stream::Stream,
    },
};

/// Peers remembered per worker; beyond it requests get connections of their own.
const PEERS_MAX: usize = 10_000;

/// A request whose body is announced to be longer has a connection of its own: it would fill the shared one's buffers.
pub const SHARED_BODY_BYTES_MAX: u64 = 1024 * 1024;

/// How long a peer that cannot share is not asked again.
const SINGLE: Duration = Duration::from_secs(60);

/// How long a connection that takes no new streams is kept for those which were opened before the client heard so.
const FAREWELL: Duration = Duration::from_millis(200);

/// What a worker knows of its peers.
#[derive(Default)]
pub struct SharedConnections {
    peers: RefCell<HashMap<PoolKey, Peer>>,
}

enum Peer {
    /// A request is dialling; the channel closes when it knows more.
    Dialling(watch::Receiver<()>),
    /// Streams can be opened.
    Shared(Opener),
    /// Its connections carry one exchange at a time.
    Single(Instant),
}

/// What to do for one request.
enum Next {
    Open(MuxStream),
    Wait(watch::Receiver<()>),
    Dial(watch::Sender<()>),
    Own,
}

impl SharedConnections {
    /// A new stream to where `forward` leads; true when its connection was there before, and may have ended unseen.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn stream(
        pod: &PodContext,
        view: &View,
        forward: &Forward,
        key: &PoolKey,
    ) -> Result<(Stream, bool), DialError> {
        if forward.tls == UpstreamTls::Plaintext {
            return Ok((pod.dial(view, forward, Purpose::Http).await?, false));
        }
        let shared = &pod.worker.shared_connections;
        let mut waited = false;
        loop {
            match shared.next(key, waited) {
                Next::Open(stream) => return Ok((Stream::Mux(stream), true)),
                Next::Own => return Ok((pod.dial(view, forward, Purpose::Http).await?, false)),
                Next::Wait(mut dialling) => {
                    // It only ever closes.
                    let _ = dialling.changed().await;
                    waited = true;
                }
                Next::Dial(done) => {
                    let dialling = Dialling { shared, key, _done: done };
                    let stream = pod.dial(view, forward, Purpose::Requests).await?;
                    return Ok((dialling.finish(stream)?, false));
                }
            }
        }
    }

    fn next(&self, key: &PoolKey, waited: bool) -> Next {
        let mut peers = self.peers.borrow_mut();
        match peers.get(key) {
            Some(Peer::Shared(opener)) => match opener.open() {
                Some(stream) => return Next::Open(stream),
                // Full: it is fine, and this request is one too many for it.
                None if opener.is_open() => return Next::Own,
                None => {}
            },
            Some(Peer::Single(until)) if Instant::now() < *until => return Next::Own,
            Some(Peer::Dialling(dialling)) => return Next::Wait(dialling.clone()),
            Some(Peer::Single(_)) => {}
            // Whoever was waited for has failed: everybody for himself, or all would wait for each other in turn.
            None if waited || peers.len() >= PEERS_MAX => return Next::Own,
            None => {}
        }
        let (done, dialling) = watch::channel(());
        peers.insert(key.clone(), Peer::Dialling(dialling));
        Next::Dial(done)
    }

    /// Ends connections that nobody uses, and forgets those that have ended.
    pub fn expire(&self) {
        let now = Instant::now();
        self.peers.borrow_mut().retain(|_, peer| match peer {
            Peer::Dialling(_) => true,
            Peer::Single(until) => now < *until,
            Peer::Shared(opener) if opener.is_idle() => {
                opener.go_away();
                false
            }
            Peer::Shared(opener) => opener.is_open(),
        });
    }

    /// Ends the connections of a pod that leaves as soon as their streams have ended.
    pub fn forget(&self, source: u64) {
        self.peers.borrow_mut().retain(|key, peer| {
            if key.source == source
                && let Peer::Shared(opener) = peer
            {
                opener.go_away();
            }
            key.source != source
        });
    }
}

/// A request that dials for all others; when it ends without success, the place is free again.
struct Dialling<'a> {
    shared: &'a SharedConnections,
    key: &'a PoolKey,
    _done: watch::Sender<()>,
}

impl Dialling<'_> {
    /// The connection is there: shared, if its peer agreed.
    fn finish(self, stream: Stream) -> Result<Stream, DialError> {
        let is_shared = matches!(&stream, Stream::Client(tls) if tls.get_ref().1.alpn_protocol() == Some(mux::ALPN));
        let mut peers = self.shared.peers.borrow_mut();
        if !is_shared {
            peers.insert(self.key.clone(), Peer::Single(Instant::now() + SINGLE));
            return Ok(stream);
        }
        let local = stream.local_addr();
        let (opener, driver) = mux::client(stream, local);
        tokio::task::spawn_local(driver);
        let first = opener.open().map(Stream::Mux);
        peers.insert(self.key.clone(), Peer::Shared(opener));
        first.ok_or_else(|| DialError::Connect(io::ErrorKind::ConnectionReset.into()))
    }
}

impl Drop for Dialling<'_> {
    fn drop(&mut self) {
        let mut peers = self.shared.peers.borrow_mut();
        if matches!(peers.get(self.key), Some(Peer::Dialling(_))) {
            peers.remove(self.key);
        }
    }
}

/// Serves the requests of a client that shares one connection among them, until it ends or the agent does.
pub async fn serve(pod: Rc<PodContext>, client: Rc<Client>, stream: Stream) {
    let local = stream.local_addr();
    let (mut acceptor, driver) = mux::server(stream, local);
    let driver = tokio::task::spawn_local(driver);
    let mut drain = pod.worker.shared.drain.clone();
    let mut is_draining = false;
    loop {
        tokio::select! {
            stream = acceptor.accept() => match stream {
                Some(stream) => serve_stream(&pod, &client, stream),
                None => break,
            },
            () = drain.retired(), if !is_draining => {
                acceptor.go_away();
                is_draining = true;
            }
            () = tokio::time::sleep(FAREWELL), if is_draining => {
                if acceptor.is_idle() {
                    break;
                }
            }
        }
    }
    driver.abort();
}

fn serve_stream(pod: &Rc<PodContext>, client: &Rc<Client>, stream: MuxStream) {
    let Some(open) = Open::admit(pod) else { return stream.reset_on_drop() };
    let (pod, mut hop) = (pod.clone(), InboundHop::new(pod.clone(), client.clone(), None));
    tokio::task::spawn_local(async move {
        http::serve(Wire::new(Stream::Mux(stream), BytesMut::new()), &mut hop, &pod.worker.shared).await;
        drop(open);
    });
}
