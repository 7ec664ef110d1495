//! Medians of the repetitions, and how far they are apart.

use std::collections::BTreeSet;

use crate::metric::Metric;
use crate::results::Results;
use crate::system::Kind;

/// The middle of some values and their ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The middle one; the mean of two when there is none.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// `None` without values.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let half = values.len() / 2;
        let median = if values.len() % 2 == 1 { values[half] } else { f64::midpoint(values[half - 1], values[half]) };
        Some(Self { median, min, max })
    }
}

/// Questions to [`Results`].
pub struct Summary<'a> {
    results: &'a Results,
    /// What was measured, in the order of the table.
    pub systems: Vec<Kind>,
}

impl<'a> Summary<'a> {
    /// Of these results.
    pub fn of(results: &'a Results) -> Self {
        let systems: BTreeSet<Kind> = results.samples.iter().map(|sample| sample.system).collect();
        Self { results, systems: systems.into_iter().collect() }
    }

    /// The figure over all repetitions.
    pub fn value(&self, metric: Metric, system: Kind) -> Option<Spread> {
        Spread::of(self.repetitions().filter_map(|repetition| self.results.value(repetition, system, metric)).collect())
    }

    /// The figure as a multiple of `base`, each repetition by itself: what disturbs a repetition disturbs both.
    pub fn ratio(&self, metric: Metric, system: Kind, base: Kind) -> Option<Spread> {
        let ratio = |repetition| {
            let value = self.results.value(repetition, system, metric)?;
            Some(value / self.results.value(repetition, base, metric)?)
        };
        Spread::of(self.repetitions().filter_map(ratio).collect())
    }

    fn repetitions(&self) -> std::ops::Range<usize> {
        0..self.results.repeat
    }
}

#[cfg(test)]
mod tests;
