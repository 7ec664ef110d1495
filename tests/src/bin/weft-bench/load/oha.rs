//! `oha`: latency at a fixed rate, and connections that are not kept.

use std::path::Path;

use anyhow::Result;
use serde_json::Value;
use weft_testbed::Place;

use super::{Said, judge, run};

/// The fixed rate of the latency row, in requests per second.
const LATENCY_RATE: u32 = 2000;
/// Connections of the latency row.
const LATENCY_CONNECTIONS: u32 = 32;
/// Clients that open one connection after the other.
const CONNECTING_CLIENTS: u32 = 16;

/// What `oha` did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Oha {
    /// Requests per second.
    pub rate: f64,
    /// All of them.
    pub count: f64,
    /// Median, in seconds.
    pub p50: f64,
    /// 99th percentile, in seconds.
    pub p99: f64,
}

/// Requests at a fixed rate. Each counts from when it should have been sent, so that a stall is not left out.
pub fn latency(oha: &Path, client: &Place, url: &str, seconds: u64) -> Result<Oha> {
    let (rate, connections) = (LATENCY_RATE.to_string(), LATENCY_CONNECTIONS.to_string());
    load(oha, client, url, seconds, &["-q", &rate, "-c", &connections, "--latency-correction"])
}

/// A new connection for each request.
pub fn connections(oha: &Path, client: &Place, url: &str, seconds: u64) -> Result<Oha> {
    load(oha, client, url, seconds, &["--disable-keepalive", "-c", &CONNECTING_CLIENTS.to_string()])
}

fn load(oha: &Path, client: &Place, url: &str, seconds: u64, shape: &[&str]) -> Result<Oha> {
    let length = format!("{seconds}s");
    let mut args = vec!["--no-tui", "--output-format", "json", "-z", &length];
    args.extend(shape);
    args.push(url);
    read(&run(client, oha, &args)?)
}

fn read(said: &Said) -> Result<Oha> {
    let report: Value = said.read(|text| serde_json::from_str(text).ok())?;
    let counts = |pointer: &str| -> Vec<(String, f64)> {
        let entries = report.pointer(pointer).and_then(Value::as_object).into_iter().flatten();
        entries.filter_map(|(name, count)| Some((name.clone(), count.as_f64()?))).collect()
    };
    let (answered, others): (Vec<_>, Vec<_>) =
        counts("/statusCodeDistribution").into_iter().partition(|(status, _)| status == "200");
    // A sum of nothing would be -0.
    let count = answered.iter().fold(0.0, |sum, (_, count)| sum + count);
    let mut failures: Vec<(String, f64)> =
        others.into_iter().map(|(status, count)| (format!("status {status}"), count)).collect();
    // What is under way when the time is over is cut off; that is no failure of the server's, unless nothing else was heard of it.
    let counts_as_failure = |error: &str| count <= 0.0 || !error.contains("deadline");
    let errors = counts("/errorDistribution").into_iter().filter(|(error, _)| counts_as_failure(error));
    failures.extend(errors.map(|(error, count)| (format!("`{error}`"), count)));
    judge(count, failures)?;
    let number = |pointer: &str| said.read(|_| report.pointer(pointer)?.as_f64());
    Ok(Oha {
        rate: number("/summary/requestsPerSec")?,
        count,
        p50: number("/latencyPercentiles/p50")?,
        p99: number("/latencyPercentiles/p99")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = r#"{"summary": {"requestsPerSec": 1999.5}, "latencyPercentiles": {"p50": 0.0004, "p99": 0.002},
        "statusCodeDistribution": {"200": 5990}, "errorDistribution": {"aborted due to deadline": 32}}"#;

    fn said(text: &str) -> Said {
        Said { name: "oha".to_owned(), stdout: text.to_owned(), stderr: String::new() }
    }

    #[test]
    fn percentiles_and_cut_off_requests() {
        let done = read(&said(REPORT)).unwrap();
        assert_eq!(done, Oha { rate: 1999.5, count: 5990.0, p50: 0.0004, p99: 0.002 });
    }

    #[test]
    fn failures_are_named_with_their_status_or_error() {
        for (from, to, reason) in [
            ("aborted due to deadline\": 32", "connection closed\": 300", "300 times `connection closed`"),
            ("\"200\": 5990", "\"200\": 9, \"503\": 1", "1 requests failed and 9 were answered: 1 times status 503"),
            ("\"200\": 5990", "", "32 requests failed and 0 were answered: 32 times `aborted due to deadline`"),
        ] {
            let error = read(&said(&REPORT.replace(from, to))).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn no_request_at_all_has_null_percentiles_and_a_reason() {
        let report = r#"{"summary": {"requestsPerSec": 3.0}, "latencyPercentiles": {"p50": null, "p99": null},
            "statusCodeDistribution": {}, "errorDistribution": {"tcp connect error: refused": 9}}"#;
        let error = read(&said(report)).unwrap_err().to_string();
        assert!(error.ends_with("9 times `tcp connect error: refused`"), "{error}");
        assert!(read(&said("Segmentation fault")).unwrap_err().to_string().contains("Segmentation fault"));
    }
}
