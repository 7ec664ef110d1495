//! The terminal: headings, facts, promises, and the table at the end.
//!
//! Written for 80 to 100 columns; colours only where a person looks (a terminal, without `NO_COLOR`). Knows nothing of the mesh.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Error, Result};
use weft_testbed::cleanup;

/// Columns of a bar.
const BAR: usize = 40;
/// Columns for the names of facts.
const NAME: usize = 20;

/// What was shown so far.
pub struct Show {
    colours: bool,
    begun: Instant,
    broken_promises: usize,
    failed: bool,
    steps: Vec<Step>,
}

struct Step {
    title: String,
    kept: bool,
    took: Duration,
    seen: String,
}

impl Show {
    /// An empty stage.
    pub fn new() -> Self {
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { colours, begun: Instant::now(), broken_promises: 0, failed: false, steps: Vec::new() }
    }

    /// Shows one step. `work` returns what was seen, for the table; an error counts as a broken promise, and the show goes on.
    pub fn step(&mut self, title: &str, work: impl FnOnce(&mut Self) -> Result<String>) {
        // The error was shown and counted: the next step may still have something to show.
        let _ = self.timed(title, |show| work(show).map(|seen| (seen, ())));
    }

    /// Shows a step that all others need.
    pub fn must<T>(&mut self, title: &str, work: impl FnOnce(&mut Self) -> Result<(String, T)>) -> Result<T> {
        self.timed(title, work)
    }

    fn timed<T>(&mut self, title: &str, work: impl FnOnce(&mut Self) -> Result<(String, T)>) -> Result<T> {
        let number = self.steps.len() + 1;
        let heading = self.paint(&format!("{number}. {title}"), "1;36");
        self.line(&format!("\n{heading}"));
        let (before, begun) = (self.broken_promises, Instant::now());
        let result = work(self);
        let took = begun.elapsed();
        let kept = result.is_ok() && self.broken_promises == before;
        self.failed |= !kept;
        let seen = match &result {
            Ok((seen, _)) => seen.clone(),
            Err(error) => {
                self.verdict(false, &format!("{error:#}"));
                error.to_string()
            }
        };
        let time = self.paint(&format!("   ({})", seconds(took)), "2");
        self.line(&time);
        self.steps.push(Step { title: title.to_owned(), kept, took, seen });
        result.map(|(_, value)| value)
    }

    /// A line as it is. Once a signal told the process to end, nothing more is said: the cluster is being removed under our feet.
    pub fn line(&self, text: &str) {
        while cleanup::process_is_ending() {
            std::thread::park();
        }
        // A closed terminal must not keep the cluster from being removed.
        let _ = writeln!(std::io::stdout(), "{text}");
    }

    /// A named fact.
    pub fn fact(&self, name: &str, value: &str) {
        self.line(&format!("   {name:NAME$} {value}"));
    }

    /// A share (0 to 1) of `count` requests as a bar.
    pub fn bar(&self, name: &str, share: f64, remark: &str) {
        let filled = ((share * BAR as f64).round() as usize).min(BAR);
        let bar = self.paint(&"#".repeat(filled), "36") + &".".repeat(BAR - filled);
        self.line(&format!("   {name:NAME$} [{bar}] {:5.1} %  {remark}", share * 100.0));
    }

    /// Says whether something that was promised is so.
    pub fn promise(&mut self, held: bool, text: &str) {
        if !held {
            self.broken_promises += 1;
        }
        self.verdict(held, text);
    }

    fn verdict(&self, held: bool, text: &str) {
        let mark = if held { self.paint("ok    ", "32") } else { self.paint("BROKEN", "1;31") };
        self.line(&format!("   {mark} {text}"));
    }

    /// The steps, one line each.
    pub fn table(&self) {
        self.line(&format!("\n{}", self.paint("What you have seen", "1;36")));
        for (number, step) in self.steps.iter().enumerate() {
            let mark = if step.kept { self.paint("ok    ", "32") } else { self.paint("BROKEN", "1;31") };
            self.line(&format!(" {mark} {}. {} ({})", number + 1, step.title, seconds(step.took)));
            self.line(&format!("           {}", step.seen));
        }
        let kept = self.steps.iter().filter(|step| step.kept).count();
        self.line(&format!(" {kept} of {} as promised, in {}", self.steps.len(), seconds(self.begun.elapsed())));
    }

    /// What is still on the machine after the end.
    pub fn leftovers(&mut self, left: &[String]) {
        let text = crate::leftovers::sentence(left);
        self.failed |= !left.is_empty();
        self.verdict(left.is_empty(), &text);
    }

    /// Something without which the show cannot go on.
    pub fn broken(&mut self, error: &Error) {
        self.failed = true;
        self.line(&format!("\nThe demo ends here: {error:#}"));
    }

    /// Whether anything was not as promised.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// Text in an ANSI colour, on terminals.
    pub fn paint(&self, text: &str, colour: &str) -> String {
        if self.colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// `1.2 s`, or `340 ms`
pub fn seconds(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

/// `1.2 ms`
pub fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}
