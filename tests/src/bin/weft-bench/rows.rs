//! The rows: what is run, in which order, and what is taken down.
//!
//! Every row runs all systems one after the other before the next row begins, and each repetition starts with another system: what
//! slows the machine down for a while meets all of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use weft_testbed::Program;

use crate::config::{Config, Row};
use crate::load;
use crate::metric::Metric;
use crate::results::Results;
use crate::system::{Kind, System};
use crate::usage;
use crate::world::{World, patiently};

/// Connections of the `rps` row.
const CONNECTIONS: [(u32, Metric); 3] = [(1, Metric::Rps1), (32, Metric::Rps32), (128, Metric::Rps128)];
/// Connections for which CPU per request is told.
const CPU_CONNECTIONS: u32 = 32;
/// Connections while memory is watched.
const MEMORY_CONNECTIONS: u32 = 128;
/// A short load before anything counts: first handshakes, caches and pools belong to no figure.
const WARM_UP_SECONDS: u64 = 1;
/// Rest after the start of everything, before idleness is looked at.
const SETTLE: Duration = Duration::from_secs(1);
/// How long it is looked at.
const IDLE: Duration = Duration::from_secs(2);
/// How often memory is looked at under load.
const MEMORY_TICK: Duration = Duration::from_millis(100);
/// Pods of the node whose agent is asked for its memory.
const MANY_PODS: usize = 10;

/// Measures everything that was asked for.
///
/// # Errors
/// When the machine or its tools refuse; what was measured before it stays in `results`. A load that failed is no error but noted
/// there.
pub fn measure(world: &World, config: &Config, results: &mut Results) -> Result<()> {
    let wants = |row| config.rows.contains(&row);
    if wants(Row::Memory) {
        idle(world, results)?;
    }
    for system in &world.systems {
        load::wrk(&system.client, &system.url, 32, WARM_UP_SECONDS)
            .with_context(|| format!("warming up {}", system.kind))?;
    }
    for repetition in 0..config.repeat {
        results.others.push(usage::others(results.machine.cpus)?);
        let run = Run { world, config, repetition };
        if wants(Row::Rps) {
            CONNECTIONS.iter().try_for_each(|(connections, metric)| run.rps(results, *connections, *metric))?;
        }
        if wants(Row::Latency) {
            run.latency(results)?;
        }
        if wants(Row::Connections) {
            run.connections(results)?;
        }
        if wants(Row::Bulk) {
            run.bulk(results)?;
        }
        if wants(Row::Memory) {
            run.loaded_memory(results)?;
        }
    }
    if wants(Row::Memory) {
        ten_pods(world, results)?;
    }
    Ok(())
}

/// CPU time that passed, in seconds.
struct Cpu {
    proxies: f64,
    machine: f64,
}

/// One repetition.
struct Run<'a> {
    world: &'a World,
    config: &'a Config,
    repetition: usize,
}

impl Run<'_> {
    fn rps(&self, results: &mut Results, connections: u32, metric: Metric) -> Result<()> {
        self.each(results, metric, |system, results| {
            let (requests, cpu) =
                watched(system, || load::wrk(&system.client, &system.url, connections, self.config.seconds))?;
            results.add(self.repetition, system.kind, metric, requests.rate);
            if connections == CPU_CONNECTIONS {
                self.add_cpu(results, system, [Metric::ProxyCpu, Metric::MachineCpu], &cpu, requests.count);
            }
            Ok(requests.rate)
        })
    }

    fn latency(&self, results: &mut Results) -> Result<()> {
        self.each(results, Metric::P50, |system, results| {
            let oha = load::latency(&self.config.oha, &system.client, &system.url, self.config.seconds)?;
            results.add(self.repetition, system.kind, Metric::P50, oha.p50);
            results.add(self.repetition, system.kind, Metric::P99, oha.p99);
            Ok(oha.p50)
        })
    }

    fn connections(&self, results: &mut Results) -> Result<()> {
        self.each(results, Metric::Connections, |system, results| {
            let (oha, cpu) = watched(system, || {
                load::connections(&self.config.oha, &system.client, &system.url, self.config.seconds)
            })?;
            results.add(self.repetition, system.kind, Metric::Connections, oha.rate);
            if system.kind != Kind::Direct {
                results.add(self.repetition, system.kind, Metric::ConnectionCpu, cpu.proxies / oha.count);
            }
            Ok(oha.rate)
        })
    }

    fn bulk(&self, results: &mut Results) -> Result<()> {
        self.each(results, Metric::Bulk, |system, results| {
            let Some((host, port)) = &system.bulk else { return Ok(f64::NAN) };
            let (bulk, cpu) = watched(system, || load::iperf(&system.client, (host, *port), self.config.seconds))?;
            results.add(self.repetition, system.kind, Metric::Bulk, bulk.rate);
            let gigabytes = bulk.bytes / 1e9;
            self.add_cpu(results, system, [Metric::BulkProxyCpu, Metric::BulkMachineCpu], &cpu, gigabytes);
            Ok(bulk.rate)
        })
    }

    fn loaded_memory(&self, results: &mut Results) -> Result<()> {
        self.each(results, Metric::RssLoaded, |system, results| {
            if system.kind == Kind::Direct {
                return Ok(f64::NAN);
            }
            let over = AtomicBool::new(false);
            let most = std::thread::scope(|scope| {
                let watch = scope.spawn(|| {
                    let mut most = 0;
                    while !over.load(Ordering::Relaxed) {
                        most = system.proxy_rss()?.max(most);
                        std::thread::sleep(MEMORY_TICK);
                    }
                    anyhow::Ok(most)
                });
                let load = load::wrk(&system.client, &system.url, MEMORY_CONNECTIONS, self.config.seconds);
                over.store(true, Ordering::Relaxed);
                let most = watch.join().map_err(|_| anyhow::anyhow!("the watch over memory panicked"))?;
                load.and(most)
            })?;
            results.add(self.repetition, system.kind, Metric::RssLoaded, most as f64);
            Ok(most as f64)
        })
    }

    /// Runs `work` for every system and says what came of it. A run that fails is noted and costs only its own value.
    fn each(
        &self,
        results: &mut Results,
        metric: Metric,
        work: impl Fn(&System, &mut Results) -> Result<f64>,
    ) -> Result<()> {
        let systems = &self.world.systems;
        let first = self.repetition % systems.len();
        let turn = format!("{}/{} {}", self.repetition + 1, self.config.repeat, metric.name());
        let mut said = Vec::new();
        for system in systems.iter().cycle().skip(first).take(systems.len()) {
            match work(system, results) {
                Ok(value) if value.is_finite() => said.push(format!("{} {}", system.kind, metric.show(value))),
                Ok(_not_measured) => {}
                Err(error) => {
                    let failure = format!("{turn} of {}: {error:#}", system.kind);
                    eprintln!("    FAILED {failure}{}", self.world.odd_answers()?);
                    results.failures.push(failure);
                }
            }
            self.world.empty_logs()?;
        }
        eprintln!("    {turn}: {}", said.join(", "));
        Ok(())
    }

    fn add_cpu(&self, results: &mut Results, system: &System, metrics: [Metric; 2], cpu: &Cpu, work: f64) {
        let [proxies, machine] = metrics;
        if system.kind != Kind::Direct {
            results.add(self.repetition, system.kind, proxies, cpu.proxies / work);
        }
        results.add(self.repetition, system.kind, machine, cpu.machine / work);
    }
}

/// What CPU time passed while `work` was done.
fn watched<T>(system: &System, work: impl FnOnce() -> Result<T>) -> Result<(T, Cpu)> {
    let (proxies, machine) = (system.proxy_cpu()?, usage::machine_cpu()?);
    let done = work()?;
    Ok((done, Cpu { proxies: system.proxy_cpu()? - proxies, machine: usage::machine_cpu()? - machine }))
}

/// Counted once, before the first load: memory that a load has touched does not come back.
fn idle(world: &World, results: &mut Results) -> Result<()> {
    std::thread::sleep(SETTLE);
    let proxied = || world.systems.iter().filter(|system| system.kind != Kind::Direct);
    let before: Vec<f64> = proxied().map(System::proxy_cpu).collect::<Result<_>>()?;
    std::thread::sleep(IDLE);
    for (system, before) in proxied().zip(before) {
        let share = (system.proxy_cpu()? - before) / IDLE.as_secs_f64();
        results.add(0, system.kind, Metric::CpuIdle, share);
        results.add(0, system.kind, Metric::RssIdle, system.proxy_rss()? as f64);
    }
    Ok(())
}

/// What a node costs that has more than one pod: a sidecar would cost as much again for each.
fn ten_pods(world: &World, results: &mut Results) -> Result<()> {
    let more = MANY_PODS - 1;
    let pods = world
        .cluster
        .workload("many")
        .namespace("mesh")
        .node("a")
        .program(Program::Sleep)
        .replicas(more)
        .start_all()?;
    for pod in pods {
        patiently(|| {
            let captured = pod.get("http://web/")?.header("x-envoy-upstream-service-time").is_some();
            ensure!(captured, "pod {} is not captured", pod.name());
            Ok(())
        })?;
    }
    let resident = world.cluster.agent("a")?.rss()? as f64;
    eprintln!("    {}: {}", Metric::RssTenPods.name(), Metric::RssTenPods.show(resident));
    for system in world.systems.iter().filter(|system| system.kind.is_weft()) {
        results.add(0, system.kind, Metric::RssTenPods, resident);
    }
    Ok(())
}
