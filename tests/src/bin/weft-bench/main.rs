//! `weft-bench`: what the mesh costs, on two emulated nodes, against no mesh and against a pair of sidecars.
//!
//! Started by `cargo xtask bench`, which builds the agent and provides the load generators; its options come as one JSON argument
//! ([`config::Config`]). Owns the order of things: world, proof that it is the world it should be, rows, report. It measures and
//! never judges: a slow result ends with success.

mod certificates;
mod chart;
mod config;
mod envoy;
mod goals;
mod load;
mod machine;
mod markdown;
mod metric;
mod results;
mod rows;
mod summary;
mod system;
mod usage;
mod world;

use std::fs;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};

use crate::config::Config;
use crate::results::Results;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let Some(options) = std::env::args().nth(1) else {
        bail!("weft-bench takes its options from `cargo xtask bench`: run that instead");
    };
    let config: Config = serde_json::from_str(&options).context("reading the options, a JSON object")?;
    let started = Instant::now();
    eprintln!("==> two nodes, pods and agents");
    let world = world::World::build(&config)?;
    world.prove()?;
    let machine = machine::Machine::describe(&config.commit)?;
    let mut results = Results::new(&config, machine);
    let measured = rows::measure(&world, &config, &mut results);
    // What was measured before a failure is worth keeping: hours of a quiet machine are rare.
    write(&config, &results)?;
    measured?;
    eprintln!("done in {:.0} s: {}", started.elapsed().as_secs_f64(), config.out.display());
    ensure!(results.failures.is_empty(), "{} runs failed; they are listed in the report", results.failures.len());
    Ok(())
}

fn write(config: &Config, results: &Results) -> Result<()> {
    fs::create_dir_all(&config.out).with_context(|| format!("making {}", config.out.display()))?;
    let summary = summary::Summary::of(results);
    let table = markdown::page(results, &summary);
    println!("{table}");
    let json = serde_json::to_string_pretty(results)? + "\n";
    for (name, text) in [("results.md", table), ("results.json", json), ("results.svg", chart::draw(results, &summary))]
    {
        let path = config.out.join(name);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}
