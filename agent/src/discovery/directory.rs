//! The world from a directory of manifests, watched.
//!
//! `weft agent --manifests DIR` calls [`spawn`]; `weft check --manifests DIR` calls [`check_dir`].
//! A change acts as soon as the writer pauses: inotify wakes the task, a short quiet time lets an editor
//! finish, and a slow poll makes up for anything the kernel did not say.

mod scan;
mod watch;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::watch as channel,
    task::spawn_blocking,
    time::{Instant, timeout, timeout_at},
};
use weft_model::snapshot::Snapshot;

use self::{
    scan::Scanner,
    watch::{Names, Touched, Watch, Watched},
};
use super::{
    handle::Handle,
    netns_addresses::{Kernel, NetnsAddresses},
    parse::Settings,
    problem::Report,
    publish::{Publisher, sorted},
    store::View,
    world::{Before, Built, Inputs, Whereabouts, build},
};

/// A writer that pauses this long has finished.
const QUIET: Duration = Duration::from_millis(25);

/// A writer that never pauses is read after this time all the same.
const PATIENCE: Duration = Duration::from_millis(60);

/// How often the directory is looked at without being told.
const POLL: Duration = Duration::from_secs(2);

/// How often while something is awaited that no event announces: a directory or an address to
/// appear, an emptied file to be written.
const IMPATIENT_POLL: Duration = Duration::from_millis(200);

/// What to read, and for whom.
#[derive(Clone)]
pub struct Config {
    /// The directory.
    pub dir: PathBuf,
    /// The agent's own node, and that of pods which name none.
    pub node: Arc<str>,
    /// DNS suffix of the cluster.
    pub cluster_domain: Arc<str>,
    /// Who knows the addresses of pods without status.
    pub addresses: Arc<dyn NetnsAddresses>,
}

impl Config {
    /// The usual configuration: `cluster.local`, addresses from the kernel.
    pub fn new(dir: impl Into<PathBuf>, node: impl Into<Arc<str>>) -> Self {
        Self {
            dir: dir.into(),
            node: node.into(),
            cluster_domain: Settings::default().cluster_domain,
            addresses: Arc::new(Kernel),
        }
    }
}

/// Reads the directory, then watches it in a task of the caller's runtime. The first snapshot is
/// complete; it has version 0 only when the directory could not be read, which the report says.
///
/// # Panics
/// Outside of a tokio runtime.
pub fn spawn(config: Config) -> (channel::Receiver<Arc<Snapshot>>, Handle) {
    let touched = Arc::new(Touched::default());
    let watch = Watch::new(config.dir.clone(), touched.clone());
    let (publisher, snapshots, reports) = Publisher::new();
    let settings = Settings { cluster_domain: config.cluster_domain.clone(), ..Settings::default() };
    let scanner = Scanner::new(&config.dir, settings);
    let before = Before::default();
    let mut source = Source { config, scanner, watch, publisher, before, netns_pods: 0, is_impatient: false };
    source.refresh(&touched);
    let task = tokio::spawn(run(source, touched));
    (snapshots, Handle::new(reports, move || task.abort()))
}

/// Looks at the directory once and says what is wrong with it. Asks nobody for addresses.
pub fn check_dir(dir: &Path) -> Report {
    let settings = Settings::default();
    let mut scanner = Scanner::new(dir, settings.clone());
    scanner.scan(&Names::All);
    let node: Arc<str> = "localhost".into();
    let view = scanner.store().view();
    let whereabouts = Whereabouts::Files { node: &node, addresses: None };
    let inputs = Inputs { cluster_domain: &settings.cluster_domain, whereabouts };
    let built = build(&view, &inputs, &mut Before::default());
    report(&scanner, &view, &built)
}

/// Everything the task owns.
struct Source {
    config: Config,
    scanner: Scanner,
    watch: Watch,
    publisher: Publisher,
    before: Before,
    netns_pods: usize,
    is_impatient: bool,
}

impl Source {
    /// Looks at the directory, and publishes what has changed.
    fn refresh(&mut self, touched: &Touched) {
        // Watch first, read second: what changes in between is read again.
        let (names, is_watched) = match self.watch.ensure() {
            Watched::Still => (touched.take(), true),
            Watched::Anew => (Names::All, true),
            Watched::Not => (Names::Some(BTreeSet::new()), false),
        };
        let changed = self.scanner.scan(&names);
        self.is_impatient = !is_watched || self.scanner.awaits();
        // Pods that are namespaces can get addresses without any file being touched.
        if changed || self.netns_pods > 0 || self.publisher.is_first() {
            let view = self.scanner.store().view();
            let whereabouts = Whereabouts::Files { node: &self.config.node, addresses: Some(&*self.config.addresses) };
            let inputs = Inputs { cluster_domain: &self.config.cluster_domain, whereabouts };
            let built: Built = build(&view, &inputs, &mut self.before);
            self.netns_pods = built.netns_pods;
            self.is_impatient |= built.awaits_addresses;
            let report = report(&self.scanner, &view, &built);
            drop(view);
            let (was_read, objects) = (report.read_at.is_some(), report.objects);
            // The report first: who waits for a world may ask at once what was said about it.
            self.publisher.report(report);
            // A directory that could not be read says nothing about the world: not even that it is empty.
            if was_read && self.publisher.publish(built.world) {
                tracing::info!(version = self.publisher.version(), objects, "manifests changed the world");
            }
        } else {
            self.publisher.looked(self.scanner.read_at());
        }
    }
}

/// The report on the directory: what its files, the objects together and the world had to say.
fn report(scanner: &Scanner, view: &View<'_>, built: &Built) -> Report {
    let store = scanner.store();
    let of_objects = view.objects.values().flat_map(|object| &object.parsed.warnings);
    // Each kind is mentioned once, not once per file.
    let mut mentioned = BTreeSet::new();
    Report {
        errors: sorted(scanner.directory_error().into_iter().chain(store.errors())),
        warnings: sorted(store.file_warnings().chain(of_objects).chain(&view.warnings).chain(&built.warnings)),
        notes: sorted(store.notes().filter(|note| mentioned.insert(&note.message))),
        awaited: Vec::from_iter(scanner.read_at().is_none().then(|| "the manifests".to_owned())),
        objects: view.objects.len(),
        read_at: scanner.read_at(),
    }
}

async fn run(mut source: Source, touched: Arc<Touched>) {
    loop {
        let poll = if source.is_impatient { IMPATIENT_POLL } else { POLL };
        if timeout(poll, touched.woken()).await.is_ok() {
            let deadline = Instant::now() + PATIENCE;
            // Each further event starts the quiet time anew, up to the deadline.
            while timeout_at(deadline.min(Instant::now() + QUIET), touched.woken()).await.is_ok() {}
        }
        let touched = touched.clone();
        // Reading and parsing block: not on a thread that serves connections.
        let look = spawn_blocking(move || {
            source.refresh(&touched);
            source
        });
        source = match look.await {
            Ok(source) => source,
            Err(error) => {
                tracing::error!("the watch of the manifests ended: {error}; the last snapshot stays in force");
                return;
            }
        };
    }
}

#[cfg(test)]
mod tests;
