//! Which clusters exist: one folder each in the cache folder, with `cluster.json` in it.
//!
//! Gives out indices and keeps two tasks from working on one cluster at once.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use super::layout::{CLUSTERS_MAX, Layout, NODES_MAX, is_name};
use super::network;
use crate::lock::{self, Lock};
use crate::paths;

/// The file that makes a folder a cluster.
const RECORD: &str = "cluster.json";

/// Waits until nobody else changes the cluster of this name.
pub fn claim(name: &str) -> Result<Lock> {
    ensure!(is_name(name), "{name:?} cannot be a cluster's name: at most 20 of a-z, 0-9 and -, and no - at its ends");
    let path = folder()?.join(format!("{name}.lock"));
    loop {
        let lock = lock::take(&path, &format!("cluster {name}"))?;
        // Who waited for a `down` holds the lock of a file that is gone.
        if lock.is_at(&path) {
            return Ok(lock);
        }
    }
}

/// The cluster of this name, if there is one.
pub fn find(name: &str) -> Result<Option<Layout>> {
    read(&folder()?.join(name))
}

/// The cluster of this name; an error says how to get one.
pub fn existing(name: &str) -> Result<Layout> {
    let others: Vec<String> = list()?.into_iter().map(|layout| layout.name).collect();
    let others = if others.is_empty() { String::new() } else { format!(" (there is: {})", others.join(", ")) };
    find(name)?.with_context(|| format!("no cluster {name:?}{others}: `cargo xtask cluster up --name {name}` makes it"))
}

/// The cluster in this folder, for its own processes.
pub fn open(folder: &Path) -> Result<Layout> {
    read(folder)?.with_context(|| format!("{} holds no cluster", folder.display()))
}

/// All clusters, by name.
pub fn list() -> Result<Vec<Layout>> {
    let folder = folder()?;
    let mut layouts = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry.with_context(|| format!("cannot read {}", folder.display()))?;
        layouts.extend(read(&entry.path())?);
    }
    layouts.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(layouts)
}

/// The cluster of this name with at least so many nodes; recorded before anything of it is made.
pub fn record(name: &str, nodes: u8, dual_stack: bool) -> Result<Layout> {
    ensure!((1..=NODES_MAX).contains(&nodes), "a cluster has 1 to {NODES_MAX} nodes, not {nodes}");
    let _alone = lock::take(&folder()?.join("index.lock"), "the list of clusters")?;
    let layout = match find(name)? {
        Some(layout) if dual_stack && !layout.dual_stack => {
            bail!("{name} has no IPv6, which cannot be changed: `cargo xtask cluster down --name {name}` first")
        }
        Some(layout) => Layout { nodes: layout.nodes.max(nodes), ..layout },
        None => {
            let (taken, folder) = (list()?, folder()?.join(name));
            let layout = |index| Layout { name: name.to_owned(), index, nodes, dual_stack, folder: folder.clone() };
            // Another user's cluster is not in our cache folder, but its bridge is on the machine.
            let is_free =
                |index: &u8| taken.iter().all(|other| other.index != *index) && !network::has_bridge(&layout(*index));
            let index = (0..CLUSTERS_MAX).find(is_free).with_context(|| {
                format!("there are {CLUSTERS_MAX} clusters already: `cargo xtask cluster down --name NAME` one of them")
            })?;
            layout(index)
        }
    };
    fs::create_dir_all(&layout.folder).with_context(|| format!("cannot make {}", layout.folder.display()))?;
    let record = layout.path(RECORD);
    let unfinished = record.with_extension("unfinished");
    let text = serde_json::to_string_pretty(&layout).context("cannot write a cluster as JSON")?;
    fs::write(&unfinished, text).with_context(|| format!("cannot write {}", unfinished.display()))?;
    fs::rename(&unfinished, &record).with_context(|| format!("cannot write {}", record.display()))?;
    Ok(layout)
}

/// Forgets the cluster; nothing of it may be mounted any more.
pub fn forget(layout: &Layout) -> Result<()> {
    // The record goes last: until then `down` can be repeated.
    for entry in fs::read_dir(&layout.folder).with_context(|| format!("cannot read {}", layout.folder.display()))? {
        let path = entry.with_context(|| format!("cannot read {}", layout.folder.display()))?.path();
        if path.ends_with(RECORD) {
            continue;
        }
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.with_context(|| format!("cannot remove {}", path.display()))?;
    }
    fs::remove_dir_all(&layout.folder).with_context(|| format!("cannot remove {}", layout.folder.display()))?;
    let lock = folder()?.join(format!("{}.lock", layout.name));
    fs::remove_file(&lock).with_context(|| format!("cannot remove {}", lock.display()))
}

fn folder() -> Result<PathBuf> {
    let folder = paths::cache()?.join("clusters");
    for hidden in ["/etc", "/opt", "/var", "/run", "/sys", "/proc"] {
        ensure!(
            !folder.starts_with(hidden),
            "the cache folder is below {hidden}, which each node replaces by its own: set XDG_CACHE_HOME to another place"
        );
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

fn read(folder: &Path) -> Result<Option<Layout>> {
    let record = folder.join(RECORD);
    let text = match fs::read_to_string(&record) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", record.display())),
    };
    serde_json::from_str(&text).map(Some).with_context(|| format!("{} is no record of a cluster", record.display()))
}
