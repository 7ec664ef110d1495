//! Links, addresses and routes, by `ip -batch`: one short process per namespace.
//!
//! Called by `node` and `kubelet`. `ip` rather than a netlink library: a batch of ten lines costs 10 ms, and reads like what a
//! person would type.

use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::netns::Netns;

/// A node's addresses and its pods' ranges are functions of its number (1, 2, ...).
pub(crate) fn node_v4(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(172, 30, 0, number)
}

/// The IPv6 address of node `number`.
pub(crate) fn node_v6(number: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 0x172, 0, 0, 0, 0, 0, number.into())
}

/// The address of pod `host` (1 is the node's own end) on node `number`.
pub(crate) fn pod_v4(number: u8, host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 244, number, host)
}

/// The IPv6 address of pod `host` on node `number`.
pub(crate) fn pod_v6(number: u8, host: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 0x244, number.into(), 0, 0, 0, 0, host.into())
}

/// Joins a pod to its node by a veth pair without a bridge, as the CNI plugin `ptp` does: all its traffic, also to a pod of the
/// same node, crosses the node's forward hook, where kube-proxy and NetworkPolicy act.
pub(crate) fn join_pod(node: &Netns, pod: &Netns, number: u8, host: u8) -> Result<()> {
    let (gateway, v4, v6) = (pod_v4(number, 1), pod_v4(number, host), pod_v6(number, host));
    let pod_name = pod.name();
    batch(
        node,
        &format!(
            "link add veth{host} type veth peer name eth0 netns {pod_name}\n\
             link set veth{host} addrgenmode none\n\
             addr add {gateway}/32 dev veth{host}\n\
             addr add fe80::1/64 dev veth{host} nodad\n\
             link set veth{host} up\n\
             route add {v4}/32 dev veth{host}\n\
             route add {v6}/128 dev veth{host}\n"
        ),
    )?;
    batch(
        pod,
        &format!(
            "link set lo up\n\
             addr add {v4}/32 dev eth0\n\
             addr add {v6}/128 dev eth0 nodad\n\
             link set eth0 up\n\
             route add {gateway} dev eth0 scope link\n\
             route add default via {gateway} dev eth0\n\
             route add default via fe80::1 dev eth0\n"
        ),
    )
}

/// Takes a pod's link away at once; without this it would stay until the kernel gets to the dead namespace.
pub(crate) fn part_pod(node: &Netns, host: u8) -> Result<()> {
    batch(node, &format!("link del veth{host}\n"))
}

/// Runs lines of `ip` commands inside `netns`; the first failure stops them.
pub(crate) fn batch(netns: &Netns, lines: &str) -> Result<()> {
    let mut ip = Command::new("ip")
        .args(["-n", netns.name(), "-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting `ip` (package iproute2)")?;
    ip.stdin.take().context("no stdin")?.write_all(lines.as_bytes())?;
    let output = ip.wait_with_output()?;
    if !output.status.success() {
        bail!("`ip -batch` in {} said: {}\n{lines}", netns.name(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
