//! The pods and policies of a cluster, and what they mean for one node.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

use super::selector::selects;

/// Pods, namespaces and policies, as the API server lists them.
pub struct Cluster<'a> {
    policies: &'a [Value],
    pods: Vec<Pod<'a>>,
    /// Labels by name.
    namespaces: BTreeMap<&'a str, &'a Value>,
}

/// A pod that has an address of its own.
struct Pod<'a> {
    namespace: &'a str,
    labels: &'a Value,
    node: &'a str,
    addresses: Vec<&'a str>,
    spec: &'a Value,
}

/// Which way the traffic goes, seen from the selected pod.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    In,
    Out,
}

impl Direction {
    /// The policies' word, the list of rules, the list of peers, and nftables' word for the peer's and the pod's address.
    fn words(self) -> [&'static str; 5] {
        match self {
            Self::In => ["Ingress", "ingress", "from", "saddr", "daddr"],
            Self::Out => ["Egress", "egress", "to", "daddr", "saddr"],
        }
    }
}

impl<'a> Cluster<'a> {
    /// Takes the three lists.
    pub fn new(policies: &'a [Value], pods: &'a [Value], namespaces: &'a [Value]) -> Self {
        let namespace = |object: &'a Value| Some((object["metadata"]["name"].as_str()?, &object["metadata"]["labels"]));
        Self {
            policies,
            pods: pods.iter().filter_map(Pod::parse).collect(),
            namespaces: namespaces.iter().filter_map(namespace).collect(),
        }
    }

    /// The chains for the pods of this node; empty if no policy selects one of them.
    pub fn rules_of(&self, node: &str) -> String {
        let (mut chains, mut jumps) = (String::new(), String::new());
        for (number, pod) in self.pods.iter().filter(|pod| pod.node == node).enumerate() {
            for direction in [Direction::In, Direction::Out] {
                let policies: Vec<&Value> =
                    self.policies.iter().filter(|policy| concerns(policy, pod, direction)).collect();
                if policies.is_empty() {
                    continue;
                }
                let [word, _, _, peer, own] = direction.words();
                let chain = format!("pod-{number}-{}", word.to_lowercase());
                let _ = writeln!(chains, " chain {chain} {{");
                for address in &pod.addresses {
                    let _ = writeln!(jumps, "  {} {own} {address} jump {chain}", family(address));
                    // A pod reaches itself through a Service whatever policies say.
                    let _ = writeln!(chains, "  {} {peer} {address} return", family(address));
                }
                for line in policies.iter().flat_map(|policy| self.allowed(policy, pod, direction)) {
                    let _ = writeln!(chains, "  {line} return");
                }
                let _ = writeln!(chains, "  drop\n }}");
            }
        }
        if jumps.is_empty() {
            return String::new();
        }
        format!(
            "{chains} chain forward {{\n  type filter hook forward priority 0; policy accept;\n  \
             ct state established,related accept\n{jumps} }}\n"
        )
    }

    /// What one policy allows, a match for each line.
    fn allowed(&self, policy: &Value, pod: &Pod<'_>, direction: Direction) -> BTreeSet<String> {
        let [_, list, peers, word, _] = direction.words();
        let home = policy["metadata"]["namespace"].as_str().unwrap_or_default();
        let mut lines = BTreeSet::new();
        for rule in policy["spec"][list].as_array().into_iter().flatten() {
            let peers = rule[peers].as_array().filter(|peers| !peers.is_empty());
            let places: Vec<Place<'_>> = match peers {
                None => vec![Place { matches: String::new(), pod: None }],
                Some(peers) => peers.iter().flat_map(|peer| self.places(peer, home, word)).collect(),
            };
            for place in places {
                // A port's name means a port of whoever receives.
                let receiver = if direction == Direction::In { Some(pod) } else { place.pod };
                for port in ports(&rule["ports"], receiver) {
                    let line = format!("{} {port}", place.matches);
                    // A rule that matches everything still needs an expression.
                    lines.insert(if line.trim().is_empty() {
                        "meta nfproto { ipv4, ipv6 }".to_owned()
                    } else {
                        line.trim().to_owned()
                    });
                }
            }
        }
        lines
    }

    fn places(&self, peer: &Value, home: &str, word: &str) -> Vec<Place<'_>> {
        if let Some(cidr) = peer["ipBlock"]["cidr"].as_str() {
            let except: Vec<&str> =
                peer["ipBlock"]["except"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let family = family(cidr);
            let without = if except.is_empty() {
                String::new()
            } else {
                format!(" {family} {word} != {{ {} }}", except.join(", "))
            };
            return vec![Place { matches: format!("{family} {word} {cidr}{without}"), pod: None }];
        }
        let peers = self.pods.iter().filter(|pod| self.is_peer(peer, home, pod));
        peers.flat_map(|pod| pod.places(word)).collect()
    }

    fn is_peer(&self, peer: &Value, home: &str, pod: &Pod<'_>) -> bool {
        let in_namespace = match peer.get("namespaceSelector") {
            None => pod.namespace == home,
            Some(selector) => self.namespaces.get(pod.namespace).is_some_and(|labels| selects(selector, labels)),
        };
        in_namespace && peer.get("podSelector").is_none_or(|selector| selects(selector, pod.labels))
    }
}

/// Where a peer is.
struct Place<'a> {
    /// As nftables says it; empty: everywhere.
    matches: String,
    /// If it is a pod.
    pod: Option<&'a Pod<'a>>,
}

impl Pod<'_> {
    fn places(&self, word: &str) -> Vec<Place<'_>> {
        let place = |ip: &&str| Place { matches: format!("{} {word} {ip}", family(ip)), pod: Some(self) };
        self.addresses.iter().map(place).collect()
    }
}

impl<'a> Pod<'a> {
    fn parse(object: &'a Value) -> Option<Self> {
        let phase = object["status"]["phase"].as_str().unwrap_or_default();
        // The node's address is not the pod's, and an ended pod's address may be another's by now.
        if object["spec"]["hostNetwork"] == true || phase == "Succeeded" || phase == "Failed" {
            return None;
        }
        let addresses =
            object["status"]["podIPs"].as_array()?.iter().filter_map(|entry| entry["ip"].as_str()).collect();
        Some(Self {
            namespace: object["metadata"]["namespace"].as_str()?,
            labels: &object["metadata"]["labels"],
            node: object["spec"]["nodeName"].as_str()?,
            addresses,
            spec: &object["spec"],
        })
    }

    fn named_port(&self, name: &str) -> Option<u64> {
        let containers = self.spec["containers"].as_array().into_iter().flatten();
        let mut ports = containers.filter_map(|container| container["ports"].as_array()).flatten();
        ports.find(|port| port["name"] == name)?["containerPort"].as_u64()
    }
}

/// Whether the policy selects the pod and speaks of this direction.
fn concerns(policy: &Value, pod: &Pod<'_>, direction: Direction) -> bool {
    let [word, list, ..] = direction.words();
    let speaks = match policy["spec"]["policyTypes"].as_array() {
        Some(types) => types.iter().any(|one| one == word),
        // Without types: always about what comes in, about what goes out if it has a rule for that.
        None => direction == Direction::In || policy["spec"].get(list).is_some(),
    };
    speaks && policy["metadata"]["namespace"] == pod.namespace && selects(&policy["spec"]["podSelector"], pod.labels)
}

/// The ports of a rule as matches; one empty match if it is about all of them, none if a name means nothing here.
fn ports(ports: &Value, receiver: Option<&Pod<'_>>) -> Vec<String> {
    let Some(ports) = ports.as_array().filter(|ports| !ports.is_empty()) else { return vec![String::new()] };
    let port = |port: &Value| {
        let protocol = port["protocol"].as_str().unwrap_or("TCP").to_lowercase();
        let number = match &port["port"] {
            Value::Null => return Some(format!("meta l4proto {protocol}")),
            Value::String(name) => receiver?.named_port(name)?,
            number => number.as_u64()?,
        };
        let end = port["endPort"].as_u64().map(|end| format!("-{end}")).unwrap_or_default();
        Some(format!("{protocol} dport {number}{end}"))
    };
    ports.iter().filter_map(port).collect()
}

/// nftables' word for the family of an address.
fn family(address: &str) -> &'static str {
    if address.contains(':') { "ip6" } else { "ip" }
}
