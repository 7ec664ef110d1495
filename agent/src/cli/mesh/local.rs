//! Agents of this machine, by their sockets.

use std::{fs, io, path::Path};

use anyhow::Context;

use super::super::{client::Agent, transport::Transport};
use crate::admin::{SOCKET_SUFFIX, socket_path};

/// Is there any agent's socket?
pub(super) fn has_agents(folder: &Path) -> bool {
    agents(folder).is_ok()
}

/// All agents with a socket in the folder, by node.
///
/// # Errors
/// When there is none, or the folder cannot be read.
pub(super) fn agents(state_dir: &Path) -> anyhow::Result<Vec<Agent>> {
    let folder = state_dir.display();
    let none = || {
        anyhow::anyhow!(
            "no agent listens in {folder}: is `weft agent` running, and with this --state-dir (or WEFT_STATE_DIR)?"
        )
    };
    let entries = match fs::read_dir(state_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(none()),
        Err(error) => return Err(error).context(format!("cannot read {folder}")),
    };
    let mut agents: Vec<Agent> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let node = name.strip_suffix(SOCKET_SUFFIX)?.to_owned();
            Some(Agent { transport: Transport::Unix(socket_path(state_dir, &node)), node })
        })
        .collect();
    agents.sort_by(|a, b| a.node.cmp(&b.node));
    if agents.is_empty() { Err(none()) } else { Ok(agents) }
}
