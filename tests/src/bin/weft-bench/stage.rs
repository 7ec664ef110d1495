//! The worlds that rows are measured in, one after the other.
//!
//! Every stage runs each of its rows for all systems one after the other before the next row begins, and each repetition starts
//! with another system: what slows the machine down for a while meets all of them.

mod base;
mod growth;
mod memory;
mod pairs;
mod turn;

use std::fmt;

use anyhow::{Context as _, Result};
use serde::Serialize;

pub use self::turn::Measured;
use crate::config::Config;
use crate::results::Results;
use crate::row::Row;

/// A world of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// One client and one server.
    Base,
    /// Several of them.
    Pairs,
    /// One client and one server whose proxies have done nothing yet, anew for each repetition.
    Memory,
    /// Agents that know of many pods and Services.
    Growth,
}

/// All of them, in the order in which they are run.
const ALL: [Stage; 4] = [Stage::Base, Stage::Pairs, Stage::Memory, Stage::Growth];

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Base => "one client, one server",
            Self::Pairs => "pairs of clients and servers",
            Self::Memory => "memory of fresh proxies",
            Self::Growth => "growing snapshots",
        })
    }
}

/// Measures the rows of `results`.
///
/// # Errors
/// When the machine or its tools refuse; what was measured before it stays in `results`. A load that failed is no error but noted
/// there.
pub fn measure(config: &Config, results: &mut Results) -> Result<()> {
    for stage in ALL {
        let rows: Vec<Row> = results.rows.iter().copied().filter(|row| row.stage() == stage).collect();
        if rows.is_empty() {
            continue;
        }
        eprintln!("==> {stage}");
        let done = match stage {
            Stage::Base => base::measure(config, &rows, results),
            Stage::Pairs => pairs::measure(config, &rows, results),
            Stage::Memory => memory::measure(config, &rows, results),
            Stage::Growth => growth::measure(config, &rows, results),
        };
        done.with_context(|| format!("measuring {stage}"))?;
    }
    Ok(())
}
