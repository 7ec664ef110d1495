//! `weft-bench`: what the mesh costs, on two emulated nodes, against no mesh and against a pair of sidecars.
//!
//! Started by `cargo xtask bench`, which builds the agent and provides the load generators; its options come as one JSON argument
//! ([`config::Config`]). Owns the order of things: stages (each a world, the proof that it is what it should be,
//! and rows), report. It measures and never judges: a slow result ends with success.

mod certificates;
mod chart;
mod compare;
mod config;
mod counters;
mod envoy;
mod fan;
mod figure;
mod goals;
mod growth;
mod json;
mod load;
mod machine;
mod markdown;
mod nginx;
mod results;
mod row;
mod site;
mod stage;
mod summary;
mod system;
mod usage;
mod world;

use std::fs;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::compare::Earlier;
use crate::config::Config;
use crate::results::Results;
use crate::row::{Patterns, Row};

/// Lists the rows that the patterns behind it mean.
const LIST: &str = "--list";
/// The picture beside the page.
const CHART: &str = "benchmarks.svg";

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
    let mut args = std::env::args().skip(1);
    let Some(options) = args.next() else {
        bail!("weft-bench takes its options from `cargo xtask bench`: run that instead");
    };
    if options == LIST {
        return list(&Patterns(args.collect()).choose()?);
    }
    let config: Config = serde_json::from_str(&options).context("reading the options, a JSON object")?;
    let rows = config.rows.choose()?;
    // Now, not after a quarter of an hour.
    let earlier = config.against.as_deref().map(Earlier::read).transpose()?;
    allow_many_files()?;
    let (started, stolen) = (Instant::now(), usage::stolen()?);
    let machine = machine::Machine::describe(&config.commit)?;
    let mut results = Results::new(&config, rows, machine);
    let measured = stage::measure(&config, &mut results);
    let passed = started.elapsed().as_secs_f64();
    results.stolen = Some((usage::stolen()? - stolen) / passed / results.machine.cpus as f64);
    // What was measured before a failure is worth keeping: hours of a quiet machine are rare.
    write(&config, &results, earlier.as_ref())?;
    measured?;
    eprintln!("done in {passed:.0} s: {}", config.out.display());
    ensure!(results.failures.is_empty(), "{} runs failed; they are listed in the report", results.failures.len());
    Ok(())
}

/// Names first, so that a script can take them.
fn list(rows: &[Row]) -> Result<()> {
    rows.iter().for_each(|row| println!("{:<18} {}", row.name(), row.about()));
    Ok(())
}

/// Some rows hold thousands of connections; load generators inherit what is allowed.
fn allow_many_files() -> Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most).context("raising the number of open files to the hard limit")
}

fn write(config: &Config, results: &Results, earlier: Option<&Earlier>) -> Result<()> {
    fs::create_dir_all(&config.out).with_context(|| format!("making {}", config.out.display()))?;
    let mut page = markdown::page(results, CHART);
    if let Some(earlier) = earlier {
        page.push_str(&earlier.compare(&json::entries(results)));
    }
    println!("{page}");
    for (name, text) in
        [("BENCHMARKS.md", page), ("benchmarks.json", json::document(results)?), (CHART, chart::draw(results))]
    {
        let path = config.out.join(name);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}
