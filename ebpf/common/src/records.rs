//! Keys and values of the maps. Padding is explicit: the kernel compares keys byte by byte.

use crate::Address;

/// Which way a captured connection goes, seen from the pod.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The pod dialled.
    Outbound = 0,
    /// The pod was dialled.
    Inbound = 1,
}

/// Key of `LISTENERS`: the agent's listening sockets.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerKey {
    /// `SO_NETNS_COOKIE` of the pod's network namespace.
    pub cookie: u64,
    /// A [`Direction`].
    pub direction: u32,
    /// Worker: the CPU's number modulo [`PodRecord::workers`].
    pub worker: u32,
}

/// Value of `PODS`: one enrolled pod, keyed by its namespace's cookie.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodRecord {
    /// How many workers have listeners for this pod (at least 1).
    pub workers: u32,
    /// 1 when `EXCLUDED_PORTS` or `EXCLUDED_NETS` have entries for it: most pods skip those look-ups.
    pub has_exclusions: u32,
    /// 1 when only the networks in `INCLUDED_NETS` are captured outbound.
    pub include_only: u32,
    /// Explicit padding.
    pub padding: u32,
}

/// Key of `EXCLUDED_PORTS`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortKey {
    /// Namespace cookie.
    pub cookie: u64,
    /// A [`Direction`].
    pub direction: u32,
    /// Port, host byte order.
    pub port: u32,
}

/// Data of the longest-prefix-match keys of `EXCLUDED_NETS` and `INCLUDED_NETS`: 64 bits of cookie
/// come first, so a prefix is 64 + the network's length (IPv4: mapped form, 64 + 96 + length).
#[repr(C, packed)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetKey {
    /// Namespace cookie.
    pub cookie: u64,
    /// Address.
    pub address: Address,
}

/// Key of `LOCAL`: a connection that the agent makes inside a pod to the pod itself.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalKey {
    /// Namespace cookie.
    pub cookie: u64,
    /// Source address.
    pub source: Address,
    /// Source port, host byte order.
    pub source_port: u32,
    /// Destination port, host byte order.
    pub destination_port: u32,
}

/// Value of the per-socket flag `EXEMPT` and of `LOCAL`: what the agent uses a socket for. A pod
/// cannot forge it: it is written through the agent's own file descriptor.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExemptKind {
    /// Leaves the pod for another one.
    Upstream = 1,
    /// Goes to the pod's own application in the name of somebody else: passes socket lookup untouched. Its
    /// socket is bound to `lo`, so that no packet from outside can pass for it.
    Application = 2,
    /// The pod reaches itself through its own Service: goes to the inbound listener like any client.
    Hairpin = 3,
    /// Goes to the pod's own application in the name of the pod itself. Not bound to `lo` (the answers to an
    /// address of the pod's own do not come by it); nobody outside can have such an address as its source.
    OwnApplication = 4,
    /// No socket of the agent: the kubelet of this node asks an application how it is, and passes untouched.
    Kubelet = 5,
}

/// Key of `KUBELETS`: a process that the agent has recognised as this node's kubelet.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KubeletKey {
    /// Cookie of the host's network namespace.
    pub cookie: u64,
    /// Its process id, in the agent's pid namespace.
    pub tgid: u32,
    /// Explicit padding.
    pub padding: u32,
}

/// Value of `KUBELETS`: which ports its connections may have, the host's own range of ephemeral ones.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KubeletRecord {
    /// The first.
    pub first_port: u32,
    /// How many, at least 1.
    pub ports: u32,
}

/// Value of `PROBED`, keyed by an address of a captured pod.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbedPod {
    /// Cookie of the pod's namespace.
    pub cookie: u64,
    /// The address by which the host reaches the pod.
    pub source: Address,
}

const _: () = {
    assert!(size_of::<KubeletKey>() == 16);
    assert!(size_of::<KubeletRecord>() == 8);
    assert!(size_of::<ProbedPod>() == 24);
    assert!(size_of::<ListenerKey>() == 16);
    assert!(size_of::<PodRecord>() == 16);
    assert!(size_of::<PortKey>() == 16);
    assert!(size_of::<NetKey>() == 24);
    assert!(size_of::<LocalKey>() == 32);
};

#[cfg(feature = "user")]
mod user {
    // SAFETY: `repr(C)` (or `repr(C, packed)`), only integers inside, no implicit padding (sizes are asserted above).
    unsafe impl aya::Pod for super::ListenerKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::PodRecord {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::PortKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::NetKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::LocalKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::KubeletKey {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::KubeletRecord {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::ProbedPod {}
}
