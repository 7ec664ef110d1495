//! `cargo xtask test`: the test tiers, one command each, and a table of them at the end.
//!
//! A tier that cannot run fails: a tier that was not run has not passed. The later tiers still run, so that one look
//! shows everything that is broken.

mod cluster;

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use clap::ValueEnum;

use crate::run::{Cmd, Steps};
use crate::setup::{self, Purpose};
use crate::{ebpf, fuzz, tidy};

/// Which tests.
#[derive(clap::Args)]
pub struct Args {
    /// The tier; `all` also checks the tree's rules.
    #[arg(value_enum, default_value_t = Tier::All)]
    tier: Tier,
    /// Only tests whose name contains this.
    #[arg(long)]
    filter: Option<String>,
    /// Leave the cluster of the cluster tier up, and use one that was left.
    #[arg(long)]
    keep: bool,
}

/// What a test needs decides its tier.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Tier {
    /// Decisions, parsers, map plans, TLS on loopback: needs only cargo.
    Model,
    /// Every parser of a stranger's bytes for some seconds, with its seeds (`cargo xtask fuzz` for longer): needs a C++ compiler.
    Fuzz,
    /// Whole agents and real eBPF, with network namespaces as pods: needs root and a BTF kernel.
    Node,
    /// The exercises with kubectl, on a real Kubernetes brought up for it and taken down again: needs root, like the node tier.
    Cluster,
    /// Tidy and every tier but the fuzz one, which compiles everything once more with instruments.
    All,
}

/// The task as typed.
pub fn run(args: &Args, steps: &mut Steps) -> Result<()> {
    run_tiers(args, steps)
}

/// Every tier without a filter, for `ci`.
pub fn run_all(steps: &mut Steps) -> Result<()> {
    run_tiers(&Args { tier: Tier::All, filter: None, keep: false }, steps)
}

fn run_tiers(args: &Args, steps: &mut Steps) -> Result<()> {
    let (tier, filter) = (args.tier, args.filter.as_deref());
    // The tiers have a table of their own: the steps inside a tier are shown as they happen.
    let mut tiers = Steps::new();
    let (mut passed, mut failed) = (Vec::new(), Vec::new());
    let mut run = |name: &'static str, work: &mut dyn FnMut() -> Result<()>| match tiers.step(name, work) {
        Ok(()) => passed.push(name),
        Err(error) => {
            eprintln!("error: {error:#}");
            failed.push(name);
        }
    };
    if tier == Tier::All {
        run("tidy", &mut tidy::run);
    }
    if matches!(tier, Tier::Model | Tier::All) {
        run("tier model", &mut || model(filter));
    }
    if tier == Tier::Fuzz {
        run("tier fuzz", &mut || fuzz::run_short(filter, steps));
    }
    if matches!(tier, Tier::Node | Tier::All) {
        run("tier node", &mut || node(filter, steps));
    }
    if matches!(tier, Tier::Cluster | Tier::All) {
        run("tier cluster", &mut || cluster::run(filter, args.keep, steps));
    }
    eprint!("\ntests\n{}", tiers.table());
    if failed.is_empty() {
        eprintln!("passed: {}", passed.join(", "));
        return Ok(());
    }
    bail!("failed: {}; what failed is above, at `error:`", failed.join(", "))
}

fn model(filter: Option<&str>) -> Result<()> {
    // Without `--package`: the workspace's default members are this tier.
    Cmd::cargo().args(["test", "--no-fail-fast"]).args(filter).run()
}

fn node(filter: Option<&str>, steps: &mut Steps) -> Result<()> {
    ensure!(
        setup::is_root(),
        "the node tier makes network namespaces and needs root: `sudo -E env PATH=\"$PATH\" cargo xtask test node`"
    );
    let tools = setup::provide(Purpose::Test, steps)?;
    ebpf::build(&tools, steps)?;
    let programs = steps.step("agent and demo application", || build_programs(false))?;
    Cmd::cargo()
        .args(["test", "--no-fail-fast", "--package", "weft-testbed"])
        .args(filter)
        .env("WEFT_BIN", programs.weft)
        .env("WEFT_DEMO_APP", programs.demo_app)
        .run()
}

/// What the node tier starts, and what images hold.
pub struct Programs {
    /// The agent.
    pub weft: PathBuf,
    /// The demo application.
    pub demo_app: PathBuf,
}

/// Builds both; `release` optimises.
pub fn build_programs(release: bool) -> Result<Programs> {
    let report = Cmd::cargo()
        .args(["build", "--package", "weft", "--package", "demo-app", "--bins"])
        .args(release.then_some("--release"))
        .args(["--message-format", "json-render-diagnostics"])
        .read_stdout()?;
    Ok(Programs { weft: executable(&report, "weft")?, demo_app: executable(&report, "demo-app")? })
}

/// The path of a binary in cargo's report, also for other tasks: asked for, because the target folder can be set in several places.
pub fn executable(report: &str, binary: &str) -> Result<PathBuf> {
    report
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact" && message["target"]["name"] == binary)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .with_context(|| format!("cargo built no binary `{binary}`: does its package still have one of that name?"))
}

#[cfg(test)]
mod tests;
