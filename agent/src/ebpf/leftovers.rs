//! What an agent has changed inside pods, written down, so that it can be undone when the agent could not do it itself.
//!
//! Pins are found by their folder; rules and routes live in the pods' namespaces, where nobody would look. The manager
//! writes the list before it touches a namespace; the next agent, or `weft cleanup`, reads it.

use std::{
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use weft_ebpf_common::{CAPTURE_MARK, CAPTURE_TABLE};

use crate::net::{Netns, routes::CaptureRoute};

/// Ending of the lists' file names, after the node's.
pub const SUFFIX: &str = ".pods.json";

/// A pod whose namespace has, or may have, our rule and routes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Leftover {
    /// Path of its network namespace.
    pub netns: PathBuf,
    /// Its addresses, which the routes name.
    pub addresses: Vec<IpAddr>,
}

/// The list of one agent.
#[derive(Debug)]
pub struct Leftovers {
    path: PathBuf,
    written: Option<Vec<Leftover>>,
}

/// Where the agent of `node` keeps its list.
pub fn path(state_dir: &Path, node: &str) -> PathBuf {
    state_dir.join(format!("{node}{SUFFIX}"))
}

impl Leftovers {
    /// A list in that file; nothing is written yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path, written: None }
    }

    /// Writes the list if it has changed.
    ///
    /// # Errors
    /// The file system's.
    pub fn keep(&mut self, mut pods: Vec<Leftover>) -> io::Result<()> {
        pods.sort();
        pods.dedup();
        if self.written.as_ref() != Some(&pods) {
            write(&self.path, &pods)?;
            self.written = Some(pods);
        }
        Ok(())
    }

    /// What an earlier agent wrote.
    ///
    /// # Errors
    /// As [`read`].
    pub fn read(&self) -> io::Result<Vec<Leftover>> {
        read(&self.path)
    }

    /// Nothing is left: removes the file.
    ///
    /// # Errors
    /// The file system's.
    pub fn clear(&mut self) -> io::Result<()> {
        self.written = None;
        remove_if_there(&self.path)
    }
}

/// Writes a list, whole or not at all.
///
/// # Errors
/// The file system's.
pub fn write(path: &Path, pods: &[Leftover]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let next = path.with_extension("json-next");
    fs::write(&next, serde_json::to_vec_pretty(pods)?)?;
    fs::rename(next, path)
}

/// Reads a list; a file that is not there is an empty one.
///
/// # Errors
/// The file system's, or [`io::ErrorKind::InvalidData`] when it is no list.
pub fn read(path: &Path) -> io::Result<Vec<Leftover>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => serde_json::from_slice(&read?).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{} is no list of pods: {error}", path.display()))
        }),
    }
}

/// Removes rule and routes from the pod. False: its namespace is gone, and they with it.
///
/// # Errors
/// When the namespace cannot be entered or netlink refuses.
pub fn remove_routes(pod: &Leftover) -> io::Result<bool> {
    let netns = match Netns::open(&pod.netns.to_string_lossy()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };
    CaptureRoute { mark: CAPTURE_MARK, table: CAPTURE_TABLE, addresses: pod.addresses.clone() }.remove(&netns)?;
    Ok(true)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
