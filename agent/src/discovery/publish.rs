//! Hands out snapshots and reports, and says each new problem once in the log. One for each source of a world.

use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use tokio::sync::watch;
use weft_model::snapshot::{Snapshot, World};

use super::{
    problem::{Problem, Report},
    world::is_same,
};

/// The sending ends, and what was sent last.
pub struct Publisher {
    snapshots: watch::Sender<Arc<Snapshot>>,
    reports: watch::Sender<Arc<Report>>,
    world: Option<World>,
    version: u64,
}

impl Publisher {
    /// A publisher with the receivers of its snapshots and reports.
    pub fn new() -> (Self, watch::Receiver<Arc<Snapshot>>, watch::Receiver<Arc<Report>>) {
        let (snapshots, snapshot) = watch::channel(Arc::new(Snapshot::default()));
        let (reports, report) = watch::channel(Arc::new(Report::empty()));
        (Self { snapshots, reports, world: None, version: 0 }, snapshot, report)
    }

    /// Was no world published yet?
    pub fn is_first(&self) -> bool {
        self.world.is_none()
    }

    /// Publishes a world if it differs from the last one; true when it does.
    pub fn publish(&mut self, mut world: World) -> bool {
        if self.world.as_ref().is_some_and(|last| is_same(last, &world)) {
            return false;
        }
        self.version += 1;
        world.version = self.version;
        self.world = Some(world.clone());
        self.snapshots.send_replace(Arc::new(Snapshot::new(world)));
        true
    }

    /// Version of the last world, 0 before the first.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Publishes what there is to say, waking readers only for what is new.
    pub fn report(&mut self, report: Report) {
        log_new(&self.reports.borrow(), &report);
        let differs = !self.reports.borrow().says_the_same_as(&report);
        self.reports.send_if_modified(|last| {
            *last = Arc::new(report);
            differs
        });
    }

    /// The source was looked at, and nothing had changed.
    pub fn looked(&self, at: Option<SystemTime>) {
        self.reports.send_if_modified(|last| {
            Arc::make_mut(last).read_at = at;
            // Nobody needs to be woken to learn that all is as before.
            false
        });
    }
}

/// In order, each once.
pub fn sorted<'a>(problems: impl Iterator<Item = &'a Problem>) -> Vec<Problem> {
    let unique: BTreeSet<&Problem> = problems.collect();
    unique.into_iter().cloned().collect()
}

fn log_new(before: &Report, now: &Report) {
    for problem in now.errors.iter().filter(|problem| !before.errors.contains(problem)) {
        tracing::error!("{problem}");
    }
    for problem in now.warnings.iter().filter(|problem| !before.warnings.contains(problem)) {
        tracing::warn!("{problem}");
    }
    for problem in now.notes.iter().filter(|problem| !before.notes.contains(problem)) {
        tracing::info!("{problem}");
    }
}
