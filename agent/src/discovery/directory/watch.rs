//! Wakes the reader when the kernel says that the directory changed.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::sync::Notify;

/// More touched names than these are not kept apart: everything is read again.
const MAX_NAMES: usize = 4096;

/// File names that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names {
    /// These.
    Some(BTreeSet<String>),
    /// Possibly all.
    All,
}

impl Names {
    /// May the file have changed?
    pub fn include(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Some(names) => names.contains(name),
        }
    }
}

/// What was touched since the reader last asked.
pub struct Touched {
    names: Mutex<Names>,
    wake: Notify,
}

impl Default for Touched {
    fn default() -> Self {
        Self { names: Mutex::new(Names::All), wake: Notify::new() }
    }
}

impl Touched {
    /// The names since the last call.
    pub fn take(&self) -> Names {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut names, Names::Some(BTreeSet::new()))
    }

    /// Until something is touched.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }

    fn add(&self, event: notify::Result<Event>) {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Ok(event) if is_noise(event.kind) => return,
            Ok(event) if !event.need_rescan() && !event.paths.is_empty() => {
                if let Names::Some(names) = &mut *names {
                    let touched = event.paths.iter().filter_map(|path| path.file_name()?.to_str());
                    names.extend(touched.map(str::to_owned));
                }
                if matches!(&*names, Names::Some(names) if names.len() > MAX_NAMES) {
                    *names = Names::All;
                }
            }
            // The kernel's queue overflowed, or the watcher failed: nobody knows what changed.
            _ => *names = Names::All,
        }
        drop(names);
        self.wake.notify_one();
    }
}

/// Events that change nothing, above all those of our own reading.
fn is_noise(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}

/// The watch of one directory, renewed when the directory is replaced.
pub struct Watch {
    dir: PathBuf,
    watcher: Option<RecommendedWatcher>,
    /// Device and inode of what is watched: a path can come to mean another directory.
    watched: Option<(u64, u64)>,
}

impl Watch {
    /// A watch that wakes `touched`; it begins with [`Self::ensure`].
    pub fn new(dir: PathBuf, touched: Arc<Touched>) -> Self {
        let watcher = notify::recommended_watcher(move |event| touched.add(event));
        if let Err(error) = &watcher {
            tracing::warn!("manifests are polled, because inotify is not available: {error}");
        }
        Self { dir, watcher: watcher.ok(), watched: None }
    }

    /// Watches what the path means now.
    pub fn ensure(&mut self) -> Watched {
        let identity = identity(&self.dir);
        if identity.is_some() && identity == self.watched {
            return Watched::Still;
        }
        let Some(watcher) = &mut self.watcher else { return Watched::Not };
        if self.watched.take().is_some() {
            // Fails when the kernel dropped the watch together with the directory.
            let _ = watcher.unwatch(&self.dir);
        }
        if identity.is_some() && watcher.watch(&self.dir, RecursiveMode::NonRecursive).is_ok() {
            self.watched = identity;
            return Watched::Anew;
        }
        Watched::Not
    }
}

/// Whether the kernel will say what changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watched {
    /// It did since the last look.
    Still,
    /// From now on: what came before was not seen, and everything has to be read.
    Anew,
    /// No such directory, or no inotify: only the poll notices changes.
    Not,
}

fn identity(dir: &Path) -> Option<(u64, u64)> {
    let meta = fs::metadata(dir).ok()?;
    meta.is_dir().then(|| (meta.dev(), meta.ino()))
}
