//! Everything measured, as it goes into the JSON: single values, not yet a summary.

use serde::Serialize;

use crate::config::Config;
use crate::figure::Figure;
use crate::machine::Machine;
use crate::row::Row;
use crate::stage::Stage;
use crate::summary::Spread;
use crate::system::Kind;

/// One value.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// What was run.
    pub row: Row,
    /// What was measured of it.
    pub figure: Figure,
    /// In which unit.
    pub unit: &'static str,
    /// Whose.
    pub system: Kind,
    /// Counted from 0; ratios are taken within one repetition.
    pub repetition: usize,
    /// How much.
    pub value: f64,
}

/// Where a value belongs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// What was run.
    pub row: Row,
    /// What was measured of it.
    pub figure: Figure,
    /// Whose.
    pub system: Kind,
}

/// What others did on the machine.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Noise {
    /// Before which stage.
    pub stage: Stage,
    /// Before which repetition of it.
    pub repetition: usize,
    /// Share of all CPUs that others used.
    pub others: f64,
}

/// A run that came to no value.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// What was run.
    pub row: Row,
    /// Whose.
    pub system: Kind,
    /// Which time, counted from 0.
    pub repetition: usize,
    /// What the load generator or the machine said.
    pub reason: String,
}

/// A run of the benchmark.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    /// Where and when.
    pub machine: Machine,
    /// What was asked for.
    pub rows: Vec<Row>,
    /// Repetitions asked for.
    pub repeat: usize,
    /// Length of one run in seconds.
    pub seconds: u64,
    /// Did proxies write access logs?
    pub access_log: bool,
    /// Was Envoy measured beside weft?
    pub with_envoy: bool,
    /// What disturbed.
    pub noise: Vec<Noise>,
    /// Share of all CPUs that the machine's host gave to other machines during the whole run.
    pub stolen: Option<f64>,
    /// The values.
    pub samples: Vec<Sample>,
    /// Runs that did not come to a value, and why.
    pub failures: Vec<Failure>,
    /// What a reader has to know about single rows.
    pub notes: Vec<String>,
}

impl Results {
    /// Nothing measured yet.
    pub fn new(config: &Config, rows: Vec<Row>, machine: Machine) -> Self {
        Self {
            machine,
            rows,
            repeat: config.repeat,
            seconds: config.seconds,
            access_log: config.access_log,
            with_envoy: config.envoy.is_some(),
            noise: Vec::new(),
            stolen: None,
            samples: Vec::new(),
            failures: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Adds a value.
    pub fn add(&mut self, repetition: usize, (row, figure, system): (Row, Figure, Kind), value: f64) {
        self.samples.push(Sample { row, figure, unit: figure.unit(), system, repetition, value });
    }

    /// A value of one repetition, if it was measured; the median where it was measured more than once.
    pub fn value(&self, repetition: usize, cell: Cell) -> Option<f64> {
        let wanted = |sample: &&Sample| {
            let of = Cell { row: sample.row, figure: sample.figure, system: sample.system };
            sample.repetition == repetition && of == cell
        };
        Spread::of(self.samples.iter().filter(wanted).map(|sample| sample.value).collect()).map(|spread| spread.median)
    }

    /// Notes something once.
    pub fn note(&mut self, text: String) {
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::row;

    /// Results of three repetitions without values.
    pub fn empty() -> Results {
        let machine = Machine {
            date: "2026-01-02 03:04 UTC".to_owned(),
            commit: "0123456789ab".to_owned(),
            cpu: "a CPU & more".to_owned(),
            cpus: 2,
            kernel: "6.18".to_owned(),
            memory: 1 << 34,
        };
        Results {
            machine,
            rows: row::ALL.to_vec(),
            repeat: 3,
            seconds: 1,
            access_log: true,
            with_envoy: true,
            noise: Vec::new(),
            stolen: None,
            samples: Vec::new(),
            failures: Vec::new(),
            notes: Vec::new(),
        }
    }
}
