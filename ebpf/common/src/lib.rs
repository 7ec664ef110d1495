//! What kernel and agent both say: map records, and the verdicts of the hooks as plain functions.
//!
//! The hooks of `weft-ebpf` gather facts, ask [`connect_verdict`] or [`lookup_verdict`], and obey;
//! the agent fills the maps whose records are here. Verdicts are tested on the host.
#![cfg_attr(not(test), no_std)]

mod address;
mod records;
mod verdict;

pub use address::Address;
pub use records::{
    Direction, ExemptKind, KubeletKey, KubeletRecord, ListenerKey, LocalKey, NetKey, PodRecord, PortKey, ProbedPod,
};
pub use verdict::{
    ConnectFacts, ConnectVerdict, LookupFacts, LookupVerdict, connect_verdict, is_recent_probe, lookup_verdict,
};

/// Firewall mark of captured connections and of the agent's connections to applications. Set by the
/// connect hook, routed to `lo` by an `ip rule` in the pod's namespace. Carries no trust: a pod that
/// sets it itself only has its own traffic captured.
pub const CAPTURE_MARK: u32 = 0x7e77_0001;

/// Routing table in each enrolled pod's namespace that leads marked traffic to `lo`.
pub const CAPTURE_TABLE: u32 = 7337;

/// Interface index of `lo` in every network namespace (Linux: the first one registered).
pub const LOOPBACK_IFINDEX: u32 = 1;

/// Port on which the agent answers for a pod inside its namespace (metrics), as Istio's agent does.
pub const POD_STATS_PORT: u16 = 15020;

/// How long a connection that the kubelet began is recognised in the pod, in nanoseconds: its SYN may have to be sent
/// three times, after 1 and 2 s.
pub const PROBE_NANOS: u64 = 5_000_000_000;

/// Most addresses of captured pods: two for each.
pub const ADDRESSES_MAX: u32 = 2 * PODS_MAX;

/// Most processes that are recognised as the kubelet at once: one, and others while it is replaced.
pub const KUBELETS_MAX: u32 = 8;

/// IANA protocol number of TCP.
pub const IPPROTO_TCP: u32 = 6;

/// Linux' protocol number of MPTCP sockets (`IPPROTO_MPTCP`, Linux 5.6).
pub const IPPROTO_MPTCP: u32 = 262;

/// Most pods that one agent can capture at once (size of the pod map; 4 times kubelet's usual limit).
pub const PODS_MAX: u32 = 1024;

/// Most listening sockets of one agent (size of the listener map): two for each pod and worker.
pub const LISTENERS_MAX: u32 = 16_384;
