//! One row of one repetition: every system in turn, what came of it, and the CPU time it took.

use anyhow::Result;

use super::Stage;
use crate::figure::Figure;
use crate::results::{Failure, Noise, Results};
use crate::row::Row;
use crate::site::Site;
use crate::system::Kind;
use crate::usage;

/// Something that is measured.
pub trait Measured {
    /// Which column it is.
    fn kind(&self) -> Kind;

    /// The proxies of both sides.
    fn proxies(&self) -> &[u32];
}

impl<T: Measured> Measured for &T {
    fn kind(&self) -> Kind {
        (*self).kind()
    }

    fn proxies(&self) -> &[u32] {
        (*self).proxies()
    }
}

/// Looks at what others do on the machine, before a repetition.
pub fn listen(stage: Stage, repetition: usize, results: &mut Results) -> Result<()> {
    let others = usage::others(results.machine.cpus)?;
    results.noise.push(Noise { stage, repetition, others });
    Ok(())
}

/// A row in a repetition.
pub struct Turn<'a> {
    /// Where the systems are.
    pub site: &'a Site,
    /// Which time, counted from 0.
    pub repetition: usize,
    /// Which row.
    pub row: Row,
}

impl Turn<'_> {
    /// Runs `work` for every system, and says the row's first figure on the terminal. A run that fails is noted and costs only its
    /// own values.
    ///
    /// # Errors
    /// When logs cannot be read or emptied.
    pub fn each<S: Measured>(
        &self,
        systems: &[S],
        results: &mut Results,
        work: impl Fn(&S, &mut Results) -> Result<()>,
    ) -> Result<()> {
        let first = self.repetition % systems.len().max(1);
        for system in systems.iter().cycle().skip(first).take(systems.len()) {
            if let Err(error) = work(system, results) {
                let reason = format!("{error:#}");
                eprintln!(
                    "    FAILED {} of {}, repetition {}: {reason}{}",
                    self.row.name(),
                    system.kind(),
                    self.repetition + 1,
                    self.site.odd_answers()?
                );
                let (row, system, repetition) = (self.row, system.kind(), self.repetition);
                results.failures.push(Failure { row, system, repetition, reason });
            }
            self.site.empty_logs()?;
        }
        let said: Vec<String> = systems.iter().filter_map(|system| self.said(system.kind(), results)).collect();
        eprintln!("    {}/{} {}: {}", self.repetition + 1, results.repeat, self.row.name(), said.join(", "));
        Ok(())
    }

    /// Adds a value of this turn.
    pub fn add(&self, results: &mut Results, figure: Figure, system: Kind, value: f64) {
        results.add(self.repetition, (self.row, figure, system), value);
    }

    /// Adds what `work` (requests, gigabytes) cost the proxies, where there are any, and the machine.
    pub fn add_cpu(&self, results: &mut Results, system: Kind, [proxies, machine]: [Figure; 2], cpu: &Cpu, work: f64) {
        if system != Kind::Direct {
            self.add(results, proxies, system, cpu.proxies / work);
        }
        self.add(results, machine, system, cpu.machine / work);
    }

    fn said(&self, system: Kind, results: &Results) -> Option<String> {
        let of_turn = |figure: &Figure| {
            let mut samples = results.samples.iter().rev();
            let sample = samples.find(|sample| {
                (sample.row, sample.figure, sample.system) == (self.row, *figure, system)
                    && sample.repetition == self.repetition
            })?;
            Some(figure.show(sample.value))
        };
        let values: Vec<String> = self.row.figures().iter().filter_map(of_turn).collect();
        if values.is_empty() { None } else { Some(format!("{system} {}", values.join(" "))) }
    }
}

/// CPU time that passed, in seconds.
pub struct Cpu {
    /// Of the proxies of both sides.
    pub proxies: f64,
    /// Of the whole machine.
    pub machine: f64,
}

/// What CPU time passed while `work` was done.
pub fn watched<T>(system: &impl Measured, work: impl FnOnce() -> Result<T>) -> Result<(T, Cpu)> {
    let (proxies, machine) = (usage::cpu_of(system.proxies())?, usage::machine_cpu()?);
    let done = work()?;
    let cpu = Cpu { proxies: usage::cpu_of(system.proxies())? - proxies, machine: usage::machine_cpu()? - machine };
    Ok((done, cpu))
}
