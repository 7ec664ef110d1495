//! The load generators: packaged programs, run inside the client's pod, and what they say.
//!
//! Each returns how much it did beside the figure, because CPU time is counted per request and per byte.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use weft_testbed::Place;

/// The fixed rate of the latency row, in requests per second.
pub const LATENCY_RATE: u32 = 2000;
/// Connections of the latency row.
const LATENCY_CONNECTIONS: u32 = 32;
/// Clients that open one connection after the other.
const CONNECTING_CLIENTS: u32 = 16;
/// A run with a larger share of failures measures something else.
const FAILURES_MAX: f64 = 0.005;

/// What `wrk` did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Requests {
    /// Requests per second.
    pub rate: f64,
    /// All of them.
    pub count: f64,
}

/// As many requests as `connections` kept connections can carry.
pub fn wrk(client: &Place, url: &str, connections: u32, seconds: u64) -> Result<Requests> {
    let [c, d] = [format!("-c{connections}"), format!("-d{seconds}s")];
    let output = client.exec("wrk", &["-t1", &c, &d, url])?;
    ensure!(output.code() == 0, "wrk failed: {}{}", output.stdout, output.stderr);
    read_wrk(&output.stdout)
}

fn read_wrk(text: &str) -> Result<Requests> {
    let said = || format!("wrk said:\n{text}");
    let word_after = |prefix: &str| text.lines().find_map(|line| line.trim().strip_prefix(prefix)).map(str::trim);
    let rate = word_after("Requests/sec:").and_then(|word| word.parse().ok()).with_context(said)?;
    let count: f64 =
        text.lines().find_map(|line| line.trim().split_once(" requests in ")?.0.parse().ok()).with_context(said)?;
    let bad: f64 = word_after("Non-2xx or 3xx responses:").map_or(Ok(0.0), str::parse).with_context(said)?;
    let broken: f64 = word_after("Socket errors:").map_or(0.0, |words| {
        words.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse::<f64>().ok()).sum()
    });
    ensure!(count > 0.0 && bad + broken <= count * FAILURES_MAX, "too many failures: {}", said());
    Ok(Requests { rate, count })
}

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
    run_oha(oha, client, url, seconds, &["-q", &rate, "-c", &connections, "--latency-correction"])
}

/// A new connection for each request.
pub fn connections(oha: &Path, client: &Place, url: &str, seconds: u64) -> Result<Oha> {
    run_oha(oha, client, url, seconds, &["--disable-keepalive", "-c", &CONNECTING_CLIENTS.to_string()])
}

fn run_oha(oha: &Path, client: &Place, url: &str, seconds: u64, shape: &[&str]) -> Result<Oha> {
    let length = format!("{seconds}s");
    let mut args = vec!["--no-tui", "--output-format", "json", "-z", &length];
    args.extend(shape);
    args.push(url);
    let output = client.exec(&oha.display().to_string(), &args)?;
    ensure!(output.code() == 0, "oha failed: {}{}", output.stdout, output.stderr);
    read_oha(&output.stdout)
}

fn read_oha(text: &str) -> Result<Oha> {
    let said = || format!("oha said:\n{text}");
    let report: Value = serde_json::from_str(text).with_context(said)?;
    let number = |pointer: &str| report.pointer(pointer).and_then(Value::as_f64).with_context(said);
    let counts = |pointer: &str, wanted: &dyn Fn(&str) -> bool| -> f64 {
        let entries = report.pointer(pointer).and_then(Value::as_object).into_iter().flatten();
        entries.filter(|(name, _)| wanted(name)).filter_map(|(_, count)| count.as_f64()).sum()
    };
    let count = counts("/statusCodeDistribution", &|status| status == "200");
    let bad = counts("/statusCodeDistribution", &|status| status != "200");
    // What is under way when the time is over is cut off; that is no failure of the server's.
    let broken = counts("/errorDistribution", &|error| !error.contains("deadline"));
    ensure!(count > 0.0 && bad + broken <= count * FAILURES_MAX, "too many failures: {}", said());
    Ok(Oha {
        rate: number("/summary/requestsPerSec")?,
        count,
        p50: number("/latencyPercentiles/p50")?,
        p99: number("/latencyPercentiles/p99")?,
    })
}

/// What `iperf3` did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bulk {
    /// Bits per second, as received.
    pub rate: f64,
    /// Bytes received.
    pub bytes: f64,
}

/// One stream as fast as it goes.
pub fn iperf(client: &Place, (host, port): (&str, u16), seconds: u64) -> Result<Bulk> {
    let (port, seconds) = (port.to_string(), seconds.to_string());
    let output = client.exec("iperf3", &["-c", host, "-p", &port, "-P", "1", "-t", &seconds, "--json"])?;
    ensure!(output.code() == 0, "iperf3 failed: {}{}", output.stdout, output.stderr);
    read_iperf(&output.stdout)
}

fn read_iperf(text: &str) -> Result<Bulk> {
    let said = || format!("iperf3 said:\n{text}");
    let report: Value = serde_json::from_str(text).with_context(said)?;
    let number = |pointer: &str| report.pointer(pointer).and_then(Value::as_f64).with_context(said);
    let bulk = Bulk { rate: number("/end/sum_received/bits_per_second")?, bytes: number("/end/sum_received/bytes")? };
    ensure!(bulk.bytes > 0.0, "nothing arrived: {}", said());
    Ok(bulk)
}

#[cfg(test)]
mod tests;
