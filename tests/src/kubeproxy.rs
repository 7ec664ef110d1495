//! kube-proxy stand-in: nftables rules in each node's namespace that spread ClusterIPs and node ports over ready pods.
//!
//! Needed by pods outside the mesh and by clients of node ports; the traffic of enrolled pods never meets these rules. The text of a
//! node's ruleset is a pure function of Services and endpoints and replaces the old one in a single transaction.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::endpoints::{Endpoint, Service};
use crate::netns::Netns;

/// The mark kube-proxy puts on what has to be masqueraded; the same bit as upstream.
const MASQUERADE: &str = "0x4000";

/// The rules of node `node`.
pub(crate) fn rules(node: &str, services: &[Service]) -> String {
    let (mut maps, mut chains) = (Maps::default(), String::new());
    let mut hairpin = (Vec::new(), Vec::new());
    for (index, service) in services.iter().enumerate() {
        for (number, port) in service.ports.iter().enumerate() {
            let protocol = &port.protocol;
            let suffix = format!("{index}_{number}");
            let has_endpoints = |v6: bool| port.endpoints.iter().any(|e| e.address.is_ipv6() == v6);
            let _ = write!(chains, " chain svc_{suffix} {{\n{} }}\n", spread(protocol, port.endpoints.iter()));
            let local = port.endpoints.iter().filter(|e| !service.local_only || e.node == node);
            // Local traffic policy promises the application the client's address.
            let masquerade = if service.local_only { "" } else { "  meta mark set meta mark | 0x4000\n" };
            let _ = write!(chains, " chain ext_{suffix} {{\n{masquerade}{} }}\n", spread(protocol, local));
            for ip in service.cluster_ips.iter().filter(|ip| has_endpoints(ip.is_ipv6())) {
                maps.address(ip, format!("{ip} . {protocol} . {} : goto svc_{suffix}", port.port));
            }
            for ip in service.load_balancer.iter().filter(|ip| has_endpoints(ip.is_ipv6())) {
                maps.address(ip, format!("{ip} . {protocol} . {} : goto ext_{suffix}", port.port));
            }
            if let Some(node_port) = port.node_port {
                maps.ports.push(format!("{protocol} . {node_port} : goto ext_{suffix}"));
            }
            for ip in port.endpoints.iter().map(|e| e.address.ip()) {
                let pairs = if ip.is_ipv6() { &mut hairpin.1 } else { &mut hairpin.0 };
                let pair = format!("{ip} . {ip}");
                if !pairs.contains(&pair) {
                    pairs.push(pair);
                }
            }
        }
    }
    let dispatch = maps.dispatch();
    let masquerade = hairpin_rules(&hairpin.0, &hairpin.1);
    format!(
        "table inet kube_proxy\ndelete table inet kube_proxy\ntable inet kube_proxy {{\n{chains} chain services {{\n{dispatch} }}\n \
         chain prerouting {{ type nat hook prerouting priority dstnat; jump services; }}\n \
         chain output {{ type nat hook output priority -100; jump services; }}\n \
         chain refuse {{ ip daddr 10.96.0.0/16 reject; ip6 daddr fd00:96::/112 reject; }}\n \
         chain forward {{ type filter hook forward priority filter; jump refuse; }}\n \
         chain local {{ type filter hook output priority filter; jump refuse; }}\n \
         chain postrouting {{ type nat hook postrouting priority srcnat;\n  \
         meta mark & {MASQUERADE} == {MASQUERADE} masquerade\n{masquerade} }}\n}}\n"
    )
}

/// Replaces the rules inside `netns` by `rules`, all at once.
pub(crate) fn install(netns: &Netns, rules: &str) -> Result<()> {
    let mut command = Command::new("nft");
    command.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut nft = netns.run(move || command.spawn())?.context("starting `nft` (package nftables)")?;
    nft.stdin.take().context("no stdin")?.write_all(rules.as_bytes())?;
    let output = nft.wait_with_output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`nft -f` in {} said: {}\n{rules}", netns.name(), said.trim());
    }
    Ok(())
}

#[derive(Default)]
struct Maps {
    v4: Vec<String>,
    v6: Vec<String>,
    ports: Vec<String>,
}

impl Maps {
    fn address(&mut self, ip: &IpAddr, entry: String) {
        if ip.is_ipv6() { self.v6.push(entry) } else { self.v4.push(entry) }
    }

    fn dispatch(&self) -> String {
        let mut text = String::new();
        if !self.v4.is_empty() {
            let _ = writeln!(text, "  ip daddr . meta l4proto . th dport vmap {{ {} }}", self.v4.join(", "));
        }
        if !self.v6.is_empty() {
            let _ = writeln!(text, "  ip6 daddr . meta l4proto . th dport vmap {{ {} }}", self.v6.join(", "));
        }
        if !self.ports.is_empty() {
            // A pod's own ports are no node ports: only what is addressed to the node itself.
            let ports = self.ports.join(", ");
            let _ = writeln!(
                text,
                "  fib daddr type local ip daddr 172.30.0.0/24 meta l4proto . th dport vmap {{ {ports} }}"
            );
            let _ = writeln!(
                text,
                "  fib daddr type local ip6 daddr fd00:172::/64 meta l4proto . th dport vmap {{ {ports} }}"
            );
        }
        text
    }
}

/// One rule per address family that picks an endpoint at random.
fn spread<'a>(protocol: &str, endpoints: impl Iterator<Item = &'a Endpoint>) -> String {
    let (v6, v4): (Vec<SocketAddr>, Vec<SocketAddr>) = endpoints.map(|e| e.address).partition(SocketAddr::is_ipv6);
    let mut text = String::new();
    for (family, proto, addresses) in [("ip", "ipv4", v4), ("ip6", "ipv6", v6)] {
        if addresses.is_empty() {
            continue;
        }
        let choices: Vec<String> =
            addresses.iter().enumerate().map(|(i, a)| format!("{i} : {} . {}", a.ip(), a.port())).collect();
        let _ = writeln!(
            text,
            "  meta nfproto {proto} meta l4proto {protocol} dnat {family} to numgen random mod {} map {{ {} }}",
            choices.len(),
            choices.join(", ")
        );
    }
    text
}

/// A pod that reaches itself through its Service must be answered through the node, not directly.
fn hairpin_rules(v4: &[String], v6: &[String]) -> String {
    let mut text = String::new();
    for (family, pairs) in [("ip", v4), ("ip6", v6)] {
        if !pairs.is_empty() {
            let _ = writeln!(text, "  {family} saddr . {family} daddr {{ {} }} masquerade", pairs.join(", "));
        }
    }
    text
}
