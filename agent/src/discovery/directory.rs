//! The world from a directory of manifests, watched.
//!
//! `weft agent --manifests DIR` calls [`spawn`]; `weft check --manifests DIR` calls [`check_dir`].
//! A change acts as soon as the writer pauses: inotify wakes the task, a short quiet time lets an editor
//! finish, and a slow poll makes up for anything the kernel did not say.

mod publish;
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
    task::{JoinHandle, spawn_blocking},
    time::{Instant, timeout, timeout_at},
};
use weft_model::snapshot::Snapshot;

use self::{
    publish::{Publisher, report},
    scan::Scanner,
    watch::{Names, Touched, Watch, Watched},
};
use super::{
    netns_addresses::{Kernel, NetnsAddresses},
    parse::Settings,
    problem::Report,
    world::{Built, Inputs, build},
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

/// Keeps the directory watched; dropping it ends the watch.
pub struct Handle {
    reports: channel::Receiver<Arc<Report>>,
    task: JoinHandle<()>,
}

impl Handle {
    /// What is wrong with the directory, updated with every look at it.
    pub fn reports(&self) -> channel::Receiver<Arc<Report>> {
        self.reports.clone()
    }

    /// The latest report.
    pub fn report(&self) -> Arc<Report> {
        self.reports.borrow().clone()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.task.abort();
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
    let scanner = Scanner::new(&config.dir, Settings { cluster_domain: config.cluster_domain.clone() });
    let mut source = Source { config, scanner, watch, publisher, netns_pods: 0, is_impatient: false };
    source.refresh(&touched);
    let task = tokio::spawn(run(source, touched));
    (snapshots, Handle { reports, task })
}

/// Looks at the directory once and says what is wrong with it. Asks nobody for addresses.
pub fn check_dir(dir: &Path) -> Report {
    let settings = Settings::default();
    let mut scanner = Scanner::new(dir, settings.clone());
    scanner.scan(&Names::All);
    let node: Arc<str> = "localhost".into();
    let view = scanner.store().view();
    let built =
        build(&view, &Inputs { cluster_domain: &settings.cluster_domain, default_node: &node, addresses: None });
    report(&scanner, &view, &built)
}

/// Everything the task owns.
struct Source {
    config: Config,
    scanner: Scanner,
    watch: Watch,
    publisher: Publisher,
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
            let inputs = Inputs {
                cluster_domain: &self.config.cluster_domain,
                default_node: &self.config.node,
                addresses: Some(&*self.config.addresses),
            };
            let built: Built = build(&view, &inputs);
            self.netns_pods = built.netns_pods;
            self.is_impatient |= built.awaits_addresses;
            let report = report(&self.scanner, &view, &built);
            drop(view);
            self.publisher.publish(built.world, report);
        } else {
            self.publisher.looked(self.scanner.read_at());
        }
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
