//! `wrk`: as many requests as kept connections can carry.

use std::path::Path;

use anyhow::Result;
use weft_testbed::{Place, Pod};

use super::{Said, judge, run};

/// What `wrk` did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Requests {
    /// Requests per second.
    pub rate: f64,
    /// All of them.
    pub count: f64,
}

/// Loads `url` over `connections`.
pub fn wrk(client: &Place, url: &str, connections: u32, seconds: u64) -> Result<Requests> {
    let [c, d] = [format!("-c{connections}"), format!("-d{seconds}s")];
    read(&run(client, Path::new("wrk"), &["-t1", &c, &d, url])?)
}

/// Loads several URLs at once, each from a client of its own over as many connections, and adds up what they did.
pub fn wrk_everywhere(loads: &[(Pod, String)], connections: u32, seconds: u64) -> Result<Requests> {
    let all: Vec<Result<Requests>> = std::thread::scope(|scope| {
        let start = |(client, url): &'_ (Pod, String)| {
            let (client, url) = (client.clone(), url.clone());
            scope.spawn(move || wrk(&client, &url, connections, seconds))
        };
        let threads: Vec<_> = loads.iter().map(start).collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined.map(|done| done.unwrap_or_else(|_| Err(anyhow::anyhow!("a load generator's thread panicked")))).collect()
    });
    let mut sum = Requests::default();
    for done in all {
        let done = done?;
        sum = Requests { rate: sum.rate + done.rate, count: sum.count + done.count };
    }
    Ok(sum)
}

fn read(said: &Said) -> Result<Requests> {
    let after = |prefix: &str| {
        let mut lines = said.stdout.lines();
        lines.find_map(|line| line.trim().strip_prefix(prefix)).map(str::trim)
    };
    let requests = said.read(|text| {
        let rate = after("Requests/sec:")?.parse().ok()?;
        let count = text.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok())?;
        Some(Requests { rate, count })
    })?;
    let mut failures = Vec::new();
    if let Some(count) = after("Non-2xx or 3xx responses:") {
        failures.push(("another status than 2xx or 3xx".to_owned(), said.read(|_| count.parse().ok())?));
    }
    // `connect 0, read 900, write 0, timeout 3`
    for part in after("Socket errors:").into_iter().flat_map(|parts| parts.split(',')) {
        let (kind, count) = said.read(|_| part.trim().rsplit_once(' '))?;
        failures.push((format!("{kind} error"), said.read(|_| count.parse().ok())?));
    }
    judge(requests.count, failures)?;
    Ok(requests)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Running 3s test @ http://web:80/\n  1 threads and 32 connections\n  Thread Stats   Avg      Stdev     Max   +/- Stdev\n    \
                        Latency   612.01us  503.17us   9.03ms   88.20%\n  150034 requests in 3.10s, 171.20MB read\n";

    fn said(lines: &str) -> Said {
        Said { name: "wrk".to_owned(), stdout: format!("{HEAD}{lines}"), stderr: String::new() }
    }

    #[test]
    fn requests_are_counted() {
        let requests = read(&said("Requests/sec:  48398.01\nTransfer/sec:     55.23MB\n")).unwrap();
        assert_eq!(requests, Requests { rate: 48398.01, count: 150_034.0 });
    }

    #[test]
    fn failures_are_refused_by_kind() {
        for (line, reason) in [
            ("Non-2xx or 3xx responses: 1000", "1000 times another status than 2xx or 3xx"),
            ("Socket errors: connect 0, read 900, write 0, timeout 3", "900 times read error, 3 times timeout error"),
        ] {
            let error = read(&said(&format!("  {line}\nRequests/sec:  48398.01\n"))).unwrap_err().to_string();
            assert!(error.ends_with(reason), "{error}");
        }
        let few = said("  Socket errors: connect 0, read 3, write 0, timeout 0\nRequests/sec:  1.00\n");
        assert!(read(&few).is_ok());
    }

    #[test]
    fn what_is_no_report_is_shown() {
        let said =
            Said { name: "wrk".to_owned(), stdout: "unable to connect to web:80\n".to_owned(), stderr: String::new() };
        let error = read(&said).unwrap_err().to_string();
        assert!(error.contains("unable to connect to web:80"), "{error}");
    }
}
