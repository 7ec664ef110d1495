//! `iperf3`: one stream as fast as it goes.

use std::path::Path;

use anyhow::{Result, bail, ensure};
use serde_json::Value;
use weft_testbed::Place;

use super::{Said, run};

/// What `iperf3` did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bulk {
    /// Bits per second, as received.
    pub rate: f64,
    /// Bytes received.
    pub bytes: f64,
}

/// Sends to `host:port`.
pub fn iperf(client: &Place, (host, port): (&str, u16), seconds: u64) -> Result<Bulk> {
    let (port, seconds) = (port.to_string(), seconds.to_string());
    read(&run(client, Path::new("iperf3"), &["-c", host, "-p", &port, "-P", "1", "-t", &seconds, "--json"])?)
}

fn read(said: &Said) -> Result<Bulk> {
    let report: Value = said.read(|text| serde_json::from_str(text).ok())?;
    // It may say what is wrong there and end with success.
    if let Some(error) = report.pointer("/error").and_then(Value::as_str) {
        bail!("iperf3 said: {error}");
    }
    let number = |pointer: &str| said.read(|_| report.pointer(pointer)?.as_f64());
    let bulk = Bulk { rate: number("/end/sum_received/bits_per_second")?, bytes: number("/end/sum_received/bytes")? };
    ensure!(bulk.bytes > 0.0, "nothing arrived");
    Ok(bulk)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Said {
        Said { name: "iperf3".to_owned(), stdout: text.to_owned(), stderr: String::new() }
    }

    #[test]
    fn what_arrived_counts() {
        let text = r#"{"end": {"sum_sent": {"bytes": 9}, "sum_received": {"bytes": 8, "bits_per_second": 64.0}}}"#;
        assert_eq!(read(&said(text)).unwrap(), Bulk { rate: 64.0, bytes: 8.0 });
        assert!(read(&said(&text.replace('8', "0"))).is_err());
        let refused = r#"{"error": "unable to connect to server: Connection refused"}"#;
        assert!(read(&said(refused)).unwrap_err().to_string().contains("Connection refused"));
    }
}
