//! `cargo xtask ci`: everything that a change has to pass, cheapest first.
//!
//! Stops at the first thing that fails, because what follows costs minutes.

use anyhow::Result;

use crate::run::{Cmd, Steps};
use crate::{ebpf, paths, test};

/// The task.
pub fn run(steps: &mut Steps) -> Result<()> {
    let passed = checks(steps).and_then(|()| steps.step("tests", || test::run_all(&mut Steps::new())));
    eprint!("\nci\n{}", steps.table());
    passed
}

fn checks(steps: &mut Steps) -> Result<()> {
    steps.step("format", format)?;
    dependencies(steps)?;
    // Before the lints: the agent embeds the object.
    ebpf::run(steps)?;
    steps.step("lints", || {
        let clippy = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
        Cmd::cargo().args(clippy).run()
    })
}

/// The workspace, and the kernel programs beside it.
fn format() -> Result<()> {
    Cmd::cargo().args(["fmt", "--all", "--check"]).run()?;
    Cmd::cargo().args(["fmt", "--check"]).dir(&paths::root().join("ebpf")).run()
}

/// `deny.toml`, where the tool is there: it takes minutes to build.
fn dependencies(steps: &mut Steps) -> Result<()> {
    let (policy, advisories) = ("dependency policy", "dependency advisories");
    if paths::find_program("cargo-deny").is_none() {
        let reason = "no cargo-deny here; `cargo install cargo-deny --locked` brings it";
        steps.skip(policy, reason);
        steps.skip(advisories, reason);
        return Ok(());
    }
    steps.step(policy, || deny(&["bans", "licenses", "sources"]).run())?;
    // The one check that needs the network: not reaching the list says nothing about the dependencies.
    match deny(&["advisories"]).read() {
        Err(error) if is_unreachable(&error) => {
            steps.skip(advisories, "the advisory database cannot be fetched: run `cargo deny check advisories` online");
            Ok(())
        }
        checked => steps.step(advisories, || checked.map(|_said| ())),
    }
}

fn deny(checks: &[&str]) -> Cmd {
    Cmd::cargo().args(["deny", "check", "--hide-inclusion-graph"]).args(checks)
}

/// cargo-deny's own words; its exit status does not tell this from a finding.
fn is_unreachable(error: &anyhow::Error) -> bool {
    error.to_string().contains("failed to fetch advisory database")
}

#[cfg(test)]
mod tests;
