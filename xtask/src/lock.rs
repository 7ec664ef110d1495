//! One task at a time: a lock that ends with the process which holds it, however that ends.

use std::fs::{File, TryLockError};
use std::path::Path;

use anyhow::{Context as _, Result};

/// Held as long as it lives.
#[derive(Debug)]
pub struct Lock(File);

/// Waits until nobody else holds the lock `path`, and says so when that takes time; `what` is what is locked.
pub fn take(path: &Path, what: &str) -> Result<Lock> {
    let file = File::create(path).with_context(|| format!("cannot write {}: is it yours?", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => {
            eprintln!("    waiting for another task that works on {what}");
            file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
            Ok(Lock(file))
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}

impl Lock {
    /// Whether the lock is still what others would wait for: its file may have been removed and made again.
    pub fn is_at(&self, path: &Path) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        let numbers = |metadata: std::io::Result<std::fs::Metadata>| {
            metadata.ok().map(|metadata| (metadata.dev(), metadata.ino()))
        };
        numbers(self.0.metadata()) == numbers(std::fs::metadata(path))
    }
}
