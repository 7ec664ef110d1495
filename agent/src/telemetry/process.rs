//! `process_*`: what the agent itself costs, read from the kernel when somebody asks.
//!
//! By hand: the metrics client's own collector needs another crate for six numbers. A number that
//! cannot be read is left out.

use std::{fmt::Write, fs, time::SystemTime};

use nix::sys::{
    resource::{Resource, UsageWho, getrlimit, getrusage},
    time::TimeValLike,
};

/// Appends the `process_*` families; `started` is when the agent began.
pub(super) fn append(out: &mut String, started: SystemTime) {
    if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
        let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
        family(out, "process_cpu_seconds_total", "counter", "CPU time spent, seconds.", micros as f64 / 1e6);
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let gauges = [
        ("process_resident_memory_bytes", "Memory in use, bytes.", kilobytes(&status, "VmRSS:")),
        ("process_virtual_memory_bytes", "Address space, bytes.", kilobytes(&status, "VmSize:")),
        ("process_threads", "Threads.", field(&status, "Threads:")),
        ("process_open_fds", "Open file descriptors.", open_files()),
        (
            "process_max_fds",
            "Most file descriptors allowed.",
            getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(now, _)| now as f64),
        ),
        ("process_start_time_seconds", "When the agent began, seconds since 1970.", unix_seconds(started)),
    ];
    for (name, help, value) in gauges {
        if let Some(value) = value {
            family(out, name, "gauge", help, value);
        }
    }
}

fn family(out: &mut String, name: &str, kind: &str, help: &str, value: f64) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
}

fn field(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn kilobytes(status: &str, name: &str) -> Option<f64> {
    field(status, name).map(|kilobytes| kilobytes * 1024.0)
}

fn open_files() -> Option<f64> {
    // The listing itself holds one.
    fs::read_dir("/proc/self/fd").ok().map(|all| all.count().saturating_sub(1) as f64)
}

fn unix_seconds(at: SystemTime) -> Option<f64> {
    at.duration_since(SystemTime::UNIX_EPOCH).ok().map(|since| since.as_secs_f64())
}
