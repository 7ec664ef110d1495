//! `cluster up`: from nothing, from half a cluster or from a whole one to a whole one.
//!
//! Every step makes only what is missing, and what was made is found again by its name or its mark. So there is no
//! difference between a first start, a repeated one, and one after an interruption or a restart of the machine.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::kubectl::{self, Kubectl};
use super::layout::Layout;
use super::{control_plane, kube, network, node, pki, registry, stand_ins, store};
use crate::image;
use crate::run::Steps;
use crate::setup::{self, Purpose};

/// How long the nodes may take to get ready.
const NODES_TIMEOUT: Duration = Duration::from_secs(180);

/// How long CoreDNS may take to answer.
const DNS_TIMEOUT: Duration = Duration::from_secs(180);

/// How often nodes are asked for.
const POLL_INTERVAL: Duration = Duration::from_millis(300);

const COREDNS: &str = include_str!("manifests/coredns.yaml");

/// Brings the cluster up and returns when pods can be run and names resolved.
pub fn run(name: &str, nodes: u8, steps: &mut Steps) -> Result<Layout> {
    setup::provide_packages(Purpose::Cluster, steps)?;
    let kube = kube::provide(steps)?;
    let images = steps.step("images of pause and CoreDNS", || image::base::provide(&kube))?;
    let _claim = store::claim(name)?;
    let layout = store::record(name, nodes)?;
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
        for image in &images {
            let folder = image::write(image)?;
            image.names.iter().try_for_each(|name| registry::push(&layout, &folder, name))?;
        }
        Ok(())
    })?;
    steps.step("control plane", || control_plane::provide(&layout))?;
    steps.step("stand-ins for LoadBalancer and NetworkPolicy", || stand_ins::provide(&layout))?;
    steps.step("nodes ready", || wait_for_nodes(&layout))?;
    steps.step("CoreDNS", || provide_dns(&layout))?;
    Ok(layout)
}

/// Waits until every node says that it is ready.
pub fn wait_for_nodes(layout: &Layout) -> Result<()> {
    let kubectl = Kubectl::new(layout);
    let started = Instant::now();
    let path =
        r#"jsonpath={range .items[*]}{.metadata.name} {.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}"#;
    loop {
        let said = kubectl.args(["get", "nodes", "--output", path]).read()?;
        let waiting: Vec<String> = layout
            .all_nodes()
            .filter(|node| !said.lines().any(|line| line == format!("{} True", node.name())))
            .map(|node| format!("{} ({})", node.name(), node.logs().display()))
            .collect();
        if waiting.is_empty() {
            return Ok(());
        }
        ensure!(started.elapsed() < NODES_TIMEOUT, "not ready: {}; its logs are there", waiting.join(", "));
        thread::sleep(POLL_INTERVAL);
    }
}

fn provide_dns(layout: &Layout) -> Result<()> {
    let kubectl = Kubectl::new(layout);
    let manifest = layout.path("coredns.yaml");
    std::fs::write(&manifest, COREDNS)?;
    kubectl.args(["apply", "--filename"]).args([&manifest]).read()?;
    kubectl
        .args(["--namespace=kube-system", "rollout", "status", "deployment/coredns"])
        .deadline(DNS_TIMEOUT)
        .read()
        .map(|_said| ())
}
