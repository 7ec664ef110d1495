//! From an event to its series without formatting a label: a cache per worker thread.
//!
//! The key is what the labels depend on, with workloads and Services compared by pointer. An entry
//! keeps its pointers alive, so an address cannot come to mean another pod. Snapshots bring new
//! pointers: the first event after one formats the labels again and finds the same series by text.

use std::{cell::RefCell, collections::HashMap, hash::BuildHasherDefault, hash::Hasher, sync::Arc};

use weft_model::{decision::Cluster, identity::SpiffeId, outcome::ResponseFlag, workload::Workload};

use crate::dataplane::event::{ConnectionInfo, Party, Reporter};

use super::{
    labels::{Facts, Protocol},
    pods::{Pod, Series},
};

/// Entries per worker thread; a full cache starts anew, so a flood of hosts cannot grow it.
const MAX_ENTRIES: usize = 4_096;

/// Where an event belongs.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The pod that reports.
    pub(super) pod: Arc<Pod>,
    /// Its series.
    pub(super) series: Series,
    /// The series is one that takes in what exceeds the bounds.
    pub(super) is_overflow: bool,
}

/// Which cache contents are valid: those of one `Telemetry` between two snapshots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Era {
    /// Number of the `Telemetry`; 0 is none.
    pub(super) telemetry: u64,
    /// Counts up whenever pods may have gone.
    pub(super) generation: u64,
}

thread_local! {
    static CACHE: RefCell<Cache> = RefCell::default();
}

#[derive(Default)]
struct Cache {
    era: Era,
    entries: HashMap<u64, Entry, BuildHasherDefault<AsIs>>,
    line: String,
}

struct Entry {
    key: Key,
    place: Place,
}

/// Calls `then` with the place of an event, found by `resolve` when this thread has not seen its
/// like in this era, and with a buffer for a log line.
pub(super) fn with_place<T>(
    era: Era,
    facts: &Facts<'_>,
    resolve: impl FnOnce() -> Place,
    then: impl FnOnce(&Place, &mut String) -> T,
) -> T {
    CACHE.with_borrow_mut(|cache| {
        if cache.era != era || cache.entries.len() >= MAX_ENTRIES {
            cache.entries.clear();
            cache.era = era;
        }
        let hash = hash(facts);
        // Two keys with one hash take turns: slow, and right.
        if !cache.entries.get(&hash).is_some_and(|entry| entry.key.is_of(facts)) {
            cache.entries.insert(hash, Entry { key: Key::new(facts), place: resolve() });
        }
        let Cache { entries, line, .. } = cache;
        then(&entries[&hash].place, line)
    })
}

/// The owned form of [`Facts`].
struct Key {
    reporter: Reporter,
    owner: Arc<Workload>,
    source: Party,
    destination: Party,
    cluster: Option<Cluster>,
    mutual_tls: bool,
    protocol: Protocol,
    status: u16,
    grpc_status: Option<u8>,
    flags: Box<[ResponseFlag]>,
    host: Option<Box<str>>,
}

impl Key {
    fn new(facts: &Facts<'_>) -> Self {
        let ConnectionInfo { reporter, owner, source, destination, cluster, mutual_tls, .. } = facts.connection;
        Self {
            reporter: *reporter,
            owner: owner.clone(),
            source: source.clone(),
            destination: destination.clone(),
            cluster: cluster.clone(),
            mutual_tls: *mutual_tls,
            protocol: facts.protocol,
            status: facts.status,
            grpc_status: facts.grpc_status,
            flags: facts.flags.into(),
            host: facts.host().map(Into::into),
        }
    }

    fn is_of(&self, facts: &Facts<'_>) -> bool {
        let connection = facts.connection;
        Arc::ptr_eq(&self.owner, &connection.owner)
            && self.reporter == connection.reporter
            && self.status == facts.status
            && self.grpc_status == facts.grpc_status
            && self.protocol == facts.protocol
            && self.mutual_tls == connection.mutual_tls
            && *self.flags == *facts.flags
            && same_party(&self.source, &connection.source)
            && same_party(&self.destination, &connection.destination)
            && same_cluster(self.cluster.as_ref(), connection.cluster.as_ref())
            && self.host.as_deref() == facts.host()
    }
}

fn same_party(a: &Party, b: &Party) -> bool {
    let same_workload = match (&a.workload, &b.workload) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (None, None) => true,
        _ => false,
    };
    same_workload && a.principal == b.principal
}

/// Ports and subsets are no labels.
fn same_cluster(a: Option<&Cluster>, b: Option<&Cluster>) -> bool {
    match (a, b) {
        (Some(Cluster::Service { service: a, .. }), Some(Cluster::Service { service: b, .. })) => Arc::ptr_eq(a, b),
        // The pod itself is no label either: the destination's workload is.
        (Some(Cluster::Pod(_)), Some(Cluster::Pod(_)))
        | (Some(Cluster::Passthrough), Some(Cluster::Passthrough))
        | (Some(Cluster::BlackHole), Some(Cluster::BlackHole))
        | (None, None) => true,
        (Some(Cluster::Unknown(a)), Some(Cluster::Unknown(b))) => a == b,
        _ => false,
    }
}

fn hash(facts: &Facts<'_>) -> u64 {
    let connection = facts.connection;
    let mut mix = Mix(0);
    mix.pointer(&connection.owner);
    mix.party(&connection.source);
    mix.party(&connection.destination);
    match &connection.cluster {
        None => mix.word(1),
        Some(Cluster::Passthrough) => mix.word(2),
        Some(Cluster::BlackHole) => mix.word(3),
        Some(Cluster::Pod(_)) => mix.word(4),
        Some(Cluster::Service { service, .. }) => mix.pointer(service),
        Some(Cluster::Unknown(host)) => mix.text(host),
    }
    let small = u64::from(facts.status)
        | u64::from(connection.mutual_tls) << 16
        | (connection.reporter as u64) << 17
        | (facts.protocol as u64) << 18
        | facts.grpc_status.map_or(0, |status| u64::from(status) + 1) << 24;
    mix.word(small);
    for flag in facts.flags {
        mix.word(*flag as u64 + 1);
    }
    if let Some(host) = facts.host() {
        mix.text(host);
    }
    mix.finish()
}

/// A multiplicative hash (the constant is that of the golden ratio, Knuth 6.4). It needs no secret:
/// equal hashes only cost the look-up by text, which is keyed with a secret.
struct Mix(u64);

impl Mix {
    fn word(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn pointer<T>(&mut self, arc: &Arc<T>) {
        self.word(Arc::as_ptr(arc) as usize as u64);
    }

    fn text(&mut self, text: &str) {
        let (words, rest) = text.as_bytes().as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.word(u64::from_le_bytes(last) ^ (text.len() as u64) << 56);
    }

    fn party(&mut self, party: &Party) {
        match &party.workload {
            Some(workload) => self.pointer(workload),
            None => self.word(1),
        }
        // By text: each handshake may parse a principal of its own.
        if let Some(SpiffeId { trust_domain, namespace, service_account }) = &party.principal {
            self.text(trust_domain);
            self.text(namespace);
            self.text(service_account);
        }
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}

/// The map's keys are hashes already.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = word;
    }
}
