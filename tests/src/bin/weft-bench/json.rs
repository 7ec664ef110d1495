//! The results for programs: every sample, and beside them the medians and ratios that the page shows.

use anyhow::Result;
use serde::Serialize;

use crate::figure::Figure;
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
#[derive(Serialize)]
struct Entry {
    row: Row,
    figure: Figure,
    unit: &'static str,
    system: Kind,
    #[serde(flatten)]
    value: Spread,
    /// As a multiple of direct in the same repetition.
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio_to_direct: Option<Spread>,
}

/// One JSON object.
pub fn document(results: &Results) -> Result<String> {
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
            unit: cell.figure.unit(),
            system: cell.system,
            value: summary.value(cell)?,
            ratio_to_direct: summary.ratio_to(cell, Kind::Direct).filter(|_| cell.system != Kind::Direct),
        })
    };
    let summary = cells.filter_map(entry).collect();
    Ok(serde_json::to_string_pretty(&Document { version: VERSION, results, summary })? + "\n")
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
        assert!(document["summary"][0].get("ratio_to_direct").is_none(), "direct is what others are compared with");
    }
}
