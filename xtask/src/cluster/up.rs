//! `cluster up`: from nothing, from half a cluster or from a whole one to a whole one.
//!
//! Every step makes only what is missing, and what was made is found again by its name or its mark. So there is no
//! difference between a first start, a repeated one, and one after an interruption or a restart of the machine.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::kubectl::{self, Kubectl};
use super::layout::{Layout, Node};
use super::{control_plane, dns, kube, network, node, pki, registry, stand_ins, store};
use crate::image::{self, What};
use crate::run::Steps;
use crate::setup::{self, Purpose};

/// How long the nodes may take to get ready.
const NODES_TIMEOUT: Duration = Duration::from_secs(180);

/// How often nodes are asked for.
const POLL_INTERVAL: Duration = Duration::from_millis(300);

/// What the cluster shall be.
#[derive(clap::Args)]
pub struct Args {
    /// How many nodes, each with its own kubelet, containerd and kube-proxy; more than before adds some.
    #[arg(long, default_value_t = 2)]
    nodes: u8,
    /// Give pods IPv6 addresses beside their IPv4 ones, and Services that ask for it.
    #[arg(long)]
    dual_stack: bool,
    /// Neither build nor push the images of weft, of the applications and of the tools.
    #[arg(long)]
    without_images: bool,
}

impl Args {
    /// A cluster of so many nodes, with all images.
    pub fn with_nodes(nodes: u8) -> Self {
        Self { nodes, dual_stack: false, without_images: false }
    }
}

/// Brings the cluster up and returns when pods can be run and names resolved.
pub fn run(name: &str, args: &Args, steps: &mut Steps) -> Result<Layout> {
    setup::provide_packages(Purpose::Cluster, steps)?;
    let kube = kube::provide(steps)?;
    let images = if args.without_images { None } else { Some(image::build(What::All, false, steps)?) };
    let _claim = store::claim(name)?;
    let layout = store::record(name, args.nodes, args.dual_stack)?;
    steps.step("certificates", || {
        kubectl::provide_programs(&layout, &kube)?;
        pki::provide(&layout)?;
        kubectl::write_kubeconfig(&layout)
    })?;
    steps.step("bridge and nodes", || {
        network::provide_bridge(&layout)?;
        for node in layout.all_nodes() {
            node::provide(node)?;
        }
        network::provide_routes(&layout)
    })?;
    steps.step("registry", || {
        registry::provide(&layout)?;
        image::push_base(&kube, &layout)
    })?;
    steps.step("control plane", || control_plane::provide(&layout))?;
    steps.step("stand-ins for LoadBalancer and NetworkPolicy", || stand_ins::provide(&layout))?;
    steps.step("nodes ready", || wait_for(&layout.all_nodes().collect::<Vec<_>>()))?;
    steps.step("cluster DNS", || dns::provide(&layout))?;
    if let Some(images) = &images {
        image::push(images, &layout, steps)?;
    }
    Ok(layout)
}

/// Waits until these nodes of one cluster say that they are ready.
pub fn wait_for(nodes: &[Node<'_>]) -> Result<()> {
    let Some(first) = nodes.first() else { return Ok(()) };
    let kubectl = Kubectl::new(first.cluster);
    let started = Instant::now();
    loop {
        let ready = kubectl.ready_nodes()?;
        let waiting: Vec<String> = nodes
            .iter()
            .filter(|node| !is_ready(**node, &ready))
            .map(|node| format!("{} ({})", node.name(), node.logs().display()))
            .collect();
        if waiting.is_empty() {
            return Ok(());
        }
        ensure!(started.elapsed() < NODES_TIMEOUT, "not ready: {}; its logs are there", waiting.join(", "));
        thread::sleep(POLL_INTERVAL);
    }
}

/// What a node said before it was started again does not count.
fn is_ready(node: Node<'_>, ready: &BTreeMap<String, String>) -> bool {
    let started = std::fs::read_to_string(node.boot_id()).unwrap_or_default();
    !started.is_empty() && ready.get(&node.name()).is_some_and(|boot| boot == started.trim())
}
