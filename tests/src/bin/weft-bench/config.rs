//! What was asked for.

use std::path::PathBuf;

use serde::Deserialize;

use crate::row::Patterns;

/// The options, as `cargo xtask bench` writes them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Which rows.
    pub rows: Patterns,
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
    /// The JSON of an earlier run, to compare with.
    pub against: Option<PathBuf>,
    /// The commit that was built, for the report.
    pub commit: String,
}
