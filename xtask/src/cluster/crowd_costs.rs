//! What weft's processes on a cluster's nodes use: memory and CPU, as the kernel counts them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::layout::Layout;

/// Kernel ticks a second (`USER_HZ`, the same on every Linux architecture that weft knows).
const TICKS: f64 = 100.0;

/// A process that uses less of a CPU than this share has settled.
const IDLE: f64 = 0.03;

/// Between two looks, and for how long they go on.
const LOOK: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(300);

/// What a process has used.
#[derive(Clone, Copy, Default)]
pub struct Cost {
    memory: u64,
    peak: u64,
    cpu: f64,
}

/// The processes of weft, by what they are: `agent on node-1, pid 4711`.
pub type Costs = BTreeMap<String, Cost>;

/// What all use when none of them does anything any more.
pub fn settled(layout: &Layout) -> Result<Costs> {
    let began = Instant::now();
    let mut last = costs(layout);
    while began.elapsed() < PATIENCE {
        std::thread::sleep(LOOK);
        let now = costs(layout);
        let busy = now.iter().any(|(name, cost)| {
            let before = last.get(name).map_or(0.0, |last| last.cpu);
            cost.cpu - before > IDLE * LOOK.as_secs_f64()
        });
        if !now.is_empty() && !busy {
            return Ok(now);
        }
        last = now;
    }
    if last.is_empty() {
        bail!("no process of weft runs on {}: `weft install` first", layout.name);
    }
    bail!("after {PATIENCE:?} a process of weft on {} is still busy", layout.name)
}

fn costs(layout: &Layout) -> Costs {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let nodes: Vec<(String, String)> = layout.all_nodes().map(|node| (node.name(), node.cgroup())).collect();
    let found = pids.filter_map(|pid| {
        let role = role(pid)?;
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let (node, _) = nodes.iter().find(|(_, group)| groups.contains(&format!("/{group}/")))?;
        // Two replicas of the control plane may be on one node.
        Some((format!("{role} on {node}, pid {pid}"), cost(pid)?))
    });
    found.collect()
}

fn role(pid: u32) -> Option<&'static str> {
    let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let mut words = command.split(|byte| *byte == 0);
    if !words.next()?.ends_with(b"weft") {
        return None;
    }
    match words.next()? {
        b"agent" => Some("agent"),
        b"control" => Some("control"),
        _ => None,
    }
}

fn cost(pid: u32) -> Option<Cost> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kibibytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    };
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Behind the name, which may hold anything: user and system time are the 12th and 13th (proc_pid_stat(5)).
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some(Cost { memory: kibibytes("VmRSS:")?, peak: kibibytes("VmHWM:")?, cpu: (ticks()? + ticks()?) / TICKS })
}

/// Before and after, as a Markdown table.
pub fn page(before: &Costs, after: &Costs, pods: usize, filled: Duration) -> String {
    let mut page = format!("{pods} pods came within {:.0} s.\n\n", filled.as_secs_f64());
    page += "| process | RSS before | RSS with them | peak | CPU used meanwhile |\n|---|---|---|---|---|\n";
    for (name, cost) in after {
        let first = before.get(name).copied().unwrap_or_default();
        let _ = writeln!(
            page,
            "| {name} | {} MiB | {} MiB | {} MiB | {:.1} s |",
            first.memory.div_ceil(1024),
            cost.memory.div_ceil(1024),
            cost.peak.div_ceil(1024),
            cost.cpu - first.cpu
        );
    }
    page
}
