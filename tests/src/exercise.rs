//! The rig of the exercises: two nodes, an enrolled namespace `default`, the application behind a node port.
//!
//! Used by the scenarios that follow the exercises page by page; what a page applies and observes is in the scenario itself.

use anyhow::Result;
use weft_scenario::PATIENCE;

use crate::cluster::Cluster;

impl Cluster {
    /// Nodes `a` and `b`, and `default` labelled as the exercises' setup page says.
    pub fn exercise(name: &str) -> Result<Self> {
        let cluster = Self::new(name)?.node("a")?.node("b")?;
        cluster.namespace("default", &[("istio-injection", "enabled")])?;
        Ok(cluster)
    }

    /// Starts the agents, applies the manifests and waits until all pods of `default` are in the mesh.
    pub fn start_exercise(&self, yaml: &str) -> Result<()> {
        self.start_agents()?;
        self.apply(yaml)?;
        self.wait_captured(&["default"], PATIENCE)
    }

    /// What the exercises' loop asks: the node port of `sentences` on the first node.
    pub fn sentences_url(&self) -> Result<String> {
        let nodes = self.nodes();
        let port = self.node_port("default", "sentences", 5000)?;
        Ok(format!("http://{}:{port}/", nodes[0].address()))
    }
}
