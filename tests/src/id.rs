//! The name of one cluster on this machine, and whether its owner still lives.
//!
//! Owned by `Cluster`; `cleanup` reads it back from the names of namespaces and folders.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

/// `w<pid>t<start time>c<counter>`: unique, and it says which process owns the cluster.
///
/// The start time (clock ticks since boot, `proc(5)` field 22) tells a living owner from another process that was given its pid.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClusterId {
    pid: u32,
    started: u64,
    counter: u32,
}

impl ClusterId {
    /// A new id owned by this process.
    pub(crate) fn next() -> Result<Self> {
        static COUNTER: AtomicU32 = AtomicU32::new(1);
        let pid = std::process::id();
        let started = start_time(pid).context("reading the start time of this process from /proc")?;
        Ok(Self { pid, started, counter: COUNTER.fetch_add(1, Ordering::Relaxed) })
    }

    /// Reads the id at the beginning of `name`, which ends there or goes on with `-`.
    pub(crate) fn prefix_of(name: &str) -> Option<Self> {
        let head = name.split('-').next()?;
        let (pid, rest) = head.strip_prefix('w')?.split_once('t')?;
        let (started, counter) = rest.split_once('c')?;
        Some(Self { pid: pid.parse().ok()?, started: started.parse().ok()?, counter: counter.parse().ok()? })
    }

    /// Whether the process which made this cluster still runs.
    pub fn owner_lives(&self) -> bool {
        start_time(self.pid) == Some(self.started)
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "w{}t{}c{}", self.pid, self.started, self.counter)
    }
}

/// Field 22 of `/proc/<pid>/stat`; `None` for a process that is gone or only waits to be reaped.
fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command name in field 2 may hold spaces and brackets: count from its last bracket.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back_from_the_names_made_of_it() {
        let id = ClusterId::next().unwrap();
        assert_eq!(ClusterId::prefix_of(&id.to_string()), Some(id.clone()));
        assert_eq!(ClusterId::prefix_of(&format!("{id}-node-a")), Some(id.clone()));
        assert!(id.owner_lives());
    }

    #[test]
    fn a_recycled_pid_is_not_the_owner() {
        let id = ClusterId::next().unwrap();
        assert!(!ClusterId { started: id.started + 1, ..id }.owner_lives());
        assert_eq!(ClusterId::prefix_of("w12-node"), None);
        assert_eq!(ClusterId::prefix_of("web"), None);
    }
}
