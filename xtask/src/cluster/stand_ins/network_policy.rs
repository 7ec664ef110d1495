//! NetworkPolicies as nftables rules, one set for the pods of each node.
//!
//! Decides only. A pod that some policy selects gets a chain for each direction that the policies speak of: it returns for
//! what one of them allows and drops the rest. Rules sit in the node's forward hook, behind kube-proxy's translation,
//! so what they see is the pod's own port; traffic of the node itself (probes) does not pass there, as Kubernetes wants it.

mod cluster;
mod selector;

pub use cluster::Cluster;

/// The table in each node.
const TABLE: &str = "inet weft-cluster-policy";

/// The script that replaces whatever rules a node has by these; no rules, no table.
pub fn script(rules: &str) -> String {
    // Declaring it first makes deleting one that is not there no error.
    let empty = format!("table {TABLE}\ndelete table {TABLE}\n");
    if rules.is_empty() { empty } else { format!("{empty}table {TABLE} {{\n{rules}}}\n") }
}

#[cfg(test)]
mod tests;
