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

/// Licences, duplicates, advisories and sources by `deny.toml`, where the tool is there: it takes minutes to build.
fn dependencies(steps: &mut Steps) -> Result<()> {
    let name = "dependency policy";
    if paths::find_program("cargo-deny").is_none() {
        steps.skip(name, "no cargo-deny here; `cargo install cargo-deny --locked` brings it");
        return Ok(());
    }
    steps.step(name, || Cmd::cargo().args(["deny", "check"]).run())
}
