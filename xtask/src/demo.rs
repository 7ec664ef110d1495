//! `cargo xtask demo`: set-up, an optimised build, and then the demo program, which shows what the mesh does.
//!
//! Owns what comes before the show; the show itself is `weft-demo` of the testbed. It replaces this process, so that Ctrl-C reaches
//! it alone and the shell waits until everything is cleaned up.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, anyhow, ensure};

use crate::run::{Cmd, Steps};
use crate::setup::{self, Purpose};
use crate::{ebpf, test};

/// What to show.
#[derive(clap::Args)]
pub struct Args {
    /// Stay up at the end, and tell how to play with it; Ctrl-C takes it away.
    #[arg(long)]
    keep: bool,
    /// Fewer requests.
    #[arg(long)]
    short: bool,
}

/// The task: does not return when the demo could be started.
pub fn run(args: &Args, steps: &mut Steps) -> Result<()> {
    ensure!(
        setup::is_root(),
        "the demo makes network namespaces and needs root: `sudo -E env PATH=\"$PATH\" cargo xtask demo`"
    );
    let tools = setup::provide(Purpose::Demo, steps)?;
    ebpf::build(&tools, steps)?;
    eprintln!("    the first optimised build takes some minutes, later ones find everything built");
    let programs = steps.step("weft, the application and the demo (release)", build)?;
    eprint!("\nReady to start:\n{}", steps.table());
    let flags = [(args.keep, "--keep"), (args.short, "--short")];
    let error = Command::new(&programs.demo)
        .args(flags.into_iter().filter_map(|(is_set, flag)| is_set.then_some(flag)))
        .env("WEFT_BIN", &programs.weft)
        .env("WEFT_DEMO_APP", &programs.demo_app)
        .env("PATH", path_with_sbin())
        .exec();
    Err(anyhow!(error).context(format!("cannot start {}", programs.demo.display())))
}

/// What the demo is made of.
struct Programs {
    weft: PathBuf,
    demo_app: PathBuf,
    demo: PathBuf,
}

fn build() -> Result<Programs> {
    let report = Cmd::cargo()
        .args([
            "build",
            "--release",
            "--package",
            "weft",
            "--package",
            "demo-app",
            "--package",
            "weft-testbed",
            "--bins",
        ])
        .args(["--message-format", "json-render-diagnostics"])
        .read_stdout()?;
    let program = |name| test::executable(&report, name);
    Ok(Programs { weft: program("weft")?, demo_app: program("demo-app")?, demo: program("weft-demo")? })
}

/// `ip`, `nft` and `nginx` are in folders that a user's `PATH` may lack.
fn path_with_sbin() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/local/sbin:/usr/sbin:/sbin");
    path
}
