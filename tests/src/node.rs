//! Emulated nodes: network namespaces that forward for their pods, joined by a bridge in a namespace of its own (the fabric).
//!
//! Owned by `state`. Nothing is attached to the machine's own network, so clusters with the same addresses run side by side.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::id::ClusterId;
use crate::link::{batch, node_v4, node_v6};
use crate::netns::{Netns, sysctl};

/// The address of the client outside the cluster, on the fabric.
pub(crate) const OUTSIDE_V4: Ipv4Addr = Ipv4Addr::new(172, 30, 0, 254);
const OUTSIDE_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x172, 0, 0, 0, 0, 0, 0xfe);
/// More would run into the addresses of load balancers.
pub(crate) const MAX_NODES: usize = 100;

/// A node: its number fixes its addresses (172.30.0.N, fd00:172::N) and its pods' ranges (10.244.N.0/24, fd00:244:N::/64).
#[derive(Clone, Debug)]
pub struct Node {
    name: String,
    number: u8,
    netns: Netns,
    labels: BTreeMap<String, String>,
}

impl Node {
    /// Makes node number `number` and plugs it into the fabric; routes to and from `others` are added on both sides.
    pub(crate) fn create(
        id: &ClusterId,
        name: &str,
        number: u8,
        labels: &[(&str, &str)],
        fabric: &Fabric,
        others: &[Self],
    ) -> Result<Self> {
        let netns = Netns::create(&format!("{id}-node-{name}")).with_context(|| format!("making node {name}"))?;
        netns.run(|| {
            sysctl("ipv4/ip_forward", "1")?;
            sysctl("ipv6/conf/all/forwarding", "1")
        })??;
        let (v4, v6) = (node_v4(number), node_v6(number));
        fabric.plug(&netns, &format!("node{number}"), v4, v6)?;
        let mut labels: BTreeMap<String, String> = labels.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        labels.insert("kubernetes.io/hostname".into(), name.to_owned());
        labels.insert("kubernetes.io/os".into(), "linux".into());
        let node = Self { name: name.to_owned(), number, netns, labels };
        let routes: String = others.iter().map(Self::route_to).collect();
        let world = format!("route add default via {OUTSIDE_V4}\nroute add default via {OUTSIDE_V6}\n");
        batch(&node.netns, &(routes + &world))?;
        for netns in others.iter().map(|other| &other.netns).chain([&fabric.outside]) {
            batch(netns, &node.route_to())?;
        }
        Ok(node)
    }

    /// The node's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The node's network namespace.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// The node's IPv4 address on the fabric.
    pub fn address(&self) -> IpAddr {
        node_v4(self.number).into()
    }

    /// The node's IPv6 address on the fabric.
    pub fn address_v6(&self) -> IpAddr {
        node_v6(self.number).into()
    }

    /// The node's labels.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.labels
    }

    pub(crate) fn number(&self) -> u8 {
        self.number
    }

    /// The Node object, as a kubelet would register it.
    pub(crate) fn object(&self) -> Value {
        let cidrs = [format!("10.244.{}.0/24", self.number), format!("fd00:244:{}::/64", self.number)];
        json!({"apiVersion": "v1", "kind": "Node",
            "metadata": {"name": self.name, "labels": self.labels, "annotations": {"weft.dev/netns": self.netns.name()}},
            "spec": {"podCIDR": cidrs[0], "podCIDRs": cidrs},
            "status": {"addresses": [
                {"type": "InternalIP", "address": self.address().to_string()},
                {"type": "InternalIP", "address": self.address_v6().to_string()},
                {"type": "Hostname", "address": self.name}],
              "conditions": [{"type": "Ready", "status": "True"}]}})
    }

    /// How others reach this node's pods.
    fn route_to(&self) -> String {
        let n = self.number;
        format!(
            "route add 10.244.{n}.0/24 via {}\nroute add fd00:244:{n}::/64 via {}\n",
            self.address(),
            self.address_v6()
        )
    }
}

/// The network between nodes: a bridge, and a client that is not part of the cluster.
#[derive(Clone, Debug)]
pub(crate) struct Fabric {
    bridge: Netns,
    pub(crate) outside: Netns,
}

impl Fabric {
    pub(crate) fn create(id: &ClusterId) -> Result<Self> {
        let bridge = Netns::create(&format!("{id}-fabric"))?;
        batch(&bridge, "link set lo up\nlink add br0 type bridge\nlink set br0 addrgenmode none up\n")?;
        let outside = Netns::create(&format!("{id}-outside"))?;
        // It is the nodes' way to the world, and says of what is not there that it cannot be reached.
        outside.run(|| {
            sysctl("ipv4/ip_forward", "1")?;
            sysctl("ipv6/conf/all/forwarding", "1")
        })??;
        let fabric = Self { bridge, outside: outside.clone() };
        fabric.plug(&outside, "outside", OUTSIDE_V4, OUTSIDE_V6)?;
        Ok(fabric)
    }

    /// Gives `netns` an `eth0` on the bridge; `port` is the bridge's end.
    fn plug(&self, netns: &Netns, port: &str, v4: Ipv4Addr, v6: Ipv6Addr) -> Result<()> {
        let name = netns.name();
        batch(
            &self.bridge,
            &format!(
                "link add {port} type veth peer name eth0 netns {name}\nlink set {port} addrgenmode none\n\
                 link set {port} master br0 up\n"
            ),
        )?;
        batch(
            netns,
            &format!("link set lo up\naddr add {v4}/24 dev eth0\naddr add {v6}/64 dev eth0 nodad\nlink set eth0 up\n"),
        )
    }
}
