//! `cluster status`: what runs, what it costs, and where to look when it does not.

use std::fmt::Write as _;
use std::fs;

use anyhow::Result;

use super::kubectl::Kubectl;
use super::layout::Layout;
use super::process::Process;
use super::{control_plane, node, process, registry, stand_ins, store};

/// The cluster as a page of text.
pub fn page(layout: &Layout) -> Result<String> {
    let processes = process::all(layout)?;
    let mut page = format!("cluster {} on {} ({})\n\n", layout.name, layout.network(), layout.bridge());
    let _ = writeln!(page, "  {:26}  {:9}  {:>8}  log", "part", "state", "memory");
    let others = [registry::PART, stand_ins::PROXY, stand_ins::PART];
    for part in control_plane::PARTS.iter().chain(&others) {
        let own: Vec<&Process> = processes.iter().filter(|process| process.part == *part).collect();
        let memory = own.iter().filter_map(|process| proportional_memory(process.pid)).sum();
        let _ = writeln!(
            page,
            "  {part:26}  {:9}  {:>8}  {}",
            state(!own.is_empty()),
            mebibytes(memory),
            layout.log(part).display()
        );
    }
    let _ = writeln!(page, "\n  {:26}  {:9}  {:>8}  {:13}  logs", "node", "state", "memory", "address");
    // None while the API server is away.
    let ready = Kubectl::new(layout).ready_nodes().unwrap_or_default();
    for node in layout.all_nodes() {
        let (name, runs) = (node.name(), processes.iter().any(|process| process.part == node.name()));
        let state = if ready.contains_key(&name) { "ready" } else { state(runs) };
        let memory = mebibytes(node::memory(node).unwrap_or(0));
        let _ = writeln!(page, "  {name:26}  {state:9}  {memory:>8}  {:13}  {}", node.address(), node.logs().display());
    }
    let _ = write!(page, "\n{}", next_steps(layout));
    let others: Vec<String> =
        store::list()?.into_iter().map(|other| other.name).filter(|name| *name != layout.name).collect();
    if !others.is_empty() {
        let _ = writeln!(page, "\nother clusters: {} (choose one by --name)", others.join(", "));
    }
    Ok(page)
}

/// What a person does with a cluster.
fn next_steps(layout: &Layout) -> String {
    let name = if layout.name == "weft" { String::new() } else { format!(" --name {}", layout.name) };
    format!(
        "kubeconfig  {}\nregistry    http://{}, the mirror of every registry: cargo xtask image --push {}\n\
         shell       cargo xtask cluster shell{name}\n\
         stand-ins   LoadBalancer addresses ({}.0/24, routed on this machine) and NetworkPolicies (nftables in each node)\n\
         \x20           come from a stand-in and act within a second; everything else is Kubernetes itself\n",
        layout.kubeconfig().display(),
        layout.registry(),
        layout.name,
        layout.load_balancers().map(|octet| octet.to_string()).join("."),
    )
}

fn state(runs: bool) -> &'static str {
    if runs { "running" } else { "stopped" }
}

/// What a process uses, with its share of what it has in common with others: all of Kubernetes is one program file.
fn proportional_memory(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

fn mebibytes(bytes: u64) -> String {
    if bytes == 0 { "-".to_owned() } else { format!("{} MiB", bytes.div_ceil(1 << 20)) }
}
