//! The address families of a cluster: every address and network of it in IPv4, and in a dual-stack cluster in IPv6, too.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Layout, Node};

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Every cluster has it, and it comes first wherever both are named.
    V4,
    /// Only a dual-stack cluster has it.
    V6,
}

impl Family {
    /// The families of this cluster.
    pub fn of(layout: &Layout) -> &'static [Self] {
        if layout.dual_stack { &[Self::V4, Self::V6] } else { &[Self::V4] }
    }

    /// Something in every family of the cluster, as Kubernetes' options take it.
    pub fn list(layout: &Layout, what: impl Fn(Self) -> String) -> String {
        Self::of(layout).iter().map(|family| what(*family)).collect::<Vec<_>>().join(",")
    }

    /// How ip(8) is told.
    pub fn option(self) -> &'static str {
        match self {
            Self::V4 => "-4",
            Self::V6 => "-6",
        }
    }

    /// How many bits of the bridge's network are the same on all nodes.
    pub fn prefix(self) -> u8 {
        match self {
            Self::V4 => 24,
            Self::V6 => 64,
        }
    }

    /// The network of everything.
    pub fn everything(self) -> &'static str {
        match self {
            Self::V4 => "0.0.0.0/0",
            Self::V6 => "::/0",
        }
    }

    /// The services' network, the same in every cluster: only kube-proxy gives these addresses a meaning, inside its node.
    pub fn services(self) -> &'static str {
        match self {
            Self::V4 => "10.96.0.0/16",
            Self::V6 => "fd00:96::/112",
        }
    }

    /// The machine's own address on the bridge.
    pub fn gateway(self, layout: &Layout) -> IpAddr {
        self.on_bridge(layout.index, 1)
    }

    /// A node's address on the bridge.
    pub fn node(self, node: Node<'_>) -> IpAddr {
        self.on_bridge(node.cluster.index, 10 + node.number)
    }

    fn on_bridge(self, index: u8, host: u8) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::new(172, 30, index, host).into(),
            Self::V6 => Ipv6Addr::new(0xfd00, 0x30, index.into(), 0, 0, 0, 0, host.into()).into(),
        }
    }

    /// All pods of the cluster.
    pub fn pods(self, layout: &Layout) -> String {
        match self {
            Self::V4 => format!("10.{}.0.0/16", 100 + layout.index),
            Self::V6 => format!("{}/48", Ipv6Addr::new(0xfd00, 0x10, layout.index.into(), 0, 0, 0, 0, 0)),
        }
    }

    /// The pods of a node.
    pub fn pods_of(self, node: Node<'_>) -> String {
        let (index, number) = (node.cluster.index, node.number);
        match self {
            Self::V4 => format!("10.{}.{number}.0/24", 100 + index),
            Self::V6 => format!("{}/64", Ipv6Addr::new(0xfd00, 0x10, index.into(), number.into(), 0, 0, 0, 0)),
        }
    }
}
