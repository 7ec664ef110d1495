//! This run beside an earlier one: what agrees within the spread of both, and what has moved.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::json::{self, Entry};
use crate::machine::Machine;
use crate::summary::Spread;
use crate::system::Kind;

/// An earlier run.
pub struct Earlier {
    machine: Machine,
    cells: Vec<Entry>,
}

impl Earlier {
    /// Reads a `benchmarks.json`.
    pub fn read(path: &Path) -> Result<Self> {
        let place = || format!("reading {}", path.display());
        let text = fs::read_to_string(path).with_context(place)?;
        let (machine, cells) = json::read(&text).with_context(place)?;
        Ok(Self { machine, cells })
    }

    /// A part of the page: how many figures agree, and those that do not, one by one.
    pub fn compare(&self, now: &[Entry]) -> String {
        // Direct only says what the machine was like.
        let proxied = now.iter().filter(|now| now.system != Kind::Direct);
        let pairs = proxied.filter_map(|now| {
            let same = |then: &&Entry| (then.row, then.figure, then.system) == (now.row, now.figure, now.system);
            Some((self.cells.iter().find(same)?, now))
        });
        let compared: Vec<Compared> = pairs.map(|(then, now)| Compared::of(then, now)).collect();
        let moved: Vec<&Compared> = compared.iter().filter(|compared| !compared.agree()).collect();
        let Machine { date, commit, cpu, kernel, .. } = &self.machine;
        let mut text = format!(
            "\n## Against commit `{commit}`\n\nMeasured {date} on {cpu}, Linux {kernel}. {} of {} figures agree within the spread of both \
             runs: ratios to direct where there are any, else the figures themselves. (One repetition has no spread.)\n",
            compared.len() - moved.len(),
            compared.len()
        );
        if !moved.is_empty() {
            text.push_str("\n| row | | | then | now | |\n|---|---|---|---|---|---|\n");
        }
        for compared in moved {
            let Entry { row, figure, system, .. } = compared.entry;
            let (then, now) = (compared.show(compared.then), compared.show(compared.now));
            let change = (compared.now.median / compared.then.median - 1.0) * 100.0;
            let better = (change > 0.0) == figure.more_is_better();
            let word = if better { "better" } else { "**worse**" };
            let _ = writeln!(
                text,
                "| `{}` | {} | {system} | {then} | {now} | {change:+.0} %, {word} |",
                row.name(),
                row.label(*figure)
            );
        }
        text
    }
}

/// A figure of both runs.
struct Compared<'a> {
    entry: &'a Entry,
    is_ratio: bool,
    then: Spread,
    now: Spread,
}

impl<'a> Compared<'a> {
    fn of(then: &Entry, now: &'a Entry) -> Self {
        let ratios = then.ratio_to_direct.zip(now.ratio_to_direct).filter(|_| now.figure.has_ratio());
        let (then, value) = ratios.unwrap_or((then.value, now.value));
        Self { entry: now, is_ratio: ratios.is_some(), then, now: value }
    }

    /// Do the ranges of both runs touch?
    fn agree(&self) -> bool {
        self.then.min <= self.now.max && self.now.min <= self.then.max
    }

    fn show(&self, spread: Spread) -> String {
        let one = |value| if self.is_ratio { format!("{value:.2}") } else { self.entry.figure.show(value) };
        format!("{} ({}-{})", one(spread.median), one(spread.min), one(spread.max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Figure;
    use crate::results::tests::empty;
    use crate::row::Row;

    /// A run in which weft has these shares of direct, and this idle memory.
    fn run(shares: [f64; 3], idle: f64) -> Vec<Entry> {
        let mut results = empty();
        for (repetition, share) in shares.into_iter().enumerate() {
            results.add(repetition, (Row::Rps32, Figure::Rate, Kind::Direct), 1000.0);
            results.add(repetition, (Row::Rps32, Figure::Rate, Kind::WeftHttp), 1000.0 * share);
            results.add(repetition, (Row::Idle, Figure::Rss, Kind::WeftHttp), idle);
        }
        json::entries(&results)
    }

    #[test]
    fn ranges_that_touch_agree_and_others_are_listed() {
        let then = Earlier { machine: empty().machine, cells: run([0.4, 0.5, 0.45], 40e6) };
        let text = then.compare(&run([0.5, 0.6, 0.55], 40e6));
        assert!(text.contains("2 of 2 figures agree") && !text.contains("| then |"), "{text}");
        let text = then.compare(&run([0.6, 0.8, 0.9], 80e6));
        assert!(text.contains("0 of 2 figures agree"), "{text}");
        let line =
            "| `rps-32` | requests/s, 32 connections | weft L7 | 0.45 (0.40-0.50) | 0.80 (0.60-0.90) | +78 %, better |";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("| 38 MiB (38 MiB-38 MiB) | 76 MiB (76 MiB-76 MiB) | +100 %, **worse** |"), "{text}");
        let text = then.compare(&run([0.1, 0.2, 0.3], 40e6));
        assert!(text.contains("| 0.45 (0.40-0.50) | 0.20 (0.10-0.30) | -56 %, **worse** |"), "{text}");
    }

    #[test]
    fn what_only_one_run_has_is_not_compared() {
        let then = Earlier { machine: empty().machine, cells: Vec::new() };
        assert!(then.compare(&run([0.5, 0.5, 0.5], 1.0)).contains("0 of 0 figures agree"));
    }
}
