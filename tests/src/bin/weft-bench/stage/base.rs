//! One client, one server: rates, latency, new connections, bulk, counters, memory under load.

use anyhow::{Context as _, Result, ensure};
use weft_testbed::Program;

use super::Stage;
use super::turn::{Turn, listen, watched};
use crate::config::Config;
use crate::counters;
use crate::figure::Figure;
use crate::load;
use crate::nginx::HTTP_PORT;
use crate::results::Results;
use crate::row::Row;
use crate::site::{MESH, patiently};
use crate::system::{Kind, System};
use crate::usage;
use crate::world::World;

/// A short load before anything counts: first handshakes, caches and pools belong to no figure.
const WARM_UP_SECONDS: u64 = 1;
/// Connections of the warm-up, and of the row whose CPU and counters are told.
const USUAL_CONNECTIONS: u32 = 32;
/// Connections while memory is watched.
const MEMORY_CONNECTIONS: u32 = 128;
/// Pods of the node whose agent is asked for its memory.
const MANY_PODS: usize = 10;

/// Measures `rows`.
pub fn measure(config: &Config, rows: &[Row], results: &mut Results) -> Result<()> {
    let world = World::build(config)?;
    for system in &world.systems {
        load::wrk(&system.client, &system.url, USUAL_CONNECTIONS, WARM_UP_SECONDS)
            .with_context(|| format!("warming up {}", system.kind))?;
    }
    for repetition in 0..config.repeat {
        listen(Stage::Base, repetition, results)?;
        for row in rows.iter().copied().filter(|row| *row != Row::TenPods) {
            let turn = Turn { site: &world.site, repetition, row };
            let run = Run { turn: &turn, config };
            turn.each(&world.systems, results, |system, results| run.run(system, results))?;
        }
    }
    if rows.contains(&Row::TenPods) {
        ten_pods(&world, results)?;
    }
    Ok(())
}

struct Run<'a> {
    turn: &'a Turn<'a>,
    config: &'a Config,
}

impl Run<'_> {
    fn run(&self, system: &System, results: &mut Results) -> Result<()> {
        match self.turn.row {
            Row::Rps1 => self.rps(system, results, 1),
            Row::Rps128 => self.rps(system, results, 128),
            Row::Latency => self.latency(system, results),
            Row::NewConnections => self.connections(system, results),
            Row::Bulk => self.bulk(system, results),
            Row::Counters => self.counters(system, results),
            Row::Loaded => self.loaded(system, results),
            _ => self.rps(system, results, USUAL_CONNECTIONS),
        }
    }

    fn rps(&self, system: &System, results: &mut Results, connections: u32) -> Result<()> {
        let (requests, cpu) =
            watched(system, || load::wrk(&system.client, &system.url, connections, self.config.seconds))?;
        self.turn.add(results, Figure::Rate, system.kind, requests.rate);
        self.turn.add_cpu(results, system.kind, [Figure::ProxyCpu, Figure::MachineCpu], &cpu, requests.count);
        Ok(())
    }

    fn latency(&self, system: &System, results: &mut Results) -> Result<()> {
        let oha = load::latency(&self.config.oha, &system.client, &system.url, self.config.seconds)?;
        self.turn.add(results, Figure::P50, system.kind, oha.p50);
        self.turn.add(results, Figure::P99, system.kind, oha.p99);
        Ok(())
    }

    fn connections(&self, system: &System, results: &mut Results) -> Result<()> {
        let (oha, cpu) =
            watched(system, || load::connections(&self.config.oha, &system.client, &system.url, self.config.seconds))?;
        self.turn.add(results, Figure::Rate, system.kind, oha.rate);
        self.turn.add_cpu(results, system.kind, [Figure::ProxyCpu, Figure::MachineCpu], &cpu, oha.count);
        Ok(())
    }

    fn bulk(&self, system: &System, results: &mut Results) -> Result<()> {
        let Some((host, port)) = &system.bulk else { return Ok(()) };
        let (bulk, cpu) = watched(system, || load::iperf(&system.client, (host, *port), self.config.seconds))?;
        self.turn.add(results, Figure::Throughput, system.kind, bulk.rate);
        let gigabytes = bulk.bytes / 1e9;
        self.turn.add_cpu(results, system.kind, [Figure::ProxyCpuPerGb, Figure::MachineCpuPerGb], &cpu, gigabytes);
        Ok(())
    }

    /// In a run of its own: counting system calls costs time in each of them.
    fn counters(&self, system: &System, results: &mut Results) -> Result<()> {
        if system.kind == Kind::Direct {
            return Ok(());
        }
        let load = || load::wrk(&system.client, &system.url, USUAL_CONNECTIONS, self.config.seconds);
        let (requests, counts) = counters::while_running(&system.proxies, load)?;
        for (figure, count) in counts.counted {
            self.turn.add(results, figure, system.kind, count / requests.count);
        }
        counts.notes.into_iter().for_each(|note| results.note(note));
        Ok(())
    }

    fn loaded(&self, system: &System, results: &mut Results) -> Result<()> {
        if system.kind == Kind::Direct {
            return Ok(());
        }
        let load = || load::wrk(&system.client, &system.url, MEMORY_CONNECTIONS, self.config.seconds);
        let (most, load) = usage::most_resident(&system.proxies, load)?;
        load?;
        self.turn.add(results, Figure::Rss, system.kind, most as f64);
        Ok(())
    }
}

/// What a node costs that has more than one pod: a sidecar would cost as much again for each.
fn ten_pods(world: &World, results: &mut Results) -> Result<()> {
    let cluster = &world.site.cluster;
    let pods = cluster
        .workload("many")
        .namespace(MESH)
        .node("a")
        .program(Program::Sleep)
        .replicas(MANY_PODS - 1)
        .start_all()?;
    for pod in pods {
        patiently(|| {
            let captured = pod.get(&format!("http://web:{HTTP_PORT}/"))?;
            let captured = captured.header("x-envoy-upstream-service-time").is_some();
            ensure!(captured, "pod {} is not captured", pod.name());
            Ok(())
        })?;
    }
    let resident = cluster.agent("a")?.rss()? as f64;
    eprintln!("    {}: {}", Row::TenPods.label(Figure::AgentRss), Figure::AgentRss.show(resident));
    results.add(0, (Row::TenPods, Figure::AgentRss, Kind::WeftHttp), resident);
    Ok(())
}
