//! What a run of libFuzzer has done, read from what it prints.

use std::fmt;

/// Figures of one target.
#[derive(Debug, PartialEq, Eq)]
pub struct Stats {
    /// Inputs tried.
    runs: u64,
    /// Inputs a second.
    per_second: u64,
    /// Inputs kept because they reach something that no other reaches.
    kept: u64,
    /// Edges of the code that were reached.
    edges: u64,
}

impl Stats {
    /// Reads the log of a run with `-print_final_stats=1`.
    pub fn read(log: &str) -> Option<Self> {
        let number = |name: &str| {
            let line = log.lines().find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name)?.strip_prefix(':'));
            line?.trim().parse().ok()
        };
        // `#1234 DONE   cov: 812 ft: 3021 corp: 310/12Kb ...`
        let last = log.lines().rfind(|line| line.starts_with('#') && line.contains("cov: "))?;
        let after = |name: &str| {
            let rest = last.split_once(name)?.1;
            rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
        };
        Some(Self {
            runs: number("number_of_executed_units")?,
            per_second: number("average_exec_per_sec")?,
            kept: after("corp: ").unwrap_or(0),
            edges: after("cov: ")?,
        })
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, per_second, kept, edges } = self;
        write!(f, "{runs:>10} runs, {per_second:>7}/s, {edges:>6} edges, {kept:>5} inputs kept")
    }
}
