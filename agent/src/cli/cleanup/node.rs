//! A node that weft leaves (`weft uninstall` runs this in a pod on each): what the cluster's agents have on it besides what
//! any agent leaves.

use std::{fs, io, path::Path, time::Duration};

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use super::{Args, Report, names};
use crate::{cli::ask, ebpf::leftovers};

/// Name of weft's folders.
const OWN: &str = "weft";

/// How often the note is renewed: an agent that starts removes it.
const RENEW: Duration = Duration::from_secs(1);

/// Notes that the next end of the node's agent is for good.
///
/// # Errors
/// The file system's, and when nobody says which node this is.
pub(super) fn announce(args: &Args) -> anyhow::Result<()> {
    let node = args.node.as_deref().context("say which node this is: --node")?;
    let path = leftovers::for_good_path(&args.state.state_dir, node);
    fs::create_dir_all(&args.state.state_dir)
        .and_then(|()| fs::write(&path, ""))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Goes on until told to end, and renews the note meanwhile if there is to be one.
///
/// # Errors
/// When signals or the note cannot be had.
pub(super) fn stay(args: &Args) -> anyhow::Result<()> {
    ask::block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        loop {
            if args.announce {
                announce(args)?;
            }
            tokio::select! {
                _ = terminate.recv() => return Ok(()),
                () = tokio::time::sleep(RENEW) => {}
            }
        }
    })
}

impl Report {
    /// Removes a folder of weft's with all that is in it. One of another name may have been given by mistake, and stays.
    pub(super) fn folder(&mut self, path: &Path) {
        if path.file_name().is_none_or(|name| name != OWN) {
            return;
        }
        let removed = match fs::remove_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            // Mounted here: its parent is another file system's, which has to let it go.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && names(path).is_empty() => Ok(true),
            removed => removed.map(|()| true),
        };
        self.note(format!("folder {}", path.display()), removed);
    }
}
