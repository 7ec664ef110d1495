//! The wires: one bridge per cluster, one network namespace and cable per node, the routes to pods.
//!
//! Everything is made by ip(8), only where it is missing, and found again by its name.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::layout::{Family, Layout, Node};
use crate::run::Cmd;

/// Makes the bridge and gives it the machine's address on it.
pub fn provide_bridge(layout: &Layout) -> Result<()> {
    let bridge = layout.bridge();
    if !link_exists(&bridge) {
        ip(&["link", "add", &bridge, "type", "bridge"])?;
    }
    ip(&["link", "set", &bridge, "up"])?;
    for family in Family::of(layout) {
        // Nobody else can have the address: it need not be looked for before it is used.
        ip(&[
            "address",
            "replace",
            &format!("{}/{}", family.gateway(layout), family.prefix()),
            "dev",
            &bridge,
            "nodad",
        ])?;
    }
    allow_bridged(&bridge)
}

/// Lets frames between nodes pass where the machine filters what bridges carry, as with Docker on it.
fn allow_bridged(bridge: &str) -> Result<()> {
    if !filters_bridged() || iptables("--check", bridge).is_ok() {
        return Ok(());
    }
    iptables("--insert", bridge)
}

fn filters_bridged() -> bool {
    fs::read_to_string("/proc/sys/net/bridge/bridge-nf-call-iptables").is_ok_and(|filters| filters.trim() == "1")
}

fn iptables(command: &str, bridge: &str) -> Result<()> {
    let rule = ["--in-interface", bridge, "--out-interface", bridge, "--jump", "ACCEPT"];
    Cmd::new("iptables").args(["--wait", command, "FORWARD"]).args(rule).read().map(|_said| ())
}

/// Whether the machine has this cluster's bridge, or one of another cluster with the same index.
pub fn has_bridge(layout: &Layout) -> bool {
    link_exists(&layout.bridge())
}

/// Makes the node's network namespace, with a cable to the bridge.
pub fn provide_node(node: Node<'_>) -> Result<()> {
    let (netns, cable) = (node.netns(), node.cable());
    if !Path::new("/run/netns").join(&netns).exists() {
        ip(&["netns", "add", &netns])?;
    }
    if !link_exists(&cable) {
        ip(&["link", "add", &cable, "type", "veth", "peer", "name", "eth0", "netns", &netns])?;
    }
    ip(&["link", "set", &cable, "master", &node.cluster.bridge(), "up"])?;
    ip(&["-n", &netns, "link", "set", "lo", "up"])?;
    ip(&["-n", &netns, "link", "set", "eth0", "up"])?;
    for family in Family::of(node.cluster) {
        let (address, gateway) = (format!("{}/{}", family.node(node), family.prefix()), family.gateway(node.cluster));
        ip(&["-n", &netns, "address", "replace", &address, "dev", "eth0", "nodad"])?;
        ip(&["-n", &netns, family.option(), "route", "replace", "default", "via", &gateway.to_string()])?;
    }
    Ok(())
}

/// Tells the machine and every node where each node's pods are.
pub fn provide_routes(layout: &Layout) -> Result<()> {
    let families = Family::of(layout);
    for (target, family) in layout.all_nodes().flat_map(|node| families.iter().map(move |family| (node, family))) {
        let (pods, via) = (family.pods_of(target), family.node(target).to_string());
        ip(&["route", "replace", &pods, "via", &via])?;
        for source in layout.all_nodes().filter(|source| source.number != target.number) {
            ip(&["-n", &source.netns(), "route", "replace", &pods, "via", &via])?;
        }
    }
    Ok(())
}

/// Removes the node's namespace and with it the cable.
pub fn remove_node(node: Node<'_>) -> Result<()> {
    if link_exists(&node.cable()) {
        ip(&["link", "delete", &node.cable()])?;
    }
    if Path::new("/run/netns").join(node.netns()).exists() {
        ip(&["netns", "delete", &node.netns()])?;
    }
    Ok(())
}

/// Removes the bridge and with it the routes over it.
pub fn remove_bridge(layout: &Layout) -> Result<()> {
    if link_exists(&layout.bridge()) {
        ip(&["link", "delete", &layout.bridge()])?;
    }
    while filters_bridged() && iptables("--check", &layout.bridge()).is_ok() {
        iptables("--delete", &layout.bridge())?;
    }
    Ok(())
}

/// Makes the routes into `network` exactly these: from address to next hop.
pub fn replace_routes(network: &str, wanted: &BTreeMap<Ipv4Addr, Ipv4Addr>) -> Result<()> {
    let shown = Cmd::new("ip").args(["route", "show", "root", network]).read()?;
    for address in shown.lines().filter_map(|line| line.split_whitespace().next()) {
        if !address.parse().is_ok_and(|address: Ipv4Addr| wanted.contains_key(&address)) {
            ip(&["route", "delete", address])?;
        }
    }
    wanted
        .iter()
        .try_for_each(|(address, via)| ip(&["route", "replace", &address.to_string(), "via", &via.to_string()]))
}

/// The node's network namespace as a number that changes when the node is rebooted.
pub fn namespace_id(node: Node<'_>) -> Result<u64> {
    use std::os::unix::fs::MetadataExt as _;
    let path = Path::new("/run/netns").join(node.netns());
    let metadata = fs::metadata(&path).with_context(|| format!("no network namespace {}", path.display()))?;
    Ok(metadata.ino())
}

fn link_exists(name: &str) -> bool {
    Path::new("/sys/class/net").join(name).exists()
}

fn ip(args: &[&str]) -> Result<()> {
    Cmd::new("ip").args(args).read().map(|_said| ())
}
