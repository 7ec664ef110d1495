//! NetworkPolicy stand-in: nftables rules in the forward hook of the node where a selected pod runs.
//!
//! A CNI plugin's job in a real cluster; here because the exercises combine it with mTLS (the mesh must keep a pod's own address and
//! the original port, or these rules would drop its traffic). Pure text, installed by `state` together with kube-proxy's. Supported:
//! ingress and egress, podSelector, namespaceSelector, ipBlock, ports by number, name and range; selectors by `matchLabels`.

use std::fmt::Write as _;
use std::net::IpAddr;

use serde_json::Value;

use crate::endpoints::pod_ips;
use crate::manifest::{list, selects, strings, text};

struct World<'a> {
    policies: &'a [&'a Value],
    namespaces: &'a [&'a Value],
    pods: &'a [Value],
}

/// The rules of node `node` for its own pods.
pub(crate) fn rules(node: &str, policies: &[&Value], namespaces: &[&Value], pods: &[Value]) -> String {
    let world = World { policies, namespaces, pods };
    let (mut chains, mut jumps) = (String::new(), String::new());
    for (index, pod) in pods.iter().enumerate().filter(|(_, pod)| text(pod, "/spec/nodeName") == node) {
        for (direction, own, peer) in [("Ingress", "daddr", "saddr"), ("Egress", "saddr", "daddr")] {
            let Some(body) = world.body(pod, direction, peer) else { continue };
            let chain = format!("{}_{index}", direction.to_lowercase());
            let _ = write!(chains, " chain {chain} {{\n{body}  drop\n }}\n");
            for ip in pod_ips(pod) {
                let _ = writeln!(jumps, "  {} {own} {ip} jump {chain}", family(&ip));
            }
        }
    }
    format!(
        "table inet network_policy\ndelete table inet network_policy\ntable inet network_policy {{\n{chains} \
         chain forward {{ type filter hook forward priority filter + 10;\n  ct state established,related accept\n{jumps} }}\n}}\n"
    )
}

impl World<'_> {
    /// What `pod` may exchange in `direction`; `None` when no policy selects it.
    fn body(&self, pod: &Value, direction: &str, peer: &str) -> Option<String> {
        let labels = strings(pod, "/metadata/labels");
        let namespace = text(pod, "/metadata/namespace");
        let mut selecting = self.policies.iter().filter(|policy| {
            text(policy, "/metadata/namespace") == namespace
                && selects(&strings(policy, "/spec/podSelector/matchLabels"), &labels)
                && has_type(policy, direction)
        });
        let first = selecting.next()?;
        let mut body = String::new();
        for policy in [first].into_iter().chain(selecting) {
            for rule in list(policy, &format!("/spec/{}", direction.to_lowercase())) {
                self.write_rule(&mut body, pod, namespace, rule, peer);
            }
        }
        Some(body)
    }

    fn write_rule(&self, body: &mut String, pod: &Value, namespace: &str, rule: &Value, peer: &str) {
        let side = if peer == "saddr" { "/from" } else { "/to" };
        let peers = list(rule, side);
        let sources = if peers.is_empty() { vec![String::new()] } else { self.sources(namespace, peers, peer) };
        let ports = list(rule, "/ports");
        let ports =
            if ports.is_empty() { vec![String::new()] } else { ports.iter().filter_map(|p| port(p, pod)).collect() };
        for source in &sources {
            for port in &ports {
                let _ = writeln!(body, "  {source}{port}return");
            }
        }
    }

    fn sources(&self, namespace: &str, peers: &[Value], side: &str) -> Vec<String> {
        let mut matches = Vec::new();
        for peer in peers {
            let cidr = text(peer, "/ipBlock/cidr");
            if !cidr.is_empty() {
                let family = if cidr.contains(':') { "ip6" } else { "ip" };
                let except = list(peer, "/ipBlock/except").iter().filter_map(Value::as_str);
                let except: String = except.map(|range| format!("{family} {side} != {range} ")).collect();
                matches.push(format!("{family} {side} {cidr} {except}"));
                continue;
            }
            let admitted = self.pods.iter().filter(|pod| self.admits(namespace, peer, pod));
            matches.extend(admitted.flat_map(pod_ips).map(|ip| format!("{} {side} {ip} ", family(&ip))));
        }
        matches
    }

    fn admits(&self, own_namespace: &str, peer: &Value, pod: &Value) -> bool {
        let namespace = text(pod, "/metadata/namespace");
        let in_namespace = match peer.get("namespaceSelector") {
            None => namespace == own_namespace,
            Some(selector) => self.namespaces.iter().any(|candidate| {
                text(candidate, "/metadata/name") == namespace
                    && selects(&strings(selector, "/matchLabels"), &strings(candidate, "/metadata/labels"))
            }),
        };
        in_namespace && selects(&strings(peer, "/podSelector/matchLabels"), &strings(pod, "/metadata/labels"))
    }
}

/// Without `policyTypes` a policy is about ingress, and about egress when it has egress rules.
fn has_type(policy: &Value, direction: &str) -> bool {
    let types = list(policy, "/spec/policyTypes");
    if types.is_empty() {
        return direction == "Ingress" || policy.pointer("/spec/egress").is_some();
    }
    types.iter().any(|t| t == direction)
}

fn port(port: &Value, pod: &Value) -> Option<String> {
    let protocol = port["protocol"].as_str().unwrap_or("TCP").to_lowercase();
    let number = match &port["port"] {
        Value::Null => return Some(format!("meta l4proto {protocol} ")),
        Value::String(name) => {
            let mut ports = list(pod, "/spec/containers").iter().flat_map(|container| list(container, "/ports"));
            ports.find(|candidate| text(candidate, "/name") == name)?["containerPort"].as_u64()?
        }
        number => number.as_u64()?,
    };
    let end = port["endPort"].as_u64().map(|end| format!("-{end}")).unwrap_or_default();
    Some(format!("{protocol} dport {number}{end} "))
}

fn family(ip: &IpAddr) -> &'static str {
    if ip.is_ipv6() { "ip6" } else { "ip" }
}
