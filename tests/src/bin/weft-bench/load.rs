//! The load generators: packaged programs, run inside the client's pod, and what they say.
//!
//! Each returns how much it did beside the figure, because CPU time is counted per request and per byte. A run with too many
//! failures is refused, and its error says in one line what failed.

mod held;
mod iperf;
mod oha;
mod wrk;

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use weft_testbed::Place;

pub use self::held::hold;
pub use self::iperf::iperf;
pub use self::oha::{connections, latency};
pub use self::wrk::{Requests, wrk, wrk_everywhere};

/// A run with a larger share of failures measures something else.
const FAILURES_MAX: f64 = 0.005;
/// The last lines of a program's errors that belong to a message.
const LINES_SHOWN: usize = 3;

/// Runs a load generator to its end and returns what it printed.
///
/// # Errors
/// Its exit code and the end of what it said.
fn run(client: &Place, program: &Path, args: &[&str]) -> Result<Said> {
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let output = client.exec(&program.display().to_string(), args)?;
    let said = Said { name, stdout: output.stdout, stderr: output.stderr };
    ensure!(output.status.success(), "{} ended with {}: {}", said.name, output.status, said.last_words());
    Ok(said)
}

/// Both outputs of a load generator.
struct Said {
    name: String,
    stdout: String,
    stderr: String,
}

impl Said {
    /// The end of its errors, or of its output when it has none, in one line.
    fn last_words(&self) -> String {
        let text = if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr };
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        lines[lines.len().saturating_sub(LINES_SHOWN)..].join(" / ")
    }

    /// What `read` makes of its output.
    ///
    /// # Errors
    /// With the end of what it said, when it is not what is known.
    fn read<T>(&self, read: impl FnOnce(&str) -> Option<T>) -> Result<T> {
        read(&self.stdout)
            .with_context(|| format!("{} said something else than usual: {}", self.name, self.last_words()))
    }
}

/// Judges a run by its failures, each kind with its count.
///
/// # Errors
/// Too many: how many, of how many, and of which kinds, the most frequent first.
fn judge(answered: f64, mut failures: Vec<(String, f64)>) -> Result<()> {
    failures.retain(|(_, count)| *count > 0.0);
    failures.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let failed = failures.iter().fold(0.0, |sum, (_, count)| sum + count);
    if answered > 0.0 && failed <= answered * FAILURES_MAX {
        return Ok(());
    }
    ensure!(failed > 0.0, "not one request was answered, and not one failed: the load was over before");
    let kinds: Vec<String> = failures.iter().map(|(kind, count)| format!("{count:.0} times {kind}")).collect();
    bail!("{failed:.0} requests failed and {answered:.0} were answered: {}", kinds.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_failures_are_forgiven_and_many_are_named() {
        judge(1000.0, vec![("reset".to_owned(), 5.0)]).unwrap();
        let error = judge(100.0, vec![("503".to_owned(), 3.0), ("reset".to_owned(), 40.0), ("else".to_owned(), 0.0)]);
        let error = error.unwrap_err().to_string();
        assert_eq!(error, "43 requests failed and 100 were answered: 40 times reset, 3 times 503");
        assert!(judge(0.0, Vec::new()).unwrap_err().to_string().contains("not one request was answered"));
    }

    #[test]
    fn the_last_words_are_one_line() {
        let said = |stderr: &str| Said { name: "x".into(), stdout: "out\n".into(), stderr: stderr.into() };
        assert_eq!(said("a\nb\n\n  c\nd\n").last_words(), "b / c / d");
        assert_eq!(said(" \n").last_words(), "out");
        let error = said("why").read(|_| None::<()>).unwrap_err().to_string();
        assert!(error.contains("x said something else than usual: why"), "{error}");
    }
}
