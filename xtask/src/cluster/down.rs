//! `cluster down`: nothing of the cluster is left.
//!
//! Goes by the cluster's record and finds the rest by name and mark, so it also takes away half a cluster.

use anyhow::Result;

use super::layout::Layout;
use super::{network, node, process, store};

/// Removes the cluster of this name.
pub fn run(name: &str) -> Result<Layout> {
    let _claim = store::claim(name)?;
    let layout = store::existing(name)?;
    // Nothing is asked to end well: what it would save goes, too.
    process::slay(&process::all(&layout)?)?;
    for node in layout.all_nodes() {
        node::remove(node)?;
    }
    network::remove_bridge(&layout)?;
    store::forget(&layout)?;
    Ok(layout)
}
