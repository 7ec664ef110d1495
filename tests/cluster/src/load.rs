//! A load that goes on inside a pod while a scenario does something else, also when nobody reaches the pod meanwhile.
//!
//! It runs detached from kubectl: the API server may be away. What came of it is in files of the container.

use std::time::Duration;

use anyhow::{Result, ensure};
use weft_scenario::{Answers, try_eventually};

use crate::container::Container;
use crate::curl::{REPORT, answers, parse};

/// How many curls at a time.
const WORKERS: u32 = 4;
/// The longest a load goes on by itself, in seconds, should nobody end it.
const LIMIT: u32 = 900;
/// How long the last requests may take.
const ENDS: Duration = Duration::from_secs(40);

/// Folder $1; $2 workers, each with $3 requests at most and pauses of $4 seconds; everything else is curl's.
const START: &str = r#"
folder=$1 workers=$2 limit=$3 pause=$4; shift 4
mkdir "$folder"
worker=0
while [ "$worker" -lt "$workers" ]; do
  (
    i=0
    while [ "$i" -lt "$limit" ] && [ ! -e "$folder/stop" ]; do curl "$@"; i=$((i + 1)); sleep "$pause"; done
    : >"$folder/$worker.ended"
  ) >"$folder/$worker.answers" 2>/dev/null </dev/null &
  worker=$((worker + 1))
done
"#;

/// A running load.
#[derive(Debug)]
#[must_use = "a load that is dropped at once tells nothing"]
pub struct PodLoad {
    container: Container,
    folder: String,
}

impl Container {
    /// GET `rate` times a second at most, each over a connection of its own, until [`PodLoad::finish`].
    pub fn load(&self, url: &str, rate: u32) -> Result<PodLoad> {
        let folder = format!("/tmp/load-{:08x}", fastrand::u32(..));
        let pause = f64::from(WORKERS) / f64::from(rate.max(1));
        let (workers, limit) = (WORKERS.to_string(), (LIMIT * rate.max(1) / WORKERS + 1).to_string());
        let pause = format!("{pause:.3}");
        self.shell(START, &[&folder, &workers, &limit, &pause, "-s", "-m", "10", "-w", REPORT, url])?;
        Ok(PodLoad { container: self.clone(), folder })
    }
}

impl PodLoad {
    /// Ends the load and returns what came of it.
    pub fn finish(self) -> Result<Answers> {
        self.container.shell(r#": >"$1/stop""#, &[&self.folder])?;
        try_eventually(ENDS, || {
            let ended = self.container.shell(r#"ls "$1" | grep -c ended || true"#, &[&self.folder])?;
            ensure!(ended.trim() == WORKERS.to_string(), "{} of {WORKERS} workers have ended", ended.trim());
            Ok(())
        })?;
        let text = self.container.shell(r#"cat "$1"/*.answers; rm -r "$1""#, &[&self.folder])?;
        Ok(answers(parse(&text)?))
    }
}
