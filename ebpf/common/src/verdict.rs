//! What the hooks decide, as plain functions of facts. Map look-ups that are not always needed are
//! done by the hook first and handed in as facts.

use crate::{
    Address, Direction, ExemptKind, IPPROTO_MPTCP, IPPROTO_TCP, LOOPBACK_IFINDEX, POD_STATS_PORT, PROBE_NANOS,
};

/// What the connect hook knows of a socket in an enrolled pod's namespace.
#[derive(Clone, Copy, Debug)]
pub struct ConnectFacts {
    /// IP protocol of the socket.
    pub protocol: u32,
    /// Destination.
    pub destination: Address,
    /// Value of the socket's `EXEMPT` flag, 0 when it has none.
    pub exempt: u32,
    /// Destination port or address is excluded from capture.
    pub excluded: bool,
    /// An agent listens for this pod.
    pub agent_listens: bool,
}

/// What to do with a connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectVerdict {
    /// Leave it alone.
    Pass,
    /// Leave it alone and note it in `LOCAL`, so that socket lookup recognises its SYN.
    PassLocal,
    /// Mark it: routing brings it to the agent's listener.
    Capture,
    /// Refuse it: the pod is enrolled and nobody is there to secure its traffic.
    Refuse,
}

/// Decides a connect of a socket in an enrolled pod's namespace.
#[inline(always)]
pub fn connect_verdict(facts: &ConnectFacts) -> ConnectVerdict {
    if facts.exempt != 0 {
        return if facts.exempt == ExemptKind::Upstream as u32 {
            ConnectVerdict::Pass
        } else {
            ConnectVerdict::PassLocal
        };
    }
    let captured_protocol = facts.protocol == IPPROTO_TCP || facts.protocol == IPPROTO_MPTCP;
    if !captured_protocol || facts.destination.is_local_only() || facts.excluded {
        return ConnectVerdict::Pass;
    }
    if facts.agent_listens { ConnectVerdict::Capture } else { ConnectVerdict::Refuse }
}

/// What socket lookup knows of a SYN that arrived in an enrolled pod's namespace.
#[derive(Clone, Copy, Debug)]
pub struct LookupFacts {
    /// IP protocol.
    pub protocol: u32,
    /// Address the SYN is for.
    pub local: Address,
    /// Port the SYN is for, host byte order.
    pub local_port: u32,
    /// Where it came from.
    pub remote: Address,
    /// Interface it came in by; `lo` for captured connections, since the capture route leads there.
    pub ingress_ifindex: u32,
    /// Value of its entry in `LOCAL`, or that it has one in `PROBES`; 0 when it has none.
    pub noted: u32,
    /// The inbound port is excluded from capture.
    pub excluded: bool,
}

/// What to do with a SYN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupVerdict {
    /// The kernel's own look-up decides.
    Pass,
    /// To the agent's listener of that direction; refused when there is none.
    Steer(Direction),
}

/// Decides a SYN in an enrolled pod's namespace.
///
/// `ingress_ifindex` is not `lo` for a pod that dials its own address (the local table's route names
/// `eth0`), hence the comparison of the two ends.
#[inline(always)]
pub fn lookup_verdict(facts: &LookupFacts) -> LookupVerdict {
    if facts.protocol != IPPROTO_TCP || facts.local.is_local_only() || facts.remote.is_local_only() {
        return LookupVerdict::Pass;
    }
    // The note lives as long as the agent is connecting: without the interface, a packet from outside with
    // the same ports could use it.
    let from_loopback = facts.ingress_ifindex == LOOPBACK_IFINDEX;
    if facts.noted == ExemptKind::OwnApplication as u32
        || (facts.noted == ExemptKind::Application as u32 && from_loopback)
    {
        return LookupVerdict::Pass;
    }
    if facts.noted == ExemptKind::Kubelet as u32 && !from_loopback {
        return LookupVerdict::Pass;
    }
    if facts.noted == ExemptKind::Hairpin as u32 {
        return inbound(facts);
    }
    if facts.local == facts.remote {
        return LookupVerdict::Pass;
    }
    if from_loopback {
        return LookupVerdict::Steer(Direction::Outbound);
    }
    inbound(facts)
}

#[inline(always)]
fn inbound(facts: &LookupFacts) -> LookupVerdict {
    if facts.excluded || facts.local_port == POD_STATS_PORT as u32 {
        LookupVerdict::Pass
    } else {
        LookupVerdict::Steer(Direction::Inbound)
    }
}

/// Is a connection that the kubelet `began` at this time still recognised `now`? The readings are of the clocks of two
/// CPUs: `now` may be a little earlier.
#[inline(always)]
pub const fn is_recent_probe(began: u64, now: u64) -> bool {
    now.saturating_sub(began) < PROBE_NANOS
}

#[cfg(test)]
mod tests;
