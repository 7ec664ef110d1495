//! How weft writes its own log: to standard error, for people or as JSON.

use std::io::{self, IsTerminal};

use anyhow::Context;
use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

/// How the log is written.
#[derive(Debug, Args)]
#[command(next_help_heading = "Log")]
pub struct LogArgs {
    /// What to log: error, warn, info, debug, trace, or filters such as weft::ebpf=debug [default: $RUST_LOG, else
    /// info for the agent and warn for the rest]
    #[arg(long, global = true, value_name = "FILTER", env = "WEFT_LOG_LEVEL")]
    pub log_level: Option<String>,
    /// How to write it
    #[arg(long, global = true, value_enum, env = "WEFT_LOG_FORMAT", default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For collectors.
    Json,
}

impl LogArgs {
    /// Sets up the log of this process.
    ///
    /// # Errors
    /// When the filter cannot be read.
    pub fn start(&self, is_agent: bool) -> anyhow::Result<()> {
        // weft says itself what an API server refuses, once.
        let default = if is_agent { "info,kube_client=error" } else { "warn,kube_client=error" };
        let wanted = self.log_level.clone().or_else(|| std::env::var("RUST_LOG").ok()).filter(|text| !text.is_empty());
        let wanted = wanted.as_deref().unwrap_or(default);
        let filter = EnvFilter::try_new(wanted).with_context(|| format!("log filter {wanted:?}"))?;
        let builder = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(io::stderr)
            .with_ansi(io::stderr().is_terminal());
        let started = match self.log_format {
            LogFormat::Text => builder.try_init(),
            LogFormat::Json => builder.json().try_init(),
        };
        started.map_err(|error| anyhow::anyhow!("cannot start the log: {error}"))
    }
}
