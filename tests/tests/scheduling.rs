//! An agent on a busy node: its threads go where there is room.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result};
use weft_testbed::Cluster;

/// The CPUs a thread may run on, as `/proc` words them.
fn cpus_of(status: &str) -> Result<String> {
    let status = fs::read_to_string(status).with_context(|| format!("reading {status}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    Ok(line.context("no Cpus_allowed_list")?.trim().to_owned())
}

/// A thread bound to one CPU waits for it behind whatever else runs there, for seconds on a busy node.
#[test]
fn no_thread_is_bound_to_a_cpu() -> Result<()> {
    let cluster = Cluster::new("scheduling")?.node("a")?;
    cluster.start_agents()?;
    let pid = cluster.agent("a")?.pid()?;
    let mut names = BTreeSet::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?.path();
        let name = fs::read_to_string(task.join("comm"))?.trim().to_owned();
        let cpus = cpus_of(&task.join("status").display().to_string())?;
        assert_eq!(cpus, cpus_of("/proc/self/status")?, "thread {name}");
        names.insert(name);
    }
    assert!(names.iter().any(|name| name.starts_with("weft-worker-")), "{names:?}");
    Ok(())
}
