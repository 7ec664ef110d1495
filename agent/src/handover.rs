//! How one agent follows another on a node without a client noticing.
//!
//! [`ownership`] says which of several agents owns what a node has once only (pins, routes, sockets with a name), and
//! passes that on while both live. [`keeper`] is the process that holds the listeners between an agent that died and
//! the next one. Neither knows what a pod is: `ebpf` and `app` say what is owned and what is held.

pub mod passing;
pub mod ownership;
pub mod keeper;

use std::path::{Path, PathBuf};

pub use keeper::{Held, Keeper};
pub use ownership::{Desk, Ownership, Predecessor, Successor};

/// Ending of the lock's file name, after the node's.
pub const LOCK_SUFFIX: &str = ".lock";
/// Ending of the name of the socket where a node's owner is asked for the node.
pub const DESK_SUFFIX: &str = ".handover";
/// Ending of the name of the keeper's socket.
pub const KEEPER_SUFFIX: &str = ".keeper";

/// The files in the state folder by which agents of one node, and their keeper, find each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// Held by the agent that owns the node.
    pub lock: PathBuf,
    /// Where that one is asked for the node.
    pub desk: PathBuf,
    /// Where the keeper listens.
    pub keeper: PathBuf,
}

impl Files {
    /// The files of `node`.
    pub fn of(state_dir: &Path, node: &str) -> Self {
        let named = |suffix: &str| state_dir.join(format!("{node}{suffix}"));
        Self { lock: named(LOCK_SUFFIX), desk: named(DESK_SUFFIX), keeper: named(KEEPER_SUFFIX) }
    }
}
