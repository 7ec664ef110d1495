//! The cluster's nodes.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::kubectl::object;

/// One node as its object says it is.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// The first address that it has.
    pub address: IpAddr,
}

/// All nodes, in kubectl's order.
pub fn nodes() -> Result<Vec<Node>> {
    let list = object(&["get", "nodes"])?;
    let items = list["items"].as_array().context("a list of nodes without items")?;
    items.iter().map(node).collect()
}

/// The first two nodes: scenarios put pods on one and the other.
pub fn two_nodes() -> Result<[Node; 2]> {
    let mut nodes = nodes()?;
    ensure!(nodes.len() >= 2, "this scenario needs two nodes, the cluster has {}", nodes.len());
    nodes.truncate(2);
    nodes.try_into().ok().context("two nodes")
}

fn node(object: &Value) -> Result<Node> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let name = text("/metadata/name").context("a node without a name")?.to_owned();
    let address = text("/status/addresses/0/address").and_then(|address| address.parse().ok());
    Ok(Node { address: address.with_context(|| format!("node {name} has no address"))?, name })
}
