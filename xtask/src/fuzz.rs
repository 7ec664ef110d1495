//! `cargo xtask fuzz`: random and hostile bytes for everything that parses a stranger's, steered by coverage.
//!
//! Builds `fuzz/` (one program, libFuzzer around the agent's targets) on stable Rust: `fuzz/rustc` adds the coverage to the
//! packages of this workspace alone, so that all dependencies are those that `cargo test` has built. Each target begins with its
//! seeds in `fuzz/corpus` and what earlier runs have found, which is kept below the user's cache folder.

mod stats;

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use self::stats::Stats;
use crate::paths;
use crate::run::{Cmd, Steps};
use crate::test::executable;

/// Which targets, and for how long.
#[derive(clap::Args)]
pub struct Args {
    /// Only these targets; without any, all of them.
    targets: Vec<String>,
    /// How long each target runs.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..=3600))]
    seconds: u16,
    /// Run one target once, with the bytes of this file: what a failure has left.
    #[arg(long, conflicts_with = "seconds")]
    input: Option<PathBuf>,
}

/// Seconds of each target in `cargo xtask test fuzz`: the seeds and a short search.
const SECONDS_IN_TESTS: u16 = 10;

/// Longest time for one input, in seconds by the clock: a parser that takes longer can be stalled by a stranger. Inputs take
/// milliseconds, but a busy machine may not let them.
const INPUT_SECONDS_MAX: u16 = 30;

/// Memory of a target's process, in MiB: libFuzzer's own tables, coverage and one input at work.
const MEMORY_MIB_MAX: u16 = 1024;

/// How much longer than asked for a target may take, to read what earlier runs have found.
const PATIENCE: Duration = Duration::from_secs(300);

/// The variable by which the program is told its target, and what makes it print their names (`fuzz/src/main.rs`).
const TARGET: &str = "WEFT_FUZZ_TARGET";
const LIST: &str = "list";

/// Where a failure is told apart from the rest of a log.
const MARKS: [&str; 3] = ["panicked at", "ERROR: libFuzzer", "assertion"];

/// The task as typed.
pub fn run(args: &Args, steps: &mut Steps) -> Result<()> {
    let fuzzer = Fuzzer::build(steps)?;
    let targets = fuzzer.choose(&args.targets)?;
    match &args.input {
        None => fuzzer.search(&targets, args.seconds),
        Some(input) => {
            let [target] = &targets[..] else { bail!("--input needs the name of the one target it is for") };
            let input = fs::canonicalize(input).with_context(|| format!("no such file: {}", input.display()))?;
            fuzzer.command(target).args([input]).run()
        }
    }
}

/// All targets for some seconds, for `cargo xtask test fuzz`; `filter` chooses by a part of the name.
pub fn run_short(filter: Option<&str>, steps: &mut Steps) -> Result<()> {
    let fuzzer = Fuzzer::build(steps)?;
    let targets = fuzzer.targets.iter().filter(|target| filter.is_none_or(|part| target.contains(part)));
    fuzzer.search(&targets.cloned().collect::<Vec<_>>(), SECONDS_IN_TESTS)
}

/// The program with all targets.
struct Fuzzer {
    program: PathBuf,
    targets: Vec<String>,
}

impl Fuzzer {
    fn build(steps: &mut Steps) -> Result<Self> {
        ensure!(paths::find_program("c++").is_some(), "libFuzzer is C++: install a compiler (Debian: `g++`)");
        let report = steps.step("fuzz targets with coverage", || {
            Cmd::cargo()
                .args(["build", "--package", "weft-fuzz", "--message-format", "json-render-diagnostics"])
                .env("RUSTC_WORKSPACE_WRAPPER", paths::root().join("fuzz/rustc"))
                .read_stdout()
        })?;
        let program = executable(&report, "weft-fuzz")?;
        let list = Cmd::new(&program).env(TARGET, LIST).read()?;
        Ok(Self { program, targets: list.lines().map(str::to_owned).collect() })
    }

    fn choose(&self, wanted: &[String]) -> Result<Vec<String>> {
        if let Some(unknown) = wanted.iter().find(|name| !self.targets.contains(name)) {
            bail!("there is no target {unknown}; there is {}", self.targets.join(", "));
        }
        Ok(if wanted.is_empty() { self.targets.clone() } else { wanted.to_vec() })
    }

    fn command(&self, target: &str) -> Cmd {
        Cmd::new(&self.program).env(TARGET, target).env("RUST_BACKTRACE", "1")
    }

    /// Runs targets side by side, one for each CPU, and shows a line of figures for each.
    fn search(&self, targets: &[String], seconds: u16) -> Result<()> {
        let waiting = Mutex::new(targets.iter());
        let failed = Mutex::new(Vec::new());
        let workers = thread::available_parallelism().map_or(1, usize::from);
        eprintln!("{} targets, {seconds} s each, {workers} at a time", targets.len());
        thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(|| {
                    loop {
                        let Some(target) = waiting.lock().ok().and_then(|mut waiting| waiting.next()) else { return };
                        match self.search_one(target, seconds) {
                            Ok(stats) => eprintln!("  {target:16} {stats}"),
                            Err(error) => {
                                eprintln!("  {target:16} FAILED\nerror: {error:#}");
                                if let Ok(mut failed) = failed.lock() {
                                    failed.push(target.as_str());
                                }
                            }
                        }
                    }
                });
            }
        });
        let failed = failed.into_inner().unwrap_or_default();
        ensure!(failed.is_empty(), "failed: {}; which bytes and why is above, at `error:`", failed.join(", "));
        Ok(())
    }

    fn search_one(&self, target: &str, seconds: u16) -> Result<Stats> {
        let seeds = paths::root().join("fuzz/corpus").join(target);
        let has_seeds = fs::read_dir(&seeds).is_ok_and(|mut files| files.next().is_some());
        ensure!(has_seeds, "target {target} has no seeds: put some small inputs into fuzz/corpus/{target}");
        let place = paths::cache()?.join("fuzz").join(target);
        let [found, failures] = ["found", "failures"].map(|name| place.join(name));
        for folder in [&found, &failures] {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let path = place.join("log");
        let log = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        let done = self
            .command(target)
            .args([&found, &seeds])
            .args([
                format!("-max_total_time={seconds}"),
                format!("-timeout={INPUT_SECONDS_MAX}"),
                format!("-rss_limit_mb={MEMORY_MIB_MAX}"),
                format!("-artifact_prefix={}/", failures.display()),
                "-print_final_stats=1".to_owned(),
            ])
            .deadline(Duration::from_secs(seconds.into()) + PATIENCE)
            .output_to(log)?
            .run();
        let log = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let log = String::from_utf8_lossy(&log);
        match done {
            Ok(()) => {
                Stats::read(&log).with_context(|| format!("the target ended without figures; see {}", path.display()))
            }
            Err(error) => match failure(target, &log) {
                Some(said) => bail!("{said}"),
                None => Err(error.context(format!("target {target} did not end as it should; see {}", path.display()))),
            },
        }
    }
}

/// What a failed target has to say: why, with which bytes, and how to see it again.
fn failure(target: &str, log: &str) -> Option<String> {
    let why: Vec<&str> = log
        .lines()
        .skip_while(|line| !MARKS.iter().any(|mark| line.contains(mark)))
        .take_while(|line| !line.starts_with("stack backtrace"))
        .take(6)
        .collect();
    let (_, input) = log.lines().find_map(|line| line.split_once("Test unit written to "))?;
    Some(format!(
        "target {target}: {}\n  run it again: cargo xtask fuzz {target} --input {}",
        why.join("\n    "),
        input.trim()
    ))
}

#[cfg(test)]
mod tests;
