//! Which Service of type LoadBalancer gets which address, and through which node it is reached.
//!
//! Decides only. The state is in the Services themselves, so that nothing has to be remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;

use serde_json::{Value, json};

/// The addresses that are given out, as the last octet.
const OCTETS: std::ops::RangeInclusive<u8> = 1..=254;

/// What is to be done.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// Services whose status changes.
    pub changes: Vec<Change>,
    /// All addresses after that.
    pub addresses: Vec<Address>,
}

/// A Service's new status.
#[derive(Debug, PartialEq, Eq)]
pub struct Change {
    namespace: String,
    name: String,
    /// `None`: it is no LoadBalancer any more.
    address: Option<Ipv4Addr>,
}

/// An address in use.
#[derive(Debug, PartialEq, Eq)]
pub struct Address {
    address: Ipv4Addr,
    namespace: String,
    name: String,
    /// Only nodes with an endpoint of the Service answer.
    is_local: bool,
}

impl Plan {
    /// Whether [`routes`] depends on where endpoints are.
    pub fn needs_endpoints(&self) -> bool {
        self.addresses.iter().any(|address| address.is_local)
    }
}

impl Change {
    /// The status' place in the API.
    pub fn path(&self) -> String {
        format!("/api/v1/namespaces/{}/services/{}/status", self.namespace, self.name)
    }

    /// The status as a merge patch.
    pub fn patch(&self) -> Value {
        let ingress = self.address.map(|address| json!([{"ip": address, "ipMode": "VIP"}]));
        json!({"status": {"loadBalancer": {"ingress": ingress}}})
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.address.map_or("no address any more".to_owned(), |address| address.to_string());
        write!(f, "Service {}/{}: {address}", self.namespace, self.name)
    }
}

/// Gives an address of `network` to each Service that waits for one.
pub fn plan(network: [u8; 3], services: &[Value]) -> Plan {
    let mut plan = Plan::default();
    let mut taken: BTreeSet<Ipv4Addr> =
        services.iter().filter(|service| is_ours(service)).filter_map(current).collect();
    for service in services {
        let (namespace, name) = (text(service, "/metadata/namespace"), text(service, "/metadata/name"));
        let has = current(service);
        if !is_ours(service) {
            // Another controller's Service is its own business.
            if has.is_some() && text(service, "/spec/type") != "LoadBalancer" {
                plan.changes.push(Change { namespace, name, address: None });
            }
            continue;
        }
        let address = match has {
            Some(address) => address,
            None => {
                let Some(address) = choose(network, service, &taken) else { continue };
                taken.insert(address);
                plan.changes.push(Change { namespace: namespace.clone(), name: name.clone(), address: Some(address) });
                address
            }
        };
        let is_local = text(service, "/spec/externalTrafficPolicy") == "Local";
        plan.addresses.push(Address { address, namespace, name, is_local });
    }
    plan
}

/// For each address the number of the node that takes its traffic; none if no node can.
pub fn routes(plan: &Plan, nodes: &[Value], slices: &[Value]) -> BTreeMap<Ipv4Addr, u8> {
    let ready: Vec<u8> =
        nodes.iter().filter(|node| is_ready(node)).filter_map(|node| number(&text(node, "/metadata/name"))).collect();
    let route = |address: &Address| {
        let serving = address.is_local.then(|| nodes_of_endpoints(address, slices));
        let can = |node: &&u8| serving.as_ref().is_none_or(|serving| serving.contains(node));
        Some((address.address, *ready.iter().filter(can).min()?))
    };
    plan.addresses.iter().filter_map(route).collect()
}

fn is_ours(service: &Value) -> bool {
    text(service, "/spec/type") == "LoadBalancer" && service.pointer("/spec/loadBalancerClass").is_none()
}

fn current(service: &Value) -> Option<Ipv4Addr> {
    text(service, "/status/loadBalancer/ingress/0/ip").parse().ok()
}

/// The address that the Service asks for, else the first free one.
fn choose(network: [u8; 3], service: &Value, taken: &BTreeSet<Ipv4Addr>) -> Option<Ipv4Addr> {
    let [a, b, c] = network;
    let mut all = OCTETS.map(|octet| Ipv4Addr::new(a, b, c, octet));
    let asked: Option<Ipv4Addr> = text(service, "/spec/loadBalancerIP").parse().ok();
    let is_free = |address: &Ipv4Addr| !taken.contains(address);
    asked.filter(|asked| asked.octets()[..3] == network && is_free(asked)).or_else(|| all.find(is_free))
}

fn is_ready(node: &Value) -> bool {
    let conditions = node.pointer("/status/conditions").and_then(Value::as_array);
    conditions.is_some_and(|all| all.iter().any(|one| one["type"] == "Ready" && one["status"] == "True"))
}

/// `node-2` is 2.
fn number(node: &str) -> Option<u8> {
    node.strip_prefix("node-")?.parse().ok()
}

fn nodes_of_endpoints(address: &Address, slices: &[Value]) -> BTreeSet<u8> {
    slices
        .iter()
        .filter(|slice| {
            slice["metadata"]["namespace"] == address.namespace.as_str()
                && slice["metadata"]["labels"]["kubernetes.io/service-name"] == address.name.as_str()
        })
        .filter_map(|slice| slice["endpoints"].as_array())
        .flatten()
        .filter(|endpoint| endpoint["conditions"]["ready"] != false)
        .filter_map(|endpoint| number(endpoint["nodeName"].as_str()?))
        .collect()
}

fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
