//! Everything measured, as it goes into `results.json`: single values, not yet a summary.

use serde::Serialize;

use crate::config::{Config, Row};
use crate::machine::Machine;
use crate::metric::Metric;
use crate::system::Kind;

/// One value.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// Counted from 0; ratios are taken within one repetition.
    pub repetition: usize,
    /// Whose.
    pub system: Kind,
    /// Of what.
    pub metric: Metric,
    /// In the metric's base unit (seconds, bytes, bits per second, per second).
    pub value: f64,
}

/// A run of the benchmark.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    /// Where and when.
    pub machine: Machine,
    /// Groups of figures measured.
    pub rows: Vec<Row>,
    /// Repetitions asked for.
    pub repeat: usize,
    /// Length of one run in seconds.
    pub seconds: u64,
    /// Did proxies write access logs?
    pub access_log: bool,
    /// For each repetition, the share of all CPUs that others used just before it: noise.
    pub others: Vec<f64>,
    /// The values.
    pub samples: Vec<Sample>,
    /// Runs that did not come to a value, and why.
    pub failures: Vec<String>,
}

impl Results {
    /// Nothing measured yet.
    pub fn new(config: &Config, machine: Machine) -> Self {
        Self {
            machine,
            rows: config.rows.clone(),
            repeat: config.repeat,
            seconds: config.seconds,
            access_log: config.access_log,
            others: Vec::new(),
            samples: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Adds a value.
    pub fn add(&mut self, repetition: usize, system: Kind, metric: Metric, value: f64) {
        self.samples.push(Sample { repetition, system, metric, value });
    }

    /// A value, if it was measured.
    pub fn value(&self, repetition: usize, system: Kind, metric: Metric) -> Option<f64> {
        let wanted =
            |sample: &&Sample| sample.repetition == repetition && sample.system == system && sample.metric == metric;
        self.samples.iter().find(wanted).map(|sample| sample.value)
    }
}
