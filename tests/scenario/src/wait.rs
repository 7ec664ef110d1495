//! Waiting for what becomes true in a while, the only kind of sleep a test needs.

use std::time::{Duration, Instant};

use anyhow::Result;

/// How soon a change of configuration acts: the exercises' pages say "immediately".
pub const APPLIES: Duration = Duration::from_secs(3);
/// How long pods and agents may take to be there, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A pause that took this much longer than it should: nobody got a CPU meanwhile, and that time is not counted.
const STALL: Duration = Duration::from_millis(50);

/// Repeats `check` until it succeeds and returns its value; panics with its last error after `patience`.
///
/// Time in which this machine stood still does not count: a busy one may give no CPU to anybody's processes for seconds.
#[track_caller]
pub fn eventually<T>(patience: Duration, check: impl FnMut() -> Result<T>) -> T {
    match try_eventually(patience, check) {
        Ok(value) => value,
        Err(error) => panic!("not true within {patience:?}: {error:#}"),
    }
}

/// Like [`eventually`], but returns the last error.
///
/// # Errors
/// The last error of `check`.
pub fn try_eventually<T>(patience: Duration, mut check: impl FnMut() -> Result<T>) -> Result<T> {
    let mut deadline = Instant::now() + patience;
    let mut pause = Duration::from_millis(2);
    loop {
        match check() {
            Ok(value) => return Ok(value),
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => {
                let started = Instant::now();
                std::thread::sleep(pause);
                let late = started.elapsed().saturating_sub(pause);
                if late >= STALL {
                    deadline += late;
                }
            }
        }
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}
