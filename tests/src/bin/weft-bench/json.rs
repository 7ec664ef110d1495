//! The results for programs: every sample, and beside them the medians and ratios that the page shows.

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::figure::Figure;
use crate::machine::Machine;
use crate::results::{Cell, Results};
use crate::row::Row;
use crate::summary::{Spread, Summary};
use crate::system::Kind;

/// Grows when a field changes its meaning or goes; new fields may come at any time.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    #[serde(flatten)]
    results: &'a Results,
    summary: Vec<Entry>,
}

/// A cell of the table.
#[derive(Serialize, Deserialize)]
pub struct Entry {
    /// What was run.
    pub row: Row,
    /// What was measured of it.
    pub figure: Figure,
    /// In which unit.
    unit: String,
    /// Whose.
    pub system: Kind,
    /// Over all repetitions.
    #[serde(flatten)]
    pub value: Spread,
    /// As a multiple of direct in the same repetition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio_to_direct: Option<Spread>,
}

/// What is asked of the document of an earlier run.
#[derive(Deserialize)]
struct Earlier {
    version: u32,
    machine: Machine,
    summary: Vec<Value>,
}

/// One JSON object.
pub fn document(results: &Results) -> Result<String> {
    let summary = entries(results);
    Ok(serde_json::to_string_pretty(&Document { version: VERSION, results, summary })? + "\n")
}

/// The machine and the cells of an earlier run's document; cells of rows that are no more are left out.
///
/// # Errors
/// When it is none, or of another version.
pub fn read(document: &str) -> Result<(Machine, Vec<Entry>)> {
    let earlier: Earlier = serde_json::from_str(document).context("this is no result of `cargo xtask bench`")?;
    ensure!(earlier.version == VERSION, "this result has version {}, and {VERSION} is what is read", earlier.version);
    let cells = earlier.summary.into_iter().filter_map(|entry| serde_json::from_value(entry).ok());
    Ok((earlier.machine, cells.collect()))
}

/// All cells that have a value, in the order of the table.
pub fn entries(results: &Results) -> Vec<Entry> {
    let summary = Summary::of(results);
    let systems = summary.systems(&results.rows);
    let cells = results.rows.iter().flat_map(|row| {
        let cell = |figure: &Figure| systems.iter().map(move |system| (*figure, *system)).collect::<Vec<_>>();
        let cells = row.figures().iter().flat_map(cell);
        cells.map(|(figure, system)| Cell { row: *row, figure, system }).collect::<Vec<_>>()
    });
    let entry = |cell: Cell| {
        Some(Entry {
            row: cell.row,
            figure: cell.figure,
            unit: cell.figure.unit().to_owned(),
            system: cell.system,
            value: summary.value(cell)?,
            ratio_to_direct: summary.ratio_to(cell, Kind::Direct).filter(|_| cell.system != Kind::Direct),
        })
    };
    cells.filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::results::tests::empty;

    #[test]
    fn every_sample_is_there_and_the_summary_beside_them() {
        let mut results = empty();
        for (repetition, direct, weft) in [(0, 100.0, 40.0), (1, 50.0, 25.0)] {
            results.add(repetition, (Row::Rps32, Figure::Rate, Kind::Direct), direct);
            results.add(repetition, (Row::Rps32, Figure::Rate, Kind::WeftHttp), weft);
        }
        let document: Value = serde_json::from_str(&document(&results).unwrap()).unwrap();
        assert_eq!(document["version"], VERSION);
        assert_eq!(document["samples"].as_array().unwrap().len(), 4);
        let sample = json!({"row": "rps-32", "figure": "rate", "unit": "1/s", "system": "weft-http", "repetition": 1, "value": 25.0});
        assert_eq!(document["samples"][3], sample);
        let weft = &document["summary"][1];
        assert_eq!(weft["system"], "weft-http");
        assert_eq!(weft["median"], 32.5);
        assert_eq!(weft["ratio_to_direct"], json!({"median": 0.45, "min": 0.4, "max": 0.5}));
        let (machine, cells) = read(&document.to_string()).unwrap();
        assert_eq!((machine.commit.as_str(), cells.len()), ("0123456789ab", 2));
        assert_eq!(cells[1].ratio_to_direct.map(|ratio| ratio.median), Some(0.45));
        assert!(document["summary"][0].get("ratio_to_direct").is_none(), "direct is what others are compared with");
    }
}
