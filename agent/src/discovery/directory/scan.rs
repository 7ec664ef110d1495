//! Reads what changed in the directory into the store.

use std::{
    collections::BTreeMap,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::watch::Names;
use crate::discovery::{
    parse::{Settings, parse},
    problem::Problem,
    store::Store,
};

/// Larger files are refused: no manifest is, and a stray dump must not eat the agent's memory.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// A file that held objects and is empty now was probably just truncated by someone about to
/// write it: its objects are given up only when it stays empty this long.
const EMPTY_GRACE: Duration = Duration::from_millis(300);

/// The directory as last read.
pub struct Scanner {
    dir: PathBuf,
    settings: Settings,
    store: Store,
    seen: BTreeMap<Arc<str>, Seen>,
    directory_error: Option<Problem>,
    read_at: Option<SystemTime>,
    awaits_content: bool,
}

/// A file as last read.
struct Seen {
    stamp: Stamp,
    /// Hash of the text, to tell a touch from a change.
    text: u64,
}

/// What changes when a file does.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Scanner {
    /// A scanner that has read nothing.
    pub fn new(dir: &Path, settings: Settings) -> Self {
        Self {
            dir: dir.to_owned(),
            settings,
            store: Store::default(),
            seen: BTreeMap::new(),
            directory_error: None,
            read_at: None,
            awaits_content: false,
        }
    }

    /// The objects.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Why the directory itself cannot be read.
    pub fn directory_error(&self) -> Option<&Problem> {
        self.directory_error.as_ref()
    }

    /// When the directory was last read.
    pub fn read_at(&self) -> Option<SystemTime> {
        self.read_at
    }

    /// Is something expected to happen that no event announces?
    pub fn awaits(&self) -> bool {
        self.awaits_content || self.directory_error.is_some()
    }

    /// Reads the files named by `touched` and those whose stamp changed; true when the store or the
    /// errors changed.
    pub fn scan(&mut self, touched: &Names) -> bool {
        self.awaits_content = false;
        let files = match list(&self.dir) {
            Ok(files) => files,
            Err(error) => {
                // A directory that is gone took nothing back: whoever wants pods to leave empties it.
                let problem = self.unreadable_directory(&error);
                let changed = self.directory_error.as_ref() != Some(&problem);
                self.directory_error = Some(problem);
                return changed;
            }
        };
        let mut changed = self.directory_error.take().is_some();
        let gone: Vec<Arc<str>> = self.store.files().filter(|name| !files.contains_key(&***name)).cloned().collect();
        for name in gone {
            self.store.remove(&name);
            self.seen.remove(&name);
            changed = true;
        }
        for (name, stamp) in files {
            let is_known = self.seen.get(&*name).is_some_and(|seen| seen.stamp == stamp);
            if !is_known || touched.include(&name) {
                changed |= self.read(&name.into(), stamp);
            }
        }
        self.read_at = Some(SystemTime::now());
        changed
    }

    fn read(&mut self, name: &Arc<str>, stamp: Stamp) -> bool {
        let text = match self.text(name, stamp) {
            Ok(text) => text,
            // Gone between listing and reading: the next look sees that.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.is_symlink(name) => return false,
            Err(error) => {
                let text = hash(&error.to_string());
                if self.seen.insert(name.clone(), Seen { stamp, text }).is_some_and(|seen| seen.text == text) {
                    return false;
                }
                self.store.keep(name, unreadable(name, &error));
                return true;
            }
        };
        if text.is_empty() && self.store.holds_objects(name) && is_younger_than(stamp, EMPTY_GRACE) {
            self.awaits_content = true;
            return false;
        }
        let seen = Seen { stamp, text: hash(&text) };
        let hash = seen.text;
        if self.seen.insert(name.clone(), seen).is_some_and(|before| before.text == hash) {
            return false;
        }
        self.store.put(name, parse(name, &text, &self.settings));
        true
    }

    fn text(&self, name: &str, stamp: Stamp) -> io::Result<String> {
        if stamp.bytes > MAX_FILE_BYTES {
            return Err(io::Error::other(format!("larger than {} MiB", MAX_FILE_BYTES >> 20)));
        }
        let bytes = fs::read(self.dir.join(name))?;
        String::from_utf8(bytes).map_err(|_| io::Error::other("not UTF-8 text"))
    }

    fn is_symlink(&self, name: &str) -> bool {
        fs::symlink_metadata(self.dir.join(name)).is_ok_and(|meta| meta.is_symlink())
    }

    fn unreadable_directory(&self, error: &io::Error) -> Problem {
        let next_step = match self.read_at {
            None => "create it, or correct --manifests; nothing was read yet",
            Some(_) => "create it again; what was read before stays in force",
        };
        Problem {
            file: self.dir.display().to_string().into(),
            line: None,
            object: None,
            field: None,
            message: format!("the directory cannot be read: {error}"),
            next_step: next_step.into(),
        }
    }
}

/// The manifests of a directory: YAML and JSON files that are not hidden, by name.
fn list(dir: &Path) -> io::Result<BTreeMap<String, Stamp>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir)? {
        let Ok(name) = entry?.file_name().into_string() else { continue };
        let is_manifest = [".yaml", ".yml", ".json"].iter().any(|suffix| name.ends_with(suffix));
        if !is_manifest || name.starts_with('.') {
            continue;
        }
        // Follows symbolic links: a mounted ConfigMap is a directory of them.
        match fs::metadata(dir.join(&name)) {
            Ok(meta) if meta.is_file() => {
                found.insert(name, Stamp::of(&meta));
            }
            Ok(_) => {}
            // A dangling link is a file that cannot be read, and says so when it is.
            Err(_) => {
                if let Ok(meta) = fs::symlink_metadata(dir.join(&name)) {
                    found.insert(name, Stamp::of(&meta));
                }
            }
        }
    }
    Ok(found)
}

impl Stamp {
    fn of(meta: &fs::Metadata) -> Self {
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            bytes: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }
}

fn is_younger_than(stamp: Stamp, age: Duration) -> bool {
    let seconds = u64::try_from(stamp.changed.0).unwrap_or(0);
    let nanoseconds = u32::try_from(stamp.changed.1).unwrap_or(0);
    let changed = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds);
    SystemTime::now().duration_since(changed).is_ok_and(|past| past < age)
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

fn unreadable(name: &Arc<str>, error: &io::Error) -> Problem {
    Problem {
        file: name.clone(),
        line: None,
        object: None,
        field: None,
        message: format!("the file cannot be read: {error}"),
        next_step: "correct it or remove it; what was read from it before stays in force".into(),
    }
}
