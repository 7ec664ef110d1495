//! Pins: what lets capture outlive the agent, and how to take it over or away.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use aya::programs::links::FdLink;

use super::EbpfError;

/// Directory of one agent's pins on a bpf file system: `maps/` and `links/`.
#[derive(Clone, Debug)]
pub struct PinDirectory {
    root: PathBuf,
}

impl PinDirectory {
    /// Makes the directories.
    ///
    /// # Errors
    /// When they cannot be made or are on no bpf file system.
    pub fn create(root: &Path) -> Result<Self, EbpfError> {
        let failed = |source| EbpfError::PinDirectory { path: root.to_owned(), source };
        fs::create_dir_all(root.join("maps")).map_err(failed)?;
        fs::create_dir_all(root.join("links")).map_err(failed)?;
        let kind = nix::sys::statfs::statfs(root).map_err(|errno| failed(errno.into()))?.filesystem_type();
        if kind != nix::sys::statfs::BPF_FS_MAGIC {
            return Err(failed(io::Error::other("not a bpf file system")));
        }
        Ok(Self { root: root.to_owned() })
    }

    /// Where a map is pinned.
    pub fn map(&self, name: &str) -> PathBuf {
        self.root.join("maps").join(name)
    }

    /// Where a link is pinned.
    pub fn link(&self, name: &str) -> PathBuf {
        self.root.join("links").join(name)
    }

    /// Pins a link under `name`, replacing what was pinned there without a gap: the new link is
    /// attached and pinned before the old one goes.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn replace_link(&self, name: &str, link: FdLink) -> Result<(), EbpfError> {
        let path = self.link(name);
        let next = self.link(&format!("{name}-next"));
        let failed = |message: String| EbpfError::Pin { path: path.clone(), message };
        remove_if_there(&next).map_err(|error| failed(error.to_string()))?;
        link.pin(&next).map_err(|error| failed(error.to_string()))?;
        remove_if_there(&path).map_err(|error| failed(error.to_string()))?;
        fs::rename(&next, &path).map_err(|error| failed(error.to_string()))
    }

    /// Unpins a link; when nothing else holds it, the kernel detaches it.
    ///
    /// # Errors
    /// The file system's.
    pub fn remove_link(&self, name: &str) -> io::Result<()> {
        remove_if_there(&self.link(name))
    }

    /// Names of all pinned links.
    pub fn links(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.root.join("links")) else { return Vec::new() };
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    /// Removes every pin and the directories: connects go first, so that nothing is marked any more
    /// when the lookup programs go.
    ///
    /// # Errors
    /// The file system's.
    pub fn remove_all(&self) -> io::Result<()> {
        let mut links = self.links();
        links.sort_by_key(|name| !name.starts_with("connect"));
        for link in links {
            self.remove_link(&link)?;
        }
        if let Ok(entries) = fs::read_dir(self.root.join("maps")) {
            for entry in entries.flatten() {
                remove_if_there(&entry.path())?;
            }
        }
        for directory in [self.root.join("links"), self.root.join("maps"), self.root.clone()] {
            match fs::remove_dir(&directory) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
