//! The rows: what can be asked for by name, what each measures, and how names are chosen by patterns.
//!
//! Names are stable: scripts and the results of other days use them. `stage/` says how a row is measured.

use anyhow::{Result, ensure};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::figure::Figure;
use crate::stage::Stage;

/// Something that is run, and yields one or more figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Row {
    /// As many requests as one connection carries.
    Rps1,
    /// As many as 32 carry.
    Rps32,
    /// As many as 128 carry.
    Rps128,
    /// 2,000 requests per second, fewer than everybody can do.
    Latency,
    /// A connection for each request.
    NewConnections,
    /// One stream of bytes.
    Bulk,
    /// What the kernel and the processor count while 32 connections are busy.
    Counters,
    /// Memory under 128 busy connections.
    Loaded,
    /// One agent with ten pods.
    TenPods,
    /// One client pod, one server pod.
    Pairs1,
    /// Eight clients, each with a server of its own.
    Pairs8,
    /// Eight clients that share eight servers.
    Pairs64,
    /// Nothing is asked of the proxies.
    Idle,
    /// 2,000 connections are held.
    HeldConnections,
    /// Ten pods more in the snapshot, of other nodes.
    Snapshot10,
    /// A hundred.
    Snapshot100,
    /// A thousand.
    Snapshot1000,
    /// 1,000 Services with ten pods each.
    SnapshotServices,
}

/// All of them, in the order of the table.
pub const ALL: [Row; 18] = [
    Row::Rps1,
    Row::Rps32,
    Row::Rps128,
    Row::Latency,
    Row::NewConnections,
    Row::Bulk,
    Row::Counters,
    Row::Loaded,
    Row::TenPods,
    Row::Pairs1,
    Row::Pairs8,
    Row::Pairs64,
    Row::Idle,
    Row::HeldConnections,
    Row::Snapshot10,
    Row::Snapshot100,
    Row::Snapshot1000,
    Row::SnapshotServices,
];

impl Row {
    /// What it is asked for by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rps1 => "rps-1",
            Self::Rps32 => "rps-32",
            Self::Rps128 => "rps-128",
            Self::Latency => "latency-2000",
            Self::NewConnections => "new-connections",
            Self::Bulk => "bulk",
            Self::Counters => "counters",
            Self::Loaded => "loaded",
            Self::TenPods => "pods-10",
            Self::Pairs1 => "pairs-1",
            Self::Pairs8 => "pairs-8",
            Self::Pairs64 => "pairs-64",
            Self::Idle => "idle",
            Self::HeldConnections => "connections-2000",
            Self::Snapshot10 => "snapshot-10",
            Self::Snapshot100 => "snapshot-100",
            Self::Snapshot1000 => "snapshot-1000",
            Self::SnapshotServices => "snapshot-services",
        }
    }

    /// What it is, in a line.
    pub fn about(self) -> &'static str {
        match self {
            Self::Rps1 => "requests per second over one connection",
            Self::Rps32 => "requests per second over 32 connections",
            Self::Rps128 => "requests per second over 128 connections",
            Self::Latency => "p50 and p99 at 2,000 requests per second",
            Self::NewConnections => "a new connection for each request",
            Self::Bulk => "one stream of bytes (opaque TCP only)",
            Self::Counters => {
                "system calls, context switches and, where the processor counts, instructions per request"
            }
            Self::Loaded => "resident memory under 128 busy connections",
            Self::TenPods => "resident memory of one agent with ten captured pods",
            Self::Pairs1 => "64 connections from one client pod to one server pod",
            Self::Pairs8 => "64 connections from eight client pods, each to a server pod of its own",
            Self::Pairs64 => "64 connections from eight client pods to a Service with eight server pods",
            Self::Idle => "resident memory and CPU before any load",
            Self::HeldConnections => "resident memory that each of 2,000 connections adds, idle and busy",
            Self::Snapshot10 => "a small cluster: ten pods on other nodes",
            Self::Snapshot100 => "100 pods on other nodes",
            Self::Snapshot1000 => "1,000 pods on other nodes",
            Self::SnapshotServices => "1,000 Services with 10,000 endpoints",
        }
    }

    /// Its figures, in the order of the table; not every system has each of them.
    pub fn figures(self) -> &'static [Figure] {
        match self {
            Self::Rps1
            | Self::Rps32
            | Self::Rps128
            | Self::NewConnections
            | Self::Pairs1
            | Self::Pairs8
            | Self::Pairs64 => &[Figure::Rate, Figure::ProxyCpu, Figure::MachineCpu],
            Self::Latency => &[Figure::P50, Figure::P99],
            Self::Bulk => &[Figure::Throughput, Figure::ProxyCpuPerGb, Figure::MachineCpuPerGb],
            Self::Counters => &[Figure::Syscalls, Figure::ContextSwitches, Figure::Instructions, Figure::Cycles],
            Self::Loaded => &[Figure::Rss],
            Self::TenPods => &[Figure::AgentRss],
            Self::Idle => &[Figure::Rss, Figure::CpuIdle],
            Self::HeldConnections => &[Figure::IdlePair, Figure::ActivePair],
            Self::Snapshot10 | Self::Snapshot100 | Self::Snapshot1000 | Self::SnapshotServices => {
                &[Figure::Change, Figure::AgentRss, Figure::Rate]
            }
        }
    }

    /// What a figure of it is called.
    pub fn label(self, figure: Figure) -> &'static str {
        match (self, figure) {
            (Self::NewConnections, Figure::Rate) => "new connections/s",
            (Self::NewConnections, Figure::ProxyCpu) => "proxy CPU per new connection, both proxies",
            (Self::NewConnections, Figure::MachineCpu) => "machine CPU per new connection",
            (Self::Rps1, Figure::Rate) => "requests/s, 1 connection",
            (Self::Rps32, Figure::Rate) => "requests/s, 32 connections",
            (Self::Rps128, Figure::Rate) => "requests/s, 128 connections",
            (Self::Pairs1, Figure::Rate) => "requests/s, 64 connections, 1 pair of pods",
            (Self::Pairs8, Figure::Rate) => "requests/s, 64 connections, 8 pairs",
            (Self::Pairs64, Figure::Rate) => "requests/s, 64 connections, 64 pairs",
            (Self::Loaded, Figure::Rss) => "RSS of both proxies, 128 busy connections",
            (Self::Idle, Figure::Rss) => "RSS of both proxies, idle",
            (Self::TenPods, Figure::AgentRss) => "RSS of one agent with ten pods",
            (_, Figure::Rate) => "requests/s, 32 connections",
            (_, Figure::P50) => "p50 at 2,000 requests/s",
            (_, Figure::P99) => "p99 at 2,000 requests/s",
            (_, Figure::Throughput) => "one stream",
            (_, Figure::ProxyCpu) => "proxy CPU per request, both proxies",
            (_, Figure::MachineCpu) => "machine CPU per request",
            (_, Figure::ProxyCpuPerGb) => "proxy CPU per GB, both proxies",
            (_, Figure::MachineCpuPerGb) => "machine CPU per GB",
            (_, Figure::Syscalls) => "system calls per request, both proxies",
            (_, Figure::ContextSwitches) => "context switches per request, both proxies",
            (_, Figure::Instructions) => "instructions per request, both proxies",
            (_, Figure::Cycles) => "cycles per request, both proxies",
            (_, Figure::CpuIdle) => "CPU of both proxies, idle",
            (_, Figure::Rss) => "RSS of both proxies",
            (_, Figure::AgentRss) => "RSS of one agent",
            (_, Figure::IdlePair) => "RSS per idle connection, both proxies",
            (_, Figure::ActivePair) => "RSS per busy connection, both proxies",
            (_, Figure::Change) => "a change acts after",
        }
    }

    /// The world it is measured in.
    pub fn stage(self) -> Stage {
        match self {
            Self::Pairs1 | Self::Pairs8 | Self::Pairs64 => Stage::Pairs,
            Self::Idle | Self::HeldConnections => Stage::Memory,
            Self::Snapshot10 | Self::Snapshot100 | Self::Snapshot1000 | Self::SnapshotServices => Stage::Growth,
            _ => Stage::Base,
        }
    }
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = ALL.into_iter().find(|row| row.name() == name);
        known.ok_or_else(|| D::Error::custom(format!("no row is called {name:?}")))
    }
}

/// Names with `*` for any text, as typed.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Patterns(pub Vec<String>);

impl Patterns {
    /// The rows that any of them means, in the order of the table; no pattern at all means every row.
    ///
    /// # Errors
    /// Names a pattern that means nothing: a row left out by a slip is noticed when the machine is quiet no more.
    pub fn choose(&self) -> Result<Vec<Row>> {
        if self.0.is_empty() {
            return Ok(ALL.to_vec());
        }
        for pattern in &self.0 {
            let known = || ALL.map(Row::name).join(", ");
            ensure!(
                ALL.iter().any(|row| matches(pattern, row.name())),
                "no row is called {pattern:?}: there are {}; `*` stands for any text",
                known()
            );
        }
        let wanted = |row: &Row| self.0.iter().any(|pattern| matches(pattern, row.name()));
        Ok(ALL.into_iter().filter(wanted).collect())
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(name) = name.strip_prefix(head) else { return false };
    // The star takes nothing, or one more character each time.
    name.char_indices().map(|(at, _)| at).chain([name.len()]).any(|at| matches(rest, &name[at..]))
}

#[cfg(test)]
mod tests;
