//! Stand-in for the assembly: takes the configuration of `weft agent`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

/// What `weft agent` is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The node's name.
    pub node: String,
    /// Directory of manifests.
    pub manifests: PathBuf,
    /// Folder of the agent's socket and notes.
    pub state_dir: PathBuf,
    /// Folder of the agent's pins on a bpf file system.
    pub bpf_dir: PathBuf,
    /// Worker threads; at least 1.
    pub workers: usize,
    /// TCP address of the admin endpoints.
    pub http_addr: Option<SocketAddr>,
    /// Print the access log to standard output?
    pub access_log: bool,
    /// How long connections may take to end.
    pub drain: Duration,
    /// Leave pods captured (and refused) at the end.
    pub keep_capture: bool,
}

/// Runs the agent until it is told to end.
///
/// # Errors
/// When a part cannot start.
pub fn run(config: Config) -> anyhow::Result<()> {
    anyhow::bail!("this build has no agent for node {}", config.node)
}
