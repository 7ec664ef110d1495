//! Several clients and servers: how much is left to share between 1, 8 and 64 pairs.

use anyhow::{Context as _, Result};

use super::Stage;
use super::turn::{Turn, listen, watched};
use crate::config::Config;
use crate::fan::{Fan, FanSystem, WIDTH};
use crate::figure::Figure;
use crate::load;
use crate::results::Results;
use crate::row::Row;

/// Connections of all clients together.
const CONNECTIONS: u32 = 64;
/// A short load before anything counts.
const WARM_UP_SECONDS: u64 = 1;

/// Measures `rows`.
pub fn measure(config: &Config, rows: &[Row], results: &mut Results) -> Result<()> {
    let fan = Fan::build(config)?;
    for system in &fan.systems {
        for row in [Row::Pairs8, Row::Pairs64] {
            load(system, row, WARM_UP_SECONDS).with_context(|| format!("warming up {}", system.kind))?;
        }
        fan.site.empty_logs()?;
    }
    for repetition in 0..config.repeat {
        listen(Stage::Pairs, repetition, results)?;
        for row in rows {
            let turn = Turn { site: &fan.site, repetition, row: *row };
            turn.each(&fan.systems, results, |system, results| {
                let (requests, cpu) = watched(system, || load(system, *row, config.seconds))?;
                turn.add(results, Figure::Rate, system.kind, requests.rate);
                turn.add_cpu(results, system.kind, [Figure::ProxyCpu, Figure::MachineCpu], &cpu, requests.count);
                Ok(())
            })?;
        }
    }
    Ok(())
}

/// The same number of connections, from one client or from all, to their own servers or to all.
fn load(system: &FanSystem, row: Row, seconds: u64) -> Result<load::Requests> {
    let loads = match row {
        Row::Pairs1 => &system.own[..1],
        Row::Pairs64 => &system.all[..],
        _ => &system.own[..],
    };
    let connections = CONNECTIONS / u32::try_from(if row == Row::Pairs1 { 1 } else { WIDTH })?;
    load::wrk_everywhere(loads, connections, seconds)
}
