//! Snapshots of several sizes: how long a change takes, what an agent needs, and whether requests notice.

use anyhow::{Context as _, Result};

use super::Stage;
use super::turn::{Measured as _, Turn, listen};
use crate::config::Config;
use crate::figure::Figure;
use crate::growth::Grown;
use crate::load;
use crate::results::Results;
use crate::row::Row;
use crate::usage;

/// Changes in each repetition.
const CHANGES: usize = 7;
/// Connections of the load.
const CONNECTIONS: u32 = 32;
/// A short load before anything counts.
const WARM_UP_SECONDS: u64 = 1;

/// Measures `rows`, and the small snapshot that the others are compared with.
pub fn measure(config: &Config, rows: &[Row], results: &mut Results) -> Result<()> {
    let mut sizes = rows.to_vec();
    if !sizes.contains(&Row::Snapshot10) {
        sizes.insert(0, Row::Snapshot10);
        results.rows.push(Row::Snapshot10);
        results.rows.sort_unstable();
    }
    let mut all = Vec::new();
    for row in sizes {
        let grown = Grown::build(config, row).with_context(|| format!("making {}", row.name()))?;
        load::wrk(grown.client(), &grown.url(), CONNECTIONS, WARM_UP_SECONDS)
            .with_context(|| format!("warming up {}", row.name()))?;
        grown.site.empty_logs()?;
        all.push(grown);
    }
    for repetition in 0..config.repeat {
        listen(Stage::Growth, repetition, results)?;
        let first = repetition % all.len();
        for grown in all.iter().cycle().skip(first).take(all.len()) {
            let turn = Turn { site: &grown.site, repetition, row: grown.row };
            turn.each(std::slice::from_ref(grown), results, |grown, results| {
                for _ in 0..CHANGES {
                    turn.add(results, Figure::Change, grown.kind(), grown.time_to_change()?);
                }
                let agent = usage::resident(grown.proxies()[0])?;
                turn.add(results, Figure::AgentRss, grown.kind(), agent as f64);
                let requests = load::wrk(grown.client(), &grown.url(), CONNECTIONS, config.seconds)?;
                turn.add(results, Figure::Rate, grown.kind(), requests.rate);
                Ok(())
            })?;
        }
    }
    Ok(())
}
