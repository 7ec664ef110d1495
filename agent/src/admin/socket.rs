//! The agent's unix socket: made so that only its owner may ask, removed at the end unless the next agent has it.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::UnixStream as BlockingStream,
    },
    path::{Path, PathBuf},
};

use tokio::{
    net::{UnixListener, UnixStream},
    sync::watch,
};

use crate::ebpf::manager::Standing;

/// Who may connect: the agent's user alone.
const MODE: u32 = 0o600;

/// Why the socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Something that is no socket has the name.
    #[error("{0} is in the way and is no socket: move it, or give another --state-dir")]
    NotASocket(PathBuf),
    /// The TCP address cannot be had.
    #[error("cannot listen on {address}: {source}; give another --http-addr")]
    Address {
        /// The address.
        address: SocketAddr,
        /// Cause.
        source: io::Error,
    },
    /// The file system's.
    #[error("cannot listen on {path}: {source}")]
    Io {
        /// The socket.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
}

/// A listening socket; its file goes with it.
#[derive(Debug)]
pub(crate) struct BoundSocket {
    listener: UnixListener,
    file: SocketFile,
}

/// Removes the file when dropped, if it is still the one that was made.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl BoundSocket {
    /// Makes the folder and the socket. One that another agent left, or still answers on, is replaced without a gap:
    /// who calls owns the node.
    ///
    /// # Errors
    /// When something else is in the way, or the file system refuses.
    pub(super) fn bind(path: &Path) -> Result<Self, BindError> {
        let failed = |source| BindError::Io { path: path.to_owned(), source };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        ensure_possible(path)?;
        // Made under another name and with its mode before it gets its own: nobody finds it half made.
        let next = path.with_extension(format!("sock-{}", std::process::id()));
        let _ = fs::remove_file(&next);
        let listener = UnixListener::bind(&next).map_err(failed)?;
        let ready = fs::set_permissions(&next, fs::Permissions::from_mode(MODE))
            .and_then(|()| fs::symlink_metadata(&next))
            .and_then(|made| fs::rename(&next, path).map(|()| made.ino()));
        match ready {
            Ok(inode) => Ok(Self { listener, file: SocketFile { path: path.to_owned(), inode } }),
            Err(source) => {
                let _ = fs::remove_file(&next);
                Err(failed(source))
            }
        }
    }

    /// The next connection. A method of the whole, so that a task that accepts holds the file, too.
    pub(crate) async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }
}

/// A socket whose name is the owner's: an agent that takes its node back from one that has died gets the name back.
#[derive(Debug)]
pub(crate) struct OwnersSocket {
    bound: BoundSocket,
    standing: watch::Receiver<Standing>,
}

impl OwnersSocket {
    /// As [`BoundSocket::bind`].
    pub(crate) fn bind(path: &Path, standing: watch::Receiver<Standing>) -> Result<Self, BindError> {
        Ok(Self { bound: BoundSocket::bind(path)?, standing })
    }

    /// The next connection.
    pub(crate) async fn accept(&mut self) -> io::Result<UnixStream> {
        loop {
            tokio::select! {
                accepted = self.bound.accept() => return accepted,
                changed = self.standing.changed() => match changed {
                    Ok(()) => self.claim_name(),
                    // Nobody can take the node any more, nor give it back.
                    Err(_ended) => return self.bound.accept().await,
                },
            }
        }
    }

    fn claim_name(&mut self) {
        let is_owner = self.standing.borrow_and_update().is_owner();
        if !is_owner || self.bound.file.is_ours() {
            return;
        }
        match BoundSocket::bind(&self.bound.file.path) {
            Ok(bound) => self.bound = bound,
            Err(error) => tracing::error!(%error, "nobody finds this agent's socket"),
        }
    }
}

impl SocketFile {
    fn is_ours(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_ours()
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the agent's socket");
        }
    }
}

/// Can there be a socket of that name? To be asked before anything is changed.
///
/// # Errors
/// When something has it that is no socket.
pub fn ensure_possible(path: &Path) -> Result<(), BindError> {
    if fs::symlink_metadata(path).is_ok_and(|found| !found.file_type().is_socket()) {
        return Err(BindError::NotASocket(path.to_owned()));
    }
    Ok(())
}

/// Does anybody listen on that socket? Needs no answer: a listening agent's kernel accepts at once.
pub fn answers(path: &Path) -> bool {
    BlockingStream::connect(path).is_ok()
}
