//! A node from outside: its namespaces, its start, its end.
//!
//! What happens inside, from its first process on, is [`super::node_init`].

use std::env;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, anyhow};

use super::layout::{Layout, Node};
use super::{cgroup, network, process};

/// Starts the node if it does not run.
pub fn provide(node: Node<'_>) -> Result<()> {
    network::provide_node(node)?;
    if process::is_running(node.cluster, &node.name())? {
        return Ok(());
    }
    // Written again by the node itself once it is on its way.
    let _ = fs::remove_file(node.boot_id());
    cgroup::provide(&cgroup::hierarchies()?, &node.cgroup())?;
    let xtask = env::current_exe().context("cannot find this executable")?;
    let args = ["cluster", "node-launch", &node.cluster.folder.to_string_lossy(), &node.number.to_string()];
    process::start(node.cluster, &node.name(), &xtask, &args.map(str::to_owned), &log(node))
}

/// Ends the node as pulling its plug would: everything that ran is gone, its disk stays.
pub fn remove(node: Node<'_>) -> Result<()> {
    let processes = process::all(node.cluster)?;
    let own: Vec<_> = processes.into_iter().filter(|process| process.part == node.name()).collect();
    process::slay(&own)?;
    network::remove_node(node)?;
    cgroup::remove(&cgroup::hierarchies()?, &node.cgroup())
}

/// Where the node's first process writes.
pub fn log(node: Node<'_>) -> std::path::PathBuf {
    node.cluster.log(&node.name())
}

/// Becomes the node: enters its control groups and network, makes the other namespaces, and starts
/// `cluster node-init` as their first process. Called in a process of its own.
pub fn launch(layout: &Layout, number: u8) -> Result<()> {
    let node = layout.node(number);
    cgroup::enter(&cgroup::hierarchies()?, &node.cgroup(), std::process::id())?;
    let xtask = env::current_exe().context("cannot find this executable")?;
    let netns = Path::new("/run/netns").join(node.netns());
    let error = Command::new("nsenter")
        .arg(format!("--net={}", netns.display()))
        .args(["unshare", "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--fork", "--kill-child"])
        .args(["--propagation", "private"])
        .arg(xtask)
        .args(["cluster", "node-init"])
        .arg(&layout.folder)
        .arg(number.to_string())
        .exec();
    Err(anyhow!(error).context("cannot start nsenter(1)"))
}

/// How much memory the node's processes and pods hold for themselves, in bytes, if a controller counts it. What the
/// kernel keeps of files is not in it.
pub fn memory(node: Node<'_>) -> Option<u64> {
    let files = [
        (format!("memory/{}/memory.stat", node.cgroup()), "total_rss "),
        (format!("{}/memory.stat", node.cgroup()), "anon "),
    ];
    files.iter().find_map(|(file, field)| {
        let text = fs::read_to_string(Path::new(cgroup::ROOT).join(file)).ok()?;
        text.lines().find_map(|line| line.strip_prefix(field))?.parse().ok()
    })
}
