//! TLS sessions that a workload may resume as a client, bound to both identities.
//!
//! One [`Sessions`] belongs to one certificate of one source identity, and [`PeerSessions`] is the view that the
//! configuration for one expected destination identity gets. So a session can be resumed only by the identity (and
//! the certificate) that opened it, and only towards the identity that was verified when it was opened: a resumed
//! handshake shows no certificates, it inherits what the full one proved. rustls adds a second lock: it refuses
//! sessions of another verifier or another client certificate.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustls::{
    NamedGroup,
    client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue},
};
use rustls_pki_types::ServerName;
use weft_model::identity::SpiffeId;

use super::{bounded::BoundedMap, tls::Purpose};

/// Destinations (pods, if the caller names the server by address) remembered per source identity.
const MAX_DESTINATIONS: usize = 1024;
/// Tickets kept per destination; each serves one handshake (RFC 8446, appendix C.4) and holds about 2 KiB.
const MAX_TICKETS: usize = 4;

type Key = (Purpose, SpiffeId, ServerName<'static>);

/// All resumable sessions of one source identity.
pub(super) struct Sessions(Mutex<BoundedMap<Key, Destination>>);

#[derive(Default)]
struct Destination {
    group: Option<NamedGroup>,
    tickets: VecDeque<Tls13ClientSessionValue>,
}

impl Sessions {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(BoundedMap::new(MAX_DESTINATIONS))))
    }

    fn lock(&self) -> MutexGuard<'_, BoundedMap<Key, Destination>> {
        // A panic elsewhere cannot leave a half-written ticket, so the map stays usable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sessions towards one destination identity, as rustls asks for them.
pub(super) struct PeerSessions {
    pub(super) sessions: Arc<Sessions>,
    pub(super) purpose: Purpose,
    pub(super) peer: SpiffeId,
}

impl PeerSessions {
    fn key(&self, server: &ServerName<'_>) -> Key {
        (self.purpose, self.peer.clone(), server.to_owned())
    }
}

impl fmt::Debug for PeerSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Sessions hold secrets: only their owner is named.
        write!(f, "PeerSessions({:?}, {})", self.purpose, self.peer)
    }
}

impl ClientSessionStore for PeerSessions {
    fn set_kx_hint(&self, server: ServerName<'static>, group: NamedGroup) {
        self.sessions.lock().get_or_insert_with(self.key(&server), Destination::default).group = Some(group);
    }

    fn kx_hint(&self, server: &ServerName<'_>) -> Option<NamedGroup> {
        self.sessions.lock().get_mut(&self.key(server)).and_then(|destination| destination.group)
    }

    // TLS 1.2 is spoken only to old peers and always with a full handshake: its sessions are not kept.
    fn set_tls12_session(&self, _server: ServerName<'static>, _session: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _server: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, server: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        let mut sessions = self.sessions.lock();
        let tickets = &mut sessions.get_or_insert_with(self.key(&server), Destination::default).tickets;
        if tickets.len() >= MAX_TICKETS {
            tickets.pop_front();
        }
        tickets.push_back(ticket);
    }

    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.sessions.lock().get_mut(&self.key(server)).and_then(|destination| destination.tickets.pop_back())
    }
}

#[cfg(test)]
mod tests;
