//! The long-running processes of a cluster: started detached, found again, ended.
//!
//! Two environment variables mark each of them and everything that it starts, so that no file has to say which
//! processes are ours: there is no moment in which a killed `up` leaves one behind that nobody knows.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::layout::Layout;

/// The cluster's folder.
const MARK_CLUSTER: &str = "WEFT_CLUSTER_FOLDER";

/// Which part of the cluster: `etcd`, `node-1` and so on.
const MARK_PART: &str = "WEFT_CLUSTER_PART";

/// The programs of a node are in the system's folders, whatever the user's `PATH`.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How long a process may take to end by itself.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a killed process may take to vanish: the kernel tears down a node's namespaces meanwhile.
const KILL_TIMEOUT: Duration = Duration::from_secs(20);

/// How often an ending process is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A process, recognised by number and start time together: numbers come again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// When it started, in clock ticks since the machine did.
    start: u64,
    /// Which part of the cluster it is.
    pub part: String,
}

/// Starts `program` as `part` of the cluster; output goes to `log`.
pub fn start(layout: &Layout, part: &str, program: &Path, args: &[String], log: &Path) -> Result<()> {
    let place = || format!("cannot write {}", log.display());
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder).with_context(place)?;
    }
    let output = File::options().create(true).append(true).open(log).with_context(place)?;
    Command::new(program)
        .args(args)
        // Not the user's environment: its proxies and Go settings are not the cluster's.
        .env_clear()
        .env("HOME", "/root")
        .env(MARK_CLUSTER, &layout.folder)
        .env(MARK_PART, part)
        .env("PATH", PATH)
        .current_dir("/")
        // Its own group: Ctrl-C in the terminal that ran `up` is not for it.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(output.try_clone().with_context(place)?)
        .stderr(output)
        .spawn()
        .with_context(|| format!("cannot start {} as {part}", program.display()))?;
    Ok(())
}

/// Every process of the cluster, also those that its processes started.
pub fn all(layout: &Layout) -> Result<Vec<Process>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").context("cannot read /proc")? {
        let Ok(entry) = entry else { continue };
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process that ends while it is looked at is not ours any more.
        if let Some(process) = look(pid, &layout.folder) {
            found.push(process);
        }
    }
    Ok(found)
}

/// Whether this part runs.
pub fn is_running(layout: &Layout, part: &str) -> Result<bool> {
    Ok(all(layout)?.iter().any(|process| process.part == part))
}

/// The first process inside a node's namespaces, if the node of this name runs.
pub fn first_of(layout: &Layout, node: &str) -> Result<Option<i32>> {
    let is_first = |process: &Process| {
        // One number for each process namespace, the innermost last.
        fs::read_to_string(format!("/proc/{}/status", process.pid))
            .is_ok_and(|status| status.lines().any(|line| line.starts_with("NSpid:") && line.ends_with("\t1")))
    };
    let own = all(layout)?.into_iter().filter(|process| process.part == node);
    Ok(own.into_iter().find(is_first).map(|process| process.pid))
}

/// Asks the processes to end, waits, and kills what is left.
pub fn end(processes: &[Process]) -> Result<()> {
    signal(processes, Signal::SIGTERM);
    if !gone_within(processes, END_TIMEOUT) {
        return slay(processes);
    }
    Ok(())
}

/// Kills the processes and waits until they are gone.
pub fn slay(processes: &[Process]) -> Result<()> {
    signal(processes, Signal::SIGKILL);
    if gone_within(processes, KILL_TIMEOUT) {
        return Ok(());
    }
    let left: Vec<String> =
        processes.iter().filter(|p| p.is_alive()).map(|p| format!("{} ({})", p.pid, p.part)).collect();
    bail!("these processes do not end although killed: {}; look at /proc/<pid>/stack", left.join(", "))
}

impl Process {
    fn is_alive(&self) -> bool {
        fs::read_to_string(format!("/proc/{}/stat", self.pid))
            .is_ok_and(|stat| start_time(&stat) == Some(self.start) && !is_zombie(&stat))
    }
}

fn signal(processes: &[Process], signal: Signal) {
    for process in processes.iter().filter(|process| process.is_alive()) {
        // It may have ended since: then there is nothing to do.
        let _ = kill(Pid::from_raw(process.pid), signal);
    }
}

fn gone_within(processes: &[Process], limit: Duration) -> bool {
    let started = Instant::now();
    while processes.iter().any(Process::is_alive) {
        if started.elapsed() > limit {
            return false;
        }
        thread::sleep(POLL_INTERVAL);
    }
    true
}

fn look(pid: i32, folder: &Path) -> Option<Process> {
    let proc = PathBuf::from(format!("/proc/{pid}"));
    let environment = fs::read(proc.join("environ")).ok()?;
    let part = part_of(&environment, folder)?;
    let stat = fs::read_to_string(proc.join("stat")).ok()?;
    Some(Process { pid, start: start_time(&stat)?, part })
}

/// The mark in an environment block, if it is this cluster's.
fn part_of(environment: &[u8], folder: &Path) -> Option<String> {
    use std::os::unix::ffi::OsStrExt as _;
    let value = |name: &str| {
        let mut entries = environment.split(|byte| *byte == 0);
        entries.find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
    };
    if value(MARK_CLUSTER)? != folder.as_os_str().as_bytes() {
        return None;
    }
    String::from_utf8(value(MARK_PART)?.to_vec()).ok()
}

/// Field 22 of `/proc/<pid>/stat`; the second field is in parentheses and may hold anything.
fn start_time(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

fn is_zombie(stat: &str) -> bool {
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'))
}

#[cfg(test)]
mod tests;
