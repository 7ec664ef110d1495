//! What the plugin knows of namespaces when no agent answers: a file that the agent keeps up to date on the node's disk.
//!
//! The plugin alone cannot ask the API server whose pod it is. So, while the agent is away, it lets pods of namespaces pass
//! that the agent has last seen as not enrolled, and holds all others: those of enrolled namespaces, and those of
//! namespaces that nobody knows yet. The installer writes the file before it installs the plugin; a file that is
//! missing, or cannot be read, is therefore a fault, not a beginning, and holds every pod but those without which the
//! agent could not come back.

use std::{collections::BTreeMap, fs, io, path::Path};

use serde::{Deserialize, Serialize};
use weft_model::snapshot::Snapshot;

use crate::discovery::world::enrolment::is_system;

/// Pods of weft itself begin with this, in the agent's own namespace.
pub const OWN_PODS: &str = "weft-";

/// The file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// By namespace: may a pod of it be enrolled?
    pub namespaces: BTreeMap<String, bool>,
}

impl Known {
    /// What the world says: a namespace is enrolled by its labels, or because one of its pods is by its own.
    pub fn of(snapshot: &Snapshot) -> Self {
        let by_label = snapshot.namespaces.iter().map(|(name, enrolled)| (name.to_string(), *enrolled));
        let mut namespaces: BTreeMap<String, bool> = by_label.collect();
        for workload in snapshot.workloads.values().filter(|workload| workload.is_enrolled()) {
            namespaces.insert(workload.pod.namespace.to_string(), true);
        }
        Self { namespaces }
    }

    /// Reads it.
    ///
    /// # Errors
    /// The file system's, or [`io::ErrorKind::InvalidData`] with the file's name.
    pub fn read(path: &Path) -> io::Result<Self> {
        let text = fs::read(path)
            .map_err(|error| io::Error::new(error.kind(), format!("cannot read {}: {error}", path.display())))?;
        serde_json::from_slice(&text).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{} is no list of namespaces: {error}", path.display()))
        })
    }

    /// Writes it, whole or not at all, so that it is also there after the machine lost its power.
    ///
    /// # Errors
    /// The file system's.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let next = path.with_extension(format!("next-{}", std::process::id()));
        let file = fs::File::create(&next)?;
        serde_json::to_writer_pretty(&file, self)?;
        file.sync_all()?;
        fs::rename(next, path)
    }

    /// Why a pod of that namespace has to be held while no agent answers; `None` lets it pass.
    pub fn hold(&self, namespace: &str) -> Option<&'static str> {
        match self.namespaces.get(namespace) {
            Some(false) => None,
            Some(true) => Some("its namespace has pods in the mesh"),
            None => Some("the agent has not seen its namespace yet"),
        }
    }
}

/// May the pod start without anybody being asked? Else nothing could bring a node's network, or its agent, back.
pub fn is_always_free(namespace: &str, pod: &str, agent_namespace: &str) -> bool {
    is_system(namespace) || (namespace == agent_namespace && pod.starts_with(OWN_PODS))
}

#[cfg(test)]
mod tests;
