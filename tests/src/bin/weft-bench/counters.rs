//! What kernel and processor count about the proxies while a load runs.
//!
//! Context switches are always there (`/proc`). System calls need `perf` and the kernel's tracepoints; instructions and cycles also
//! a processor that counts, which virtual machines often hide. What is missing is noted, not guessed.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::figure::Figure;

/// What `perf` is asked for.
const EVENTS: [(&str, Figure); 3] =
    [("raw_syscalls:sys_enter", Figure::Syscalls), ("instructions", Figure::Instructions), ("cycles", Figure::Cycles)];
/// How long `perf` may take to attach itself to every thread.
const ATTACHING: Duration = Duration::from_millis(300);

/// What was counted.
#[derive(Debug, Default, PartialEq)]
pub struct Counts {
    /// How often each thing happened.
    pub counted: Vec<(Figure, f64)>,
    /// What could not be counted, for the reader.
    pub notes: Vec<String>,
}

/// Counts for the processes `pids` while `work` is done.
///
/// # Errors
/// When `work` fails or `/proc` cannot be read; a `perf` that is missing or refuses is a note.
pub fn while_running<T>(pids: &[u32], work: impl FnOnce() -> Result<T>) -> Result<(T, Counts)> {
    let perf = start_perf(pids);
    let before = switches(pids)?;
    let done = work();
    let switched = switches(pids)?.saturating_sub(before);
    let mut counts = perf.and_then(stop_perf).map_or_else(|error| Counts::none(&error), |report| read(&report));
    counts.counted.push((Figure::ContextSwitches, switched as f64));
    Ok((done?, counts))
}

impl Counts {
    fn none(error: &anyhow::Error) -> Self {
        let notes = vec![format!("System calls, instructions and cycles were not counted: {error:#}.")];
        Self { counted: Vec::new(), notes }
    }
}

fn start_perf(pids: &[u32]) -> Result<Child> {
    let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
    let events = EVENTS.map(|(event, _)| event).join(",");
    let perf = Command::new("perf")
        .args(["stat", "-x", ",", "-e", &events, "-p", &pids.join(",")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("`perf` (Debian: linux-perf) cannot be started")?;
    std::thread::sleep(ATTACHING);
    Ok(perf)
}

/// It reports when it is interrupted.
fn stop_perf(mut perf: Child) -> Result<String> {
    if perf.try_wait()?.is_none() {
        kill(Pid::from_raw(perf.id().cast_signed()), Signal::SIGINT).context("interrupting `perf`")?;
    }
    let output = perf.wait_with_output().context("waiting for `perf`")?;
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Lines of `value,unit,event,...`; the value is in angle brackets when there is none.
fn read(report: &str) -> Counts {
    let mut counts = Counts::default();
    let mut missing = Vec::new();
    for (event, figure) in EVENTS {
        let line = report.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let mut values = line.filter(|fields| fields.get(2).is_some_and(|name| name.split(':').eq(event.split(':'))));
        match values.next().and_then(|fields| fields[0].parse().ok()) {
            Some(value) => counts.counted.push((figure, value)),
            None => missing.push(event),
        }
    }
    if !missing.is_empty() {
        counts.notes.push(format!("`perf` counts no {} on this machine.", missing.join(", no ")));
    }
    counts
}

/// Voluntary and involuntary, of all threads that live.
fn switches(pids: &[u32]) -> Result<u64> {
    let mut sum = 0;
    for pid in pids {
        let threads = format!("/proc/{pid}/task");
        let entries = fs::read_dir(&threads).with_context(|| format!("reading {threads}: has the proxy ended?"))?;
        for thread in entries.flatten() {
            // A thread may end meanwhile.
            let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
            sum += switches_of(&status);
        }
    }
    Ok(sum)
}

fn switches_of(status: &str) -> u64 {
    let lines = status.lines().filter_map(|line| line.split_once("voluntary_ctxt_switches:"));
    lines.filter_map(|(_, count)| count.trim().parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_switches_count() {
        let status = "Name:\tx\nvoluntary_ctxt_switches:\t150\nnonvoluntary_ctxt_switches:\t545\n";
        assert_eq!(switches_of(status), 695);
    }

    #[test]
    fn what_perf_cannot_count_is_noted() {
        let report = "29,,raw_syscalls:sys_enter,2964531,100.00,,\n<not supported>,,instructions,0,100.00,,\n\
                      <not supported>,,cycles,0,100.00,,\n";
        let counts = read(report);
        assert_eq!(counts.counted, [(Figure::Syscalls, 29.0)]);
        assert_eq!(counts.notes, ["`perf` counts no instructions, no cycles on this machine."]);
        assert_eq!(read("1,,raw_syscalls:sys_enter,1,1\n2,,instructions,1,1\n3,,cycles,1,1\n").notes, [""; 0]);
    }
}
