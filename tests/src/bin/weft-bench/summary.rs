//! Medians of the repetitions, and how far they are apart.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::results::{Cell, Results};
use crate::row::Row;
use crate::stage::Stage;
use crate::system::Kind;

/// The middle of some values and their ends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
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

    /// Half the distance of the ends, in percent of the middle.
    pub fn percent_apart(self) -> f64 {
        (self.max - self.min) / 2.0 / self.median.abs().max(f64::MIN_POSITIVE) * 100.0
    }
}

/// Questions to [`Results`].
pub struct Summary<'a> {
    results: &'a Results,
}

impl<'a> Summary<'a> {
    /// Of these results.
    pub fn of(results: &'a Results) -> Self {
        Self { results }
    }

    /// Who was measured in these rows, in the order of the table.
    pub fn systems(&self, rows: &[Row]) -> Vec<Kind> {
        let samples = self.results.samples.iter().filter(|sample| rows.contains(&sample.row));
        samples.map(|sample| sample.system).collect::<BTreeSet<Kind>>().into_iter().collect()
    }

    /// The rows of a stage that were measured.
    pub fn rows(&self, stage: Stage) -> Vec<Row> {
        let has_values = |row: &Row| self.results.samples.iter().any(|sample| sample.row == *row);
        self.results.rows.iter().copied().filter(|row| row.stage() == stage).filter(has_values).collect()
    }

    /// The figure over all repetitions.
    pub fn value(&self, cell: Cell) -> Option<Spread> {
        Spread::of(self.repetitions().filter_map(|repetition| self.results.value(repetition, cell)).collect())
    }

    /// The figure as a multiple of `base`, each repetition by itself: what disturbs a repetition disturbs both.
    pub fn ratio(&self, cell: Cell, base: Cell) -> Option<Spread> {
        let ratio = |repetition| {
            let value = self.results.value(repetition, cell)?;
            Some(value / self.results.value(repetition, base)?)
        };
        Spread::of(self.repetitions().filter_map(ratio).collect())
    }

    /// The figure as a multiple of what another system has of it.
    pub fn ratio_to(&self, cell: Cell, system: Kind) -> Option<Spread> {
        self.ratio(cell, Cell { system, ..cell })
    }

    fn repetitions(&self) -> std::ops::Range<usize> {
        0..self.results.repeat
    }
}

#[cfg(test)]
mod tests;
