//! What was asked for.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The options, as `cargo xtask bench` writes them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Which rows.
    pub rows: Vec<Row>,
    /// How often each is measured.
    pub repeat: usize,
    /// Length of one run.
    pub seconds: u64,
    /// Whether proxies write an access log, all of them or none.
    pub access_log: bool,
    /// Folder for the results.
    pub out: PathBuf,
    /// The load generator that is not on `PATH`.
    pub oha: PathBuf,
    /// Envoy, if it is to be measured beside weft.
    pub envoy: Option<PathBuf>,
    /// The commit that was built, for the report.
    pub commit: String,
}

/// A group of figures measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Row {
    /// Requests per second at 1, 32 and 128 connections, and their CPU.
    Rps,
    /// Percentiles at 2,000 requests per second.
    Latency,
    /// A connection for each request.
    Connections,
    /// One stream of bytes.
    Bulk,
    /// Resident memory; CPU while idle.
    Memory,
}
