//! Memory of proxies that have done nothing yet, and what each connection adds to it.
//!
//! Memory that a load has touched does not come back, so every figure has proxies of its own: a world is built for each repetition
//! and, since one agent does both, for each of L7 and L4.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::Stage;
use super::turn::{Turn, listen};
use crate::config::Config;
use crate::figure::Figure;
use crate::load;
use crate::results::Results;
use crate::row::Row;
use crate::system::{Kind, System};
use crate::usage;
use crate::world::World;

/// Connections that are held.
const CONNECTIONS: usize = 2000;
/// Rest after the start of everything and after opening connections, before anything is looked at.
const SETTLE: Duration = Duration::from_secs(1);
/// How long idleness is looked at.
const IDLE: Duration = Duration::from_secs(2);

/// Measures `rows`.
pub fn measure(config: &Config, rows: &[Row], results: &mut Results) -> Result<()> {
    for repetition in 0..config.repeat {
        for is_http in [true, false] {
            if !is_http && !rows.contains(&Row::HeldConnections) {
                continue;
            }
            let world = World::build(config)?;
            std::thread::sleep(SETTLE);
            listen(Stage::Memory, repetition, results)?;
            if is_http && rows.contains(&Row::Idle) {
                idle(&world, repetition, results)?;
            }
            if rows.contains(&Row::HeldConnections) {
                let turn = Turn { site: &world.site, repetition, row: Row::HeldConnections };
                let is_asked = |system: &&System| system.kind != Kind::Direct && system.kind.is_http() == is_http;
                let systems: Vec<&System> = world.systems.iter().filter(is_asked).collect();
                turn.each(&systems, results, |system, results| held(&turn, config, system, results))?;
            }
        }
    }
    Ok(())
}

fn idle(world: &World, repetition: usize, results: &mut Results) -> Result<()> {
    let turn = Turn { site: &world.site, repetition, row: Row::Idle };
    let systems: Vec<&System> = world.systems.iter().filter(|system| system.kind != Kind::Direct).collect();
    turn.each(&systems, results, |system, results| {
        let before = usage::cpu_of(&system.proxies)?;
        std::thread::sleep(IDLE);
        let share = (usage::cpu_of(&system.proxies)? - before) / IDLE.as_secs_f64();
        turn.add(results, Figure::Rss, system.kind, usage::resident_of(&system.proxies)? as f64);
        turn.add(results, Figure::CpuIdle, system.kind, share);
        Ok(())
    })
}

/// Idle first: what busy connections leave behind would hide what idle ones need.
fn held(turn: &Turn<'_>, config: &Config, system: &System, results: &mut Results) -> Result<()> {
    let before = usage::resident_of(&system.proxies)?;
    let per_connection = |after: u64| after.saturating_sub(before) as f64 / CONNECTIONS as f64;
    let mut held = load::hold(&system.client, system.address()?, CONNECTIONS)?;
    std::thread::sleep(SETTLE);
    let idle = usage::resident_of(&system.proxies)?;
    let open = held.open()?;
    ensure!(open == CONNECTIONS, "only {open} of {CONNECTIONS} connections are still open");
    turn.add(results, Figure::IdlePair, system.kind, per_connection(idle));
    let length = Duration::from_secs(config.seconds);
    let (most, done) = usage::most_resident(&system.proxies, || held.make_busy(length))?;
    done?;
    turn.add(results, Figure::ActivePair, system.kind, per_connection(most));
    Ok(())
}
