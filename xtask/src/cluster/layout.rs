//! Names, addresses and folders of one cluster: all of them follow from its name and its index.
//!
//! Owns the arithmetic only, so that several clusters cannot meet; nothing here touches the machine.

mod family;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use family::Family;

/// How many clusters fit beside each other; the index is a part of every address.
pub const CLUSTERS_MAX: u8 = 32;

/// How many nodes a cluster may have: a machine has room for few, and an address for fewer than 200.
pub const NODES_MAX: u8 = 16;

/// The longest name, in characters: it becomes a part of file and namespace names.
const NAME_LENGTH_MAX: usize = 20;

/// The API server's own address in the services' network, always its first.
pub const API_SERVICE: &str = "10.96.0.1";

/// Cluster DNS, by convention the tenth address.
pub const DNS_SERVICE: &str = "10.96.0.10";

/// What tells a cluster from all others on the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// As the user calls it.
    pub name: String,
    /// Free when the cluster was made; below [`CLUSTERS_MAX`].
    pub index: u8,
    /// How many nodes it has, numbered from 1.
    pub nodes: u8,
    /// Whether pods and Services may have IPv6 addresses beside their IPv4 ones.
    #[serde(default)]
    pub dual_stack: bool,
    /// Where its files are.
    pub folder: PathBuf,
}

impl Layout {
    /// The bridge that joins control plane and nodes.
    pub fn bridge(&self) -> String {
        format!("weft-c{}", self.index)
    }

    /// The network of the bridge.
    pub fn network(&self) -> String {
        format!("172.30.{}.0/24", self.index)
    }

    /// The machine's own address on the bridge, where API server and registry listen.
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::new(172, 30, self.index, 1)
    }

    /// A loopback address of this cluster's own, for what nodes must not reach: etcd, health ports.
    pub fn loopback(&self) -> Ipv4Addr {
        Ipv4Addr::new(127, 30, self.index, 1)
    }

    /// The network out of which LoadBalancer addresses are given.
    pub fn load_balancers(&self) -> [u8; 3] {
        [172, 31, self.index]
    }

    /// Where the API server answers.
    pub fn api_server(&self) -> String {
        format!("https://{}:6443", self.gateway())
    }

    /// Where etcd answers.
    pub fn etcd(&self) -> String {
        format!("http://{}:2379", self.loopback())
    }

    /// The registry's host and port.
    pub fn registry(&self) -> String {
        format!("{}:5000", self.gateway())
    }

    /// The nodes in order.
    pub fn all_nodes(&self) -> impl Iterator<Item = Node<'_>> {
        (1..=self.nodes).map(|number| self.node(number))
    }

    /// The node of this number, whether the cluster has it or not.
    pub fn node(&self, number: u8) -> Node<'_> {
        Node { cluster: self, number }
    }

    /// A file or folder of the cluster.
    pub fn path(&self, inside: impl AsRef<Path>) -> PathBuf {
        self.folder.join(inside)
    }

    /// A key or certificate.
    pub fn pki(&self, file: &str) -> PathBuf {
        self.folder.join("pki").join(file)
    }

    /// The log of a part of the control plane.
    pub fn log(&self, part: &str) -> PathBuf {
        self.folder.join("log").join(format!("{part}.log"))
    }

    /// The Kubernetes binary, by a link that stays when the cache gets a newer one.
    pub fn kube(&self) -> PathBuf {
        self.folder.join("bin/kube")
    }

    /// The kubeconfig for people.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }
}

/// One node of a cluster.
#[derive(Clone, Copy, Debug)]
pub struct Node<'a> {
    /// Its cluster.
    pub cluster: &'a Layout,
    /// Counted from 1.
    pub number: u8,
}

impl Node<'_> {
    /// Its name in Kubernetes, its hostname, and the name of its processes as a part of the cluster.
    pub fn name(self) -> String {
        format!("node-{}", self.number)
    }

    /// Its address on the bridge.
    pub fn address(self) -> Ipv4Addr {
        Ipv4Addr::new(172, 30, self.cluster.index, 10 + self.number)
    }

    /// Its network namespace, as `ip netns` names it.
    pub fn netns(self) -> String {
        format!("weft-{}-{}", self.cluster.name, self.name())
    }

    /// The bridge's end of its network cable.
    pub fn cable(self) -> String {
        format!("weft-c{}n{}", self.cluster.index, self.number)
    }

    /// The name of its group in every cgroup hierarchy.
    pub fn cgroup(self) -> String {
        self.netns()
    }

    /// Where its disk is.
    pub fn folder(self) -> PathBuf {
        self.cluster.folder.join("nodes").join(self.name())
    }

    /// The file with the identity of its last start.
    pub fn boot_id(self) -> PathBuf {
        self.folder().join("boot-id")
    }

    /// What its `/var/log` is outside.
    pub fn logs(self) -> PathBuf {
        self.folder().join("disk/var/log")
    }
}

/// Whether a cluster may be called so: the name becomes a part of paths, namespaces and host names.
pub fn is_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=NAME_LENGTH_MAX).contains(&name.len())
        && name.chars().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

#[cfg(test)]
mod tests;
