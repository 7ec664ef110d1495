//! What the mesh does, shown to a person step by step; `cargo xtask demo` builds and starts it.
//!
//! Owns the order of the steps and the exit code. Each step is a file that measures what it shows: a promise that did not hold is
//! printed as such and makes the exit code 1. The cluster is the testbed's, the objects are those of `deploy/examples`.

mod authorization;
mod canary;
mod identity;
mod keep;
mod leftovers;
mod machine;
mod price;
mod show;
mod start;
mod strict;
mod town;
mod wire;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use weft_testbed::cleanup;

use crate::show::Show;
use crate::town::Town;

/// The demo of weft: two emulated nodes, real network namespaces, real packets.
#[derive(Parser)]
struct Args {
    /// Stay up at the end, to play with it.
    #[arg(long)]
    keep: bool,
    /// Fewer requests, for tests.
    #[arg(long)]
    short: bool,
}

/// How many requests a step may take to make its point.
#[derive(Clone, Copy)]
pub struct Effort {
    /// For one split of traffic.
    pub split: usize,
    /// For the latency of one path.
    pub latency: usize,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let effort = if args.short { Effort { split: 120, latency: 50 } } else { Effort { split: 400, latency: 1000 } };
    let mut show = Show::new();
    leftovers::announce_at_signal();
    machine::go_first();
    match play(&mut show, effort, args.keep) {
        Ok(()) => {}
        Err(error) => show.broken(&error),
    }
    if show.has_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn play(show: &mut Show, effort: Effort, keep: bool) -> Result<()> {
    let removed = cleanup::cleanup_leftovers();
    if removed > 0 {
        show.line(&format!("An earlier run was killed; what it had left behind ({removed} cluster) is removed."));
    }
    machine::warn_if_busy(show);
    let town = show.must("A cluster, and weft under it", Town::build)?;
    show.step("A sentence through the mesh", |show| start::sentence(&town, show));
    show.step("A canary that follows its file", |show| canary::run(&town, effort, show));
    show.step("Ciphertext on the wire, plaintext only inside the pod", |show| wire::run(&town, show));
    show.step("Who talks to whom: names from certificates, not addresses", |show| identity::run(&town, show));
    show.step("STRICT: no plaintext from strangers", |show| strict::run(&town, show));
    show.step("Who may ask for what, and which policy refused", |show| authorization::run(&town, show));
    show.step("The price", |show| price::run(&town, effort, show));
    show.table();
    if keep {
        keep::stay(&town, show)?;
    }
    let id = town.cluster.id().clone();
    drop(town);
    show.leftovers(&leftovers::of(&id));
    if !show.has_failed() {
        show.line("\nWhat to try next: `cargo xtask demo --keep` leaves it running and tells how to play with it.");
    }
    Ok(())
}
