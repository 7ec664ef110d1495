//! Which agent owns the node: the holder of a lock on a file in the state folder.
//!
//! The kernel gives the lock up when its holder dies, however it dies, and knows nothing of pids or their namespaces.
//! A second agent asks the first one over a socket ([`Predecessor::ask`], [`Desk`]) and is passed the very lock, so
//! that between the two nobody else can have it. Until the second one has confirmed, the first one still owns; if the
//! second one dies afterwards, the lock is free and the first one may claim it again.
//!
//! | who | says | means |
//! |---|---|---|
//! | first | `L` and the lock | you can have it |
//! | second | `T` | I have it |
//! | first | `D` | I have closed mine; until here the first one owns |
//! | second | `S` | I serve: accept no more |
//!
//! The connection then stays until one of them dies, which is how the other one knows.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{
            fs::{MetadataExt, OpenOptionsExt},
            net::{UnixListener as BlockingListener, UnixStream as BlockingStream},
        },
    },
    path::{Path, PathBuf},
    time::Duration,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::Type;
use tokio::{
    io::AsyncReadExt,
    net::{UnixListener, UnixStream},
};

use super::passing;

/// How long the other agent may take for one word. The first one answers between two of its own works, the longest
/// of which is proving capture.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a lock whose file was just removed is tried anew.
const CLAIMS_MAX: usize = 5;

const LOCK: u8 = b'L';
const TAKEN: u8 = b'T';
const DONE: u8 = b'D';
const SERVING: u8 = b'S';

/// The node is this agent's while this value lives.
#[derive(Debug)]
pub struct Ownership {
    lock: File,
    path: PathBuf,
}

impl Ownership {
    /// Claims the node whose lock is at `path`. `None`: another agent has it.
    ///
    /// # Errors
    /// The file system's.
    pub fn claim(path: &Path) -> io::Result<Option<Self>> {
        for _ in 0..CLAIMS_MAX {
            let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // Who ends for good removes the file: a lock on a file without a name says nothing.
            if fs::metadata(path).is_ok_and(|named| is_same(&named, &lock)) {
                return Ok(Some(Self { lock, path: path.to_owned() }));
            }
        }
        Err(io::Error::other(format!("{} is removed again and again", path.display())))
    }

    /// Gives the node up for good: the file goes, too.
    ///
    /// # Errors
    /// The file system's.
    pub fn end(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}

fn is_same(named: &fs::Metadata, open: &File) -> bool {
    open.metadata().is_ok_and(|open| (open.dev(), open.ino()) == (named.dev(), named.ino()))
}

/// Where an owner is asked for the node. Belongs to a runtime; its socket goes with it unless another has its name.
#[derive(Debug)]
pub struct Desk {
    listener: UnixListener,
    path: PathBuf,
    inode: u64,
}

impl Desk {
    /// Opens the desk at `path`, instead of any other one there: who calls owns the node.
    ///
    /// # Errors
    /// The file system's.
    pub fn open(path: &Path) -> io::Result<Self> {
        let next = passing::temporary(path);
        let _ = fs::remove_file(&next);
        let socket = passing::listen(&next, Type::STREAM)?;
        socket.set_nonblocking(true)?;
        let inode = fs::symlink_metadata(&next)?.ino();
        fs::rename(&next, path)?;
        let listener = UnixListener::from_std(BlockingListener::from(OwnedFd::from(socket)))?;
        Ok(Self { listener, path: path.to_owned(), inode })
    }

    /// The next agent that wants the node.
    ///
    /// # Errors
    /// The system's.
    pub async fn asked(&self) -> io::Result<Request> {
        loop {
            let stream = self.listener.accept().await?.0;
            if passing::is_root(&stream)? {
                return Ok(Request(stream));
            }
            tracing::warn!("somebody who is not root asked for the node");
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// An agent that wants the node.
#[derive(Debug)]
pub struct Request(UnixStream);

impl Request {
    /// Passes the node on. Blocks for [`PATIENCE`] at most.
    ///
    /// # Errors
    /// Gives the ownership back: the other one has died or does not answer.
    pub fn grant(self, ownership: Ownership) -> Result<Successor, (Ownership, io::Error)> {
        let stream = match self.0.into_std().and_then(|stream| offer(stream, &ownership)) {
            Ok(stream) => stream,
            Err(error) => return Err((ownership, error)),
        };
        // Closing a copy unlocks nothing while the other one lives.
        drop(ownership);
        let stream = (&stream).write_all(&[DONE]).and_then(|()| stream.set_nonblocking(true)).map(|()| stream);
        // Had it died since, its end of the stream would say so.
        Ok(Successor(stream.and_then(UnixStream::from_std).ok()))
    }
}

fn offer(mut stream: BlockingStream, ownership: &Ownership) -> io::Result<BlockingStream> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    passing::send(&stream, &[LOCK], Some(ownership.lock.as_fd()))?;
    expect(&mut stream, TAKEN)?;
    Ok(stream)
}

fn expect(stream: &mut BlockingStream, word: u8) -> io::Result<()> {
    let mut said = [0];
    stream.read_exact(&mut said)?;
    if said == [word] { Ok(()) } else { Err(io::Error::other(format!("the other agent said {:?}", said[0] as char))) }
}

/// The agent that has the node now, as its predecessor knows it.
#[derive(Debug)]
pub struct Successor(Option<UnixStream>);

/// What a successor says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// It serves all pods.
    Serving,
    /// It has ended.
    Gone,
}

impl Successor {
    /// Its next word. After [`Word::Gone`] there is none.
    pub async fn word(&mut self) -> Word {
        let Some(stream) = &mut self.0 else { return Word::Gone };
        match stream.read_u8().await {
            Ok(SERVING) => Word::Serving,
            _ => Word::Gone,
        }
    }
}

/// The agent that had the node before, and still has connections.
#[derive(Debug)]
pub struct Predecessor(BlockingStream);

impl Predecessor {
    /// Asks the owner whose desk is at `path` for the node. `None`: nobody owns it, or the owner has just ended.
    /// Blocks for a few times [`PATIENCE`] at most.
    ///
    /// # Errors
    /// When the owner does not let go.
    pub fn ask(desk: &Path, lock: &Path) -> io::Result<Option<(Ownership, Self)>> {
        let Some(socket) = passing::connect(desk, Type::STREAM, PATIENCE)? else { return Ok(None) };
        let mut stream = BlockingStream::from(OwnedFd::from(socket));
        let mut word = [0];
        let (count, passed) = passing::receive(&stream, &mut word)?;
        let (1, [LOCK], Some(passed)) = (count, word, passed) else {
            return Err(io::Error::other("the running agent keeps the node"));
        };
        stream.write_all(&[TAKEN])?;
        expect(&mut stream, DONE)?;
        stream.set_nonblocking(true)?;
        Ok(Some((Ownership { lock: passed.into(), path: lock.to_owned() }, Self(stream))))
    }

    /// Tells it that all pods are served, so that it accepts no more.
    pub fn announce_serving(&self) {
        // It may have ended: then it accepts no more, too.
        let _ = (&self.0).write_all(&[SERVING]);
    }

    /// Does it still run?
    pub fn lives(&self) -> bool {
        // It never speaks again, so all there is to read is the end.
        let mut ends = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        poll(&mut ends, PollTimeout::ZERO).is_ok_and(|changed| changed == 0)
    }
}

#[cfg(test)]
mod tests;
