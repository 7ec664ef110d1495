//! The agent's unix socket: made so that only its owner may ask, never taken from a living agent, removed at the end.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::UnixStream as BlockingStream,
    },
    path::{Path, PathBuf},
};

use tokio::net::{UnixListener, UnixStream};

/// Who may connect: the agent's user alone.
const MODE: u32 = 0o600;

/// Why the socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another agent of the same node is running.
    #[error("another agent answers on {0}: end it first, or give this one another --node or --state-dir")]
    InUse(PathBuf),
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
    _file: SocketFile,
}

/// Removes the file when dropped, if it is still the one that was made.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl BoundSocket {
    /// Makes the folder and the socket. A socket that nobody answers on, left by an agent that was killed, is replaced.
    ///
    /// # Errors
    /// When a living agent has it, something else is in the way, or the file system refuses.
    pub(super) fn bind(path: &Path) -> Result<Self, BindError> {
        ensure_free(path)?;
        Self::replace(path)
    }

    /// Makes the folder and the socket, in the place of whoever has it: what connects from now on comes here.
    ///
    /// # Errors
    /// When something that is no socket is in the way, or the file system refuses.
    pub(crate) fn replace(path: &Path) -> Result<Self, BindError> {
        let failed = |source| BindError::Io { path: path.to_owned(), source };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        if fs::symlink_metadata(path).is_ok_and(|found| !found.file_type().is_socket()) {
            return Err(BindError::NotASocket(path.to_owned()));
        }
        // Made under another name and with its mode before it gets its own: nobody finds it half made.
        let next = path.with_extension(format!("sock-{}", std::process::id()));
        let _ = fs::remove_file(&next);
        let listener = UnixListener::bind(&next).map_err(failed)?;
        let ready = fs::set_permissions(&next, fs::Permissions::from_mode(MODE))
            .and_then(|()| fs::symlink_metadata(&next))
            .and_then(|made| fs::rename(&next, path).map(|()| made.ino()));
        match ready {
            Ok(inode) => Ok(Self { listener, _file: SocketFile { path: path.to_owned(), inode } }),
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

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode);
        if is_ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the agent's socket");
        }
    }
}

/// May an agent have that socket? To be asked before anything of another agent's is touched.
///
/// # Errors
/// When a living agent has it, or something that is no socket.
pub fn ensure_free(path: &Path) -> Result<(), BindError> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => Err(BindError::NotASocket(path.to_owned())),
        Ok(_) if answers(path) => Err(BindError::InUse(path.to_owned())),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Does anybody listen on that socket? Needs no answer: a listening agent's kernel accepts at once.
pub fn answers(path: &Path) -> bool {
    BlockingStream::connect(path).is_ok()
}
