//! What a developer types: `cargo xtask <task>`.
//!
//! Owns the command line only; each task is a file of its own and knows nothing of the others' insides.
//! A new task is one `mod` line, one variant of [`Task`] and one arm in [`main`].

mod bench;
mod ci;
mod cluster;
mod demo;
mod ebpf;
mod fuzz;
mod image;
mod lock;
mod paths;
mod run;
mod setup;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::run::Steps;

/// Everything that is done to this repository is one of these tasks.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", about, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Find or install what building and running weft needs beyond cargo (idempotent, cached).
    Setup(setup::Args),
    /// Build the kernel programs in `ebpf/` into `target/ebpf/weft-ebpf.o` (always optimised).
    BuildEbpf,
    /// Check the rules of this tree that rustc and clippy do not know.
    Tidy,
    /// Run the test tiers: model (needs only cargo), node and cluster (need root and a BTF kernel).
    Test(test::Args),
    /// Give everything that parses a stranger's bytes random and hostile ones, a minute for each parser.
    Fuzz(fuzz::Args),
    /// Show what the mesh does, step by step, on emulated nodes (needs root and a BTF kernel).
    Demo(demo::Args),
    /// Measure what the mesh costs, against no mesh and against Envoy: a table, JSON and a chart.
    Bench(bench::Args),
    /// Build container images of weft, of the demo applications and of tools, without Docker.
    Image(image::Args),
    /// Start, stop and use a real Kubernetes on this machine (needs root).
    Cluster(cluster::Args),
    /// Everything a change has to pass: format, lints, tidy, dependency policy, all test tiers.
    Ci,
}

fn main() -> ExitCode {
    let mut steps = Steps::new();
    let done = match Cli::parse().task {
        Task::Setup(args) => setup::run(&args, &mut steps),
        Task::BuildEbpf => ebpf::run(&mut steps),
        Task::Tidy => tidy::run(),
        Task::Test(args) => test::run(&args, &mut steps),
        Task::Fuzz(args) => fuzz::run(&args, &mut steps),
        Task::Demo(args) => demo::run(&args, &mut steps),
        Task::Bench(args) => bench::run(&args, &mut steps),
        Task::Image(args) => image::run(&args, &mut steps),
        Task::Cluster(args) => cluster::run(&args, &mut steps),
        Task::Ci => ci::run(&mut steps),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
