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
use weft_model::workload::Workload;

use crate::net::{
    Netns,
    netns::NETNS_DIR,
    routes::{self, CaptureRoute},
};

/// Ending of the lists' file names, after the node's.
pub const SUFFIX: &str = ".pods.json";

/// A pod whose namespace has, or may have, our rule and routes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Leftover {
    /// Path of its network namespace.
    pub netns: PathBuf,
    /// Its addresses, which the routes name.
    pub addresses: Vec<IpAddr>,
    /// Settings of the namespace that were on before weft came.
    #[serde(default)]
    pub kept_settings: Vec<String>,
}

/// The list of one agent.
#[derive(Debug)]
pub struct Leftovers {
    path: PathBuf,
    /// What an earlier agent wrote and nobody has removed yet.
    earlier: Vec<Leftover>,
    /// What this agent may have changed.
    own: Vec<Leftover>,
    written: Option<Vec<Leftover>>,
}

/// Where the agent of `node` keeps its list.
pub fn path(state_dir: &Path, node: &str) -> PathBuf {
    state_dir.join(format!("{node}{SUFFIX}"))
}

/// Ending of the notes' file names, after the node's: the node's agent ends for good.
const FOR_GOOD: &str = ".for-good";

/// Where is noted that the next end of the agent of `node` is for good (`weft uninstall`): it then releases its pods,
/// whatever it was told to do at its end.
pub fn for_good_path(state_dir: &Path, node: &str) -> PathBuf {
    state_dir.join(format!("{node}{FOR_GOOD}"))
}

/// Asks whether that is noted. An earlier note goes: whoever starts an agent wants the mesh.
pub fn for_good(state_dir: &Path, node: &str) -> impl FnOnce() -> bool + Send + 'static {
    let path = for_good_path(state_dir, node);
    if let Err(error) = remove_if_there(&path) {
        tracing::warn!(%error, path = %path.display(), "cannot remove the note that the agent ends for good");
    }
    move || path.exists()
}

impl Leftover {
    fn route(&self) -> CaptureRoute {
        CaptureRoute {
            mark: CAPTURE_MARK,
            table: CAPTURE_TABLE,
            addresses: self.addresses.clone(),
            kept_settings: self.kept_settings.clone(),
        }
    }
}

impl Leftovers {
    /// A list in that file, with what an earlier agent wrote there.
    pub fn open(path: PathBuf) -> Self {
        let earlier = read(&path).unwrap_or_else(|error| {
            tracing::warn!(%error, "capture routes of an earlier agent are not known, and stay");
            Vec::new()
        });
        Self { path, earlier, own: Vec::new(), written: None }
    }

    /// What capturing that pod leaves; `None` when its namespace is not known. To be asked before the namespace is
    /// changed: afterwards it does not show any more how it was, but the list does.
    pub fn of(&self, workload: &Workload) -> Option<Leftover> {
        let name = workload.capture.netns.as_deref()?;
        // A name joins the folder, an absolute path replaces it: as `Netns::open` reads it.
        let netns = Path::new(NETNS_DIR).join(name);
        let known = self.own.iter().chain(&self.earlier).find(|known| known.netns == netns);
        let kept_settings = match known {
            Some(known) => known.kept_settings.clone(),
            // A namespace that cannot be entered is not captured either.
            None => Netns::open(name).and_then(|netns| routes::settings_on(&netns)).unwrap_or_default(),
        };
        Some(Leftover { netns, addresses: workload.addresses.clone(), kept_settings })
    }

    /// Settings of a namespace on the list that were on before.
    pub fn kept_settings(&self, netns: &Path) -> Vec<String> {
        self.own.iter().find(|own| own.netns == netns).map(|own| own.kept_settings.clone()).unwrap_or_default()
    }

    /// Writes down what this agent is about to change or has changed. To be called before it does; a list that cannot
    /// be written is no reason to leave pods alone.
    pub fn keep(&mut self, own: Vec<Leftover>) {
        self.own = own;
        let mut all: Vec<Leftover> = self.own.iter().chain(&self.earlier).cloned().collect();
        all.sort();
        all.dedup();
        if self.written.as_ref() == Some(&all) {
            return;
        }
        match write(&self.path, &all) {
            Ok(()) => self.written = Some(all),
            Err(error) => tracing::warn!(%error, path = %self.path.display(), "cannot write down the captured pods"),
        }
    }

    /// Undoes what an earlier agent left in pods that this one has nothing to do with.
    pub fn forget_earlier(&mut self) {
        let is_own = |pod: &Leftover| self.own.iter().any(|own| own.netns == pod.netns);
        self.earlier.retain(|pod| !is_own(pod));
        self.earlier.retain(|pod| match remove_routes(pod) {
            Ok(_) => false,
            Err(error) => {
                tracing::warn!(netns = %pod.netns.display(), %error, "cannot remove an earlier agent's capture route");
                true
            }
        });
    }

    /// All is undone: removes the file, unless something of an earlier agent could not be.
    pub fn end(mut self) {
        if !self.earlier.is_empty() {
            return self.keep(Vec::new());
        }
        if let Err(error) = remove_if_there(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "cannot remove the list of captured pods");
        }
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

/// Removes rule and routes from the pod. False: its namespace is gone, and they with it; so it is when its path leads to
/// another one by now, which has none of the pod's addresses.
///
/// # Errors
/// When the namespace cannot be entered or netlink refuses.
pub fn remove_routes(pod: &Leftover) -> io::Result<bool> {
    let netns = match Netns::open(&pod.netns.to_string_lossy()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };
    let found = routes::addresses(&netns)?;
    if !pod.addresses.is_empty() && !pod.addresses.iter().any(|address| found.contains(address)) {
        return Ok(false);
    }
    pod.route().remove(&netns)?;
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
