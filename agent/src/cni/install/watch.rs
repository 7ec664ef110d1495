//! Wakes the installer when somebody writes into one of its folders.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::sync::Notify;

/// Device, inode and time of birth: a folder that is made anew often gets the inode of the one before.
type Identity = (u64, u64, Option<SystemTime>);

/// A watch of some folders, renewed when one of them is replaced.
pub struct Watch {
    watcher: Option<RecommendedWatcher>,
    /// What is watched: a path can come to mean another folder.
    watched: HashMap<PathBuf, Identity>,
    wake: Arc<Notify>,
}

impl Watch {
    /// A watch that begins with [`Self::ensure`].
    pub fn new() -> Self {
        let wake = Arc::new(Notify::new());
        let waker = wake.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.map_or(true, |event| !is_noise(event.kind)) {
                waker.notify_one();
            }
        });
        if let Err(error) = &watcher {
            tracing::warn!("the CNI configuration is polled, because inotify is not available: {error}");
        }
        Self { watcher: watcher.ok(), watched: HashMap::new(), wake }
    }

    /// Watches what these paths mean now. To be called before they are read.
    pub fn ensure<'a>(&mut self, folders: impl IntoIterator<Item = &'a Path>) {
        let Some(watcher) = &mut self.watcher else { return };
        for folder in folders {
            let identity = fs::metadata(folder).ok().map(|found| (found.dev(), found.ino(), found.created().ok()));
            if self.watched.get(folder).copied() == identity {
                continue;
            }
            if self.watched.remove(folder).is_some() {
                // Fails when the kernel dropped the watch together with the folder.
                let _ = watcher.unwatch(folder);
            }
            if let Some(identity) = identity
                && watcher.watch(folder, RecursiveMode::NonRecursive).is_ok()
            {
                self.watched.insert(folder.to_owned(), identity);
            }
        }
    }

    /// Until something is written.
    pub async fn woken(&self) {
        self.wake.notified().await;
    }
}

/// Events that change nothing, above all those of our own reading.
fn is_noise(kind: EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write))
}
