//! The metrics of the sentences application in the Prometheus text format 0.0.4.
//!
//! [`super::roles`] counts, the metrics socket answers every path with [`Metrics::response`]. Besides the counter it
//! gives what the Python client library gives: a `_created` gauge per series and the process series, read from /proc.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};

use super::config::Role;

/// Clock ticks per second in /proc/self/stat: USER_HZ, which is 100 on every architecture we build for.
const TICKS_PER_SECOND: f64 = 100.0;

/// The counters; a series appears with its first request.
#[derive(Debug)]
pub struct Metrics {
    started: f64,
    requests: Mutex<BTreeMap<&'static str, Series>>,
}

#[derive(Debug)]
struct Series {
    count: u64,
    created: f64,
}

impl Metrics {
    /// No requests yet; the process counts as started now.
    pub fn new() -> Self {
        Self { started: now(), requests: Mutex::default() }
    }

    /// Counts one request of `role`.
    pub fn count(&self, role: Role) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.entry(role.name()).or_insert_with(|| Series { count: 0, created: now() }).count += 1;
    }

    /// The exposition as a response.
    pub fn response(&self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from(self.exposition()));
        let format = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, format);
        response
    }

    fn exposition(&self) -> String {
        let mut text = String::new();
        for (name, kind, help, value) in self.process() {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value:?}");
        }
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        text.push_str("# HELP sentence_requests_total Number of requests\n# TYPE sentence_requests_total counter\n");
        for (role, series) in &*requests {
            let _ = writeln!(text, "sentence_requests_total{{type=\"{role}\"}} {}.0", series.count);
        }
        text.push_str("# HELP sentence_requests_created Number of requests\n# TYPE sentence_requests_created gauge\n");
        for (role, series) in &*requests {
            let _ = writeln!(text, "sentence_requests_created{{type=\"{role}\"}} {:?}", series.created);
        }
        text
    }

    /// The process series; one whose source cannot be read is left out.
    fn process(&self) -> Vec<(&'static str, &'static str, &'static str, f64)> {
        let cpu = cpu_seconds();
        let resident = status_bytes("VmRSS:");
        let virtual_memory = status_bytes("VmSize:");
        let open = fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as f64);
        [
            ("process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", virtual_memory),
            ("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", resident),
            (
                "process_start_time_seconds",
                "gauge",
                "Start time of the process since unix epoch in seconds.",
                Some(self.started),
            ),
            ("process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.", cpu),
            ("process_open_fds", "gauge", "Number of open file descriptors.", open),
            ("process_max_fds", "gauge", "Maximum number of open file descriptors.", open_file_limit()),
        ]
        .into_iter()
        .filter_map(|(name, kind, help, value)| Some((name, kind, help, value?)))
        .collect()
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |age| age.as_secs_f64())
}

/// User plus system time: fields 14 and 15 of /proc/self/stat, counted after the command name's closing bracket.
fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

/// A size in /proc/self/status, which the kernel prints in units of 1024 bytes.
fn status_bytes(key: &str) -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0)
}

fn open_file_limit() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests;
