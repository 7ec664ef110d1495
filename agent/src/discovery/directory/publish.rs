//! Hands out snapshots and reports, and says each new problem once in the log.

use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use tokio::sync::watch;
use weft_model::snapshot::{Snapshot, World};

use super::scan::Scanner;
use crate::discovery::{
    problem::{Problem, Report},
    store::View,
    world::{Built, is_same},
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

    /// Publishes a world if it differs from the last one, and the report.
    pub fn publish(&mut self, mut world: World, report: Report) {
        let is_new = self.world.as_ref().is_none_or(|last| !is_same(last, &world));
        // A directory that could not be read says nothing about the world: not even that it is empty.
        if is_new && report.read_at.is_some() {
            self.version += 1;
            world.version = self.version;
            self.world = Some(world.clone());
            self.snapshots.send_replace(Arc::new(Snapshot::new(world)));
            tracing::info!(version = self.version, objects = report.objects, "manifests changed the world");
        }
        log_new(&self.reports.borrow(), &report);
        let differs = !self.reports.borrow().says_the_same_as(&report);
        self.reports.send_if_modified(|last| {
            *last = Arc::new(report);
            differs
        });
    }

    /// The directory was looked at, and nothing had changed.
    pub fn looked(&self, at: Option<SystemTime>) {
        self.reports.send_if_modified(|last| {
            Arc::make_mut(last).read_at = at;
            // Nobody needs to be woken to learn that all is as before.
            false
        });
    }
}

/// The report on a directory: what its files, the objects together and the world had to say.
pub fn report(scanner: &Scanner, view: &View<'_>, built: &Built) -> Report {
    let store = scanner.store();
    let errors = scanner.directory_error().into_iter().chain(store.errors()).cloned();
    let of_objects = view.objects.values().flat_map(|object| &object.parsed.warnings);
    let warnings = store.file_warnings().chain(of_objects).chain(&view.warnings).chain(&built.warnings).cloned();
    // Each kind is mentioned once, not once per file.
    let mut mentioned = BTreeSet::new();
    let notes = store.notes().filter(|note| mentioned.insert(&note.message)).cloned();
    Report {
        errors: sorted(errors),
        warnings: sorted(warnings),
        notes: sorted(notes),
        objects: view.objects.len(),
        read_at: scanner.read_at(),
    }
}

fn sorted(problems: impl Iterator<Item = Problem>) -> Vec<Problem> {
    let unique: BTreeSet<Problem> = problems.collect();
    unique.into_iter().collect()
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
