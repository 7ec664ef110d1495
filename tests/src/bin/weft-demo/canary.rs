//! A canary release: the split of traffic follows the weights in a file, and no request fails while it changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use weft_testbed::Pod;

use crate::Effort;
use crate::show::Show;
use crate::town::Town;

/// The rules, as published in `deploy/examples`; their weights are 90 and 10.
const CANARY: &str = include_str!("../../../../deploy/examples/canary/canary.yaml");
/// The name of the copy that the agents read.
pub const FILE: &str = "canary.yaml";
/// What is asked.
pub const URL: &str = "http://sentences:5000/";
/// Part of all names that version 2 gives.
pub const V2: &str = "(v2)";
/// Clients at once.
const PARALLEL: usize = 4;
/// A change has to act within this time.
const LIMIT: Duration = Duration::from_secs(1);

/// The step.
pub fn run(town: &Town, effort: Effort, show: &mut Show) -> Result<String> {
    let written = town.put(FILE, CANARY)?;
    show.fact("written", "manifests/canary.yaml: 90 % of the requests for `name` to v1, 10 % to v2");
    // Nothing was asked before: this settles only until the agents have read the file.
    std::thread::sleep(LIMIT.saturating_sub(written.elapsed()));
    let mut shares = vec![split(town, effort, 10, show)?];
    let half = change(town, (50, 50))?;
    show.fact("file edited", "weights 50 and 50, under steady requests");
    show.promise(half.failures.is_empty(), &format!("{} requests while it changed, {}", half.requests, half.failed()));
    shares.push(split(town, effort, 50, show)?);
    let whole = change(town, (0, 100))?;
    show.fact("file edited", "weights 0 and 100, under steady requests");
    show.promise(
        whole.failures.is_empty(),
        &format!("{} requests while it changed, {}", whole.requests, whole.failed()),
    );
    let effect = whole.last_old.map_or(Duration::ZERO, |last| last.saturating_duration_since(whole.written));
    let says = format!("last request by the old weights: {} ms after the file was written", effect.as_millis());
    show.promise(effect < LIMIT && whole.new > 0, &says);
    shares.push(split(town, effort, 100, show)?);
    let shares: Vec<String> = shares.iter().map(|share| format!("{:.0} %", share * 100.0)).collect();
    let failed = half.failures.len() + whole.failures.len();
    Ok(format!("v2 got {}; in force after {} ms; {failed} failed", shares.join(", then "), effect.as_millis()))
}

/// The published rules with other weights, as an editor would leave them.
fn with_weights(v1: u8, v2: u8) -> Result<String> {
    ensure!(CANARY.contains("weight: 90\n") && CANARY.contains("weight: 10\n"), "the weights of canary.yaml moved");
    Ok(CANARY.replace("weight: 90\n", &format!("weight: {v1}\n")).replace("weight: 10\n", &format!("weight: {v2}\n")))
}

/// Asks, and compares v2's share with the `wanted` percentage.
fn split(town: &Town, effort: Effort, wanted: u8, show: &mut Show) -> Result<f64> {
    let answers = town.client.get_many(URL, &[], effort.split, PARALLEL);
    let good = answers.count(|answer| answer.status == 200);
    if good != effort.split {
        bail!("{good} of {} requests succeeded: {:?}{}", effort.split, answers.summary(), complaint(town)?);
    }
    let (share, wanted) = (answers.share_with(V2), f64::from(wanted) / 100.0);
    show.bar("  v1", 1.0 - share, &format!("of {} requests", effort.split));
    show.bar("  v2", share, &format!("configured: {:.0} %", wanted * 100.0));
    // Four and a half standard deviations: dice alone leave it once in a hundred thousand shows.
    let tolerance = 4.5 * (wanted * (1.0 - wanted) / effort.split as f64).sqrt();
    let dice = if tolerance > 0.0 {
        format!("as configured, give or take {:.0} % of luck", tolerance * 100.0)
    } else {
        "exactly as configured".to_owned()
    };
    show.promise((share - wanted).abs() <= tolerance, &dice);
    Ok(share)
}

/// What the application says of its last failed request, for messages.
fn complaint(town: &Town) -> Result<String> {
    let log = town.pod("sentences")?.log();
    Ok(log.lines().rev().find(|line| line.contains("failed")).map(|line| format!("; {line}")).unwrap_or_default())
}

/// What was seen while a file changed.
struct Change {
    written: Instant,
    requests: usize,
    failures: Vec<String>,
    /// When the last request was begun that v1 answered.
    last_old: Option<Instant>,
    /// Answers of v2 after the change.
    new: usize,
}

impl Change {
    fn failed(&self) -> String {
        self.failures.first().map_or_else(
            || "none failed".to_owned(),
            |first| format!("{} failed, the first with: {first}", self.failures.len()),
        )
    }
}

/// Edits the weights while requests go on, until a second later.
fn change(town: &Town, (v1, v2): (u8, u8)) -> Result<Change> {
    let ended = Arc::new(AtomicBool::new(false));
    let askers: Vec<_> = (0..2).map(|_| ask_steadily(&town.client, &ended)).collect();
    std::thread::sleep(Duration::from_millis(300));
    let written = town.put(FILE, &with_weights(v1, v2)?);
    std::thread::sleep(LIMIT + Duration::from_millis(200));
    ended.store(true, Ordering::SeqCst);
    let mut samples = Vec::new();
    for asker in askers {
        samples.extend(asker.join().ok().context("a client thread panicked")?);
    }
    let written = written?;
    let is_new = |sample: &Sample| matches!(&sample.body, Ok(body) if body.contains(V2));
    let is_old = |sample: &Sample| matches!(&sample.body, Ok(body) if !body.contains(V2));
    Ok(Change {
        written,
        requests: samples.len(),
        failures: samples.iter().filter_map(|sample| sample.body.as_ref().err().cloned()).collect(),
        last_old: samples.iter().filter(|sample| is_old(sample)).map(|sample| sample.begun).max(),
        new: samples.iter().filter(|sample| sample.begun > written && is_new(sample)).count(),
    })
}

struct Sample {
    begun: Instant,
    body: Result<String, String>,
}

fn ask_steadily(client: &Pod, ended: &Arc<AtomicBool>) -> JoinHandle<Vec<Sample>> {
    let (client, ended) = (client.clone(), Arc::clone(ended));
    std::thread::spawn(move || {
        let mut samples = Vec::new();
        while !ended.load(Ordering::SeqCst) {
            let begun = Instant::now();
            let body = match client.get(URL) {
                Ok(answer) if answer.status == 200 => Ok(answer.text()),
                Ok(answer) => Err(format!("status {} {}", answer.status, answer.text())),
                Err(failure) => Err(failure.to_string()),
            };
            samples.push(Sample { begun, body });
            std::thread::sleep(Duration::from_millis(2));
        }
        samples
    })
}
