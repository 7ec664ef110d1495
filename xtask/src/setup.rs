//! `cargo xtask setup`: what building, testing, showing and measuring weft needs beyond cargo.
//!
//! Owns the order of things; each need is a file of its own below `setup/`. All of it is idempotent, what was fetched
//! or built stays in the cache folder, and two set-ups at once wait for each other. `build-ebpf` and the test tiers
//! call it themselves: nobody has to remember it.

mod apt_sources;
mod bpf_linker;
pub mod envoy;
pub mod go;
pub mod oha;
mod packages;
mod rust_src;
mod toolchain;

use std::fs::File;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use crate::cluster::kube;
use crate::paths;
use crate::run::Steps;
pub use packages::is_root;
pub use toolchain::Toolchain;

/// What the set-up is for.
#[derive(clap::Args)]
pub struct Args {
    /// What you are going to do; each includes what building needs.
    #[arg(long = "for", value_enum, default_value_t = Purpose::Test)]
    purpose: Purpose,
}

/// The needs are sums: everything needs `Build`, and `Bench` needs what `Test` needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Purpose {
    /// The kernel programs: `rust-src` and `bpf-linker`. Needs no root unless the toolchain belongs to root.
    Build,
    /// Also the programs that the node tier runs.
    Test,
    /// Also the programs that the demo runs.
    Demo,
    /// Also the load generators.
    Bench,
    /// Also what a real Kubernetes on this machine is made of.
    Cluster,
}

/// What the kernel programs are built with.
pub struct EbpfTools {
    /// The compiler, which now has its own source.
    pub toolchain: Toolchain,
    /// The linker for BPF objects.
    pub bpf_linker: PathBuf,
}

/// The task as typed.
pub fn run(args: &Args, steps: &mut Steps) -> Result<()> {
    provide(args.purpose, steps)?;
    if args.purpose == Purpose::Cluster {
        kube::provide(steps)?;
    }
    eprint!("set-up done\n{}", steps.table());
    Ok(())
}

/// Makes everything for `purpose` exist.
pub fn provide(purpose: Purpose, steps: &mut Steps) -> Result<EbpfTools> {
    let _alone = lock()?;
    let tools = ebpf_tools(steps)?;
    packages::provide(purpose, steps)?;
    if purpose == Purpose::Bench {
        steps.step("oha (HTTP load generator)", || oha::provide(&tools.toolchain))?;
    }
    Ok(tools)
}

/// Only the programs from Debian: a cluster needs no compiler for kernel programs.
pub fn provide_packages(purpose: Purpose, steps: &mut Steps) -> Result<()> {
    let _alone = lock()?;
    packages::provide(purpose, steps)
}

fn ebpf_tools(steps: &mut Steps) -> Result<EbpfTools> {
    let toolchain = steps.step("toolchain of rust-toolchain.toml", toolchain::find)?;
    steps.step("rust-src of the same version", || rust_src::provide(&toolchain))?;
    let bpf_linker = steps.step("bpf-linker against rustc's own LLVM", || bpf_linker::provide(&toolchain))?;
    Ok(EbpfTools { toolchain, bpf_linker })
}

/// Held while setting up; the file lock ends with the process, however that ends.
fn lock() -> Result<File> {
    let path = paths::cache()?.join("setup.lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}: is it yours?", path.display()))?;
    file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    Ok(file)
}
