//! The keeper: a small process that holds the pods' listening sockets while no agent lives.
//!
//! A listener lives as long as one process has it open, and so does its entry in the kernel's map: while the keeper
//! holds copies, connections made after an agent's death are captured and wait in the listeners' queues. The next
//! agent asks for the copies ([`Keeper::held`]) and serves what waits. When none comes in time, the keeper ends and
//! with it the listeners: then connections are refused, as they are without a keeper.
//!
//! | file | what |
//! |---|---|
//! | [`message`] | what agent and keeper say to each other |
//! | [`process`] | the keeper itself: `weft keeper`, one thread, no runtime |
//! | [`place`] | where it lives: outside of the agent's container, or it would be killed with it |
//! | this one | the agent's end |

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod message;
pub mod place;
pub mod process;

use std::{
    fs,
    io::{self, Read},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
        unix::process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

pub use message::Held;
use message::{Answer, Ask, Binary};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Socket, Type};

use super::passing;

/// How long the keeper may take for an answer: it does nothing else.
const PATIENCE: Duration = Duration::from_secs(5);

/// The descriptor by which a keeper is handed the socket that it listens on.
const LISTENER: RawFd = 3;

/// An agent's connection to the keeper.
#[derive(Debug)]
pub struct Keeper {
    socket: Socket,
    path: PathBuf,
    binary: Binary,
}

/// Why there is no keeper.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// This process cannot leave what it would be killed with.
    #[error("process 1 of a pid namespace takes all others with it: run the agent with hostPID")]
    OwnPidNamespace,
    /// It could not be started.
    #[error("cannot start the keeper: {0}")]
    Start(#[source] io::Error),
    /// It ended at once.
    #[error("the keeper cannot live outside of the agent's container: {0}")]
    Place(String),
    /// It does not answer.
    #[error("the keeper at {path} does not answer: {source}")]
    Talk {
        /// Its socket.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
}

impl Keeper {
    /// Connects to the keeper that listens at `path` and tells it how long to hold what it has without an agent.
    /// `None`: there is none.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn find(path: &Path, patience: Duration) -> Result<Option<Self>, KeeperError> {
        let failed = |source| KeeperError::Talk { path: path.to_owned(), source };
        let Some(socket) = passing::connect(path, Type::SEQPACKET, PATIENCE).map_err(failed)? else { return Ok(None) };
        let mut keeper = Self { socket, path: path.to_owned(), binary: Binary::default() };
        keeper.say(&Ask::Hello { patience }, None)?;
        match keeper.answer()? {
            (Answer::End(binary), _) => keeper.binary = binary,
            (Answer::Held(_), _) => return Err(failed(io::ErrorKind::InvalidData.into())),
        }
        Ok(Some(keeper))
    }

    /// Starts a keeper that listens at `path` and holds nothing yet.
    ///
    /// # Errors
    /// When it cannot be started, or would end with the agent.
    pub fn start(path: &Path, patience: Duration) -> Result<Self, KeeperError> {
        Self::start_with(path, patience, Vec::new())
    }

    /// The keeper at `path`, or a new one. One that runs another binary (of an earlier agent's container, whose files
    /// it would keep in use) is replaced by one that holds the same.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn find_or_start(path: &Path, patience: Duration) -> Result<Self, KeeperError> {
        let Some(found) = Self::find(path, patience)? else { return Self::start(path, patience) };
        if Binary::own().is_ok_and(|own| own == found.binary) {
            return Ok(found);
        }
        // Until the new one has the name, the old one is found by it, with everything.
        let next = Self::start_with(path, patience, found.held()?)?;
        found.end()?;
        Ok(next)
    }

    fn start_with(path: &Path, patience: Duration, held: Vec<(Held, OwnedFd)>) -> Result<Self, KeeperError> {
        if std::process::id() == 1 {
            return Err(KeeperError::OwnPidNamespace);
        }
        let next = passing::temporary(path);
        let made = Self::start_at(&next, patience, held).and_then(|mut keeper| {
            fs::rename(&next, path).map_err(KeeperError::Start)?;
            path.clone_into(&mut keeper.path);
            Ok(keeper)
        });
        if made.is_err() {
            let _ = fs::remove_file(&next);
        }
        made
    }

    fn start_at(path: &Path, patience: Duration, held: Vec<(Held, OwnedFd)>) -> Result<Self, KeeperError> {
        let _ = fs::remove_file(path);
        let listener = passing::listen(path, Type::SEQPACKET).map_err(KeeperError::Start)?;
        spawn(&listener, patience)?;
        drop(listener);
        let started = Self::find(path, patience)?;
        let keeper = started.ok_or_else(|| KeeperError::Start(io::Error::other("it has ended at once")))?;
        for (key, socket) in held {
            keeper.hold(key, socket.as_fd())?;
        }
        Ok(keeper)
    }

    /// Has it hold a copy of `socket`.
    ///
    /// # Errors
    /// When it has ended.
    pub fn hold(&self, key: Held, socket: BorrowedFd<'_>) -> Result<(), KeeperError> {
        self.say(&Ask::Hold(key), Some(socket))
    }

    /// Has it close all sockets of a namespace but those of `generation`.
    ///
    /// # Errors
    /// When it has ended.
    pub fn settle(&self, namespace: u64, generation: u64) -> Result<(), KeeperError> {
        self.say(&Ask::Settle { namespace, generation }, None)
    }

    /// Has it close all sockets of a namespace.
    ///
    /// # Errors
    /// When it has ended.
    pub fn forget(&self, namespace: u64) -> Result<(), KeeperError> {
        self.say(&Ask::Forget { namespace }, None)
    }

    /// Copies of everything it holds.
    ///
    /// # Errors
    /// When it has ended or does not answer.
    pub fn held(&self) -> Result<Vec<(Held, OwnedFd)>, KeeperError> {
        self.say(&Ask::List, None)?;
        let mut held = Vec::new();
        loop {
            match self.answer()? {
                (Answer::Held(key), Some(socket)) => held.push((key, socket)),
                (Answer::Held(_), None) => {}
                (Answer::End(_), _) => return Ok(held),
            }
        }
    }

    /// Ends it and removes its socket; returns when it has let go of everything.
    ///
    /// # Errors
    /// When it does not end, or the socket cannot be removed.
    pub fn stop(self) -> Result<(), KeeperError> {
        self.end()?;
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.broken(error)),
            _ => Ok(()),
        }
    }

    fn end(&self) -> Result<(), KeeperError> {
        self.say(&Ask::Stop, None)?;
        self.answer()?;
        // What it held is closed; its end of the connection goes with the process.
        let mut rest = [0; message::BYTES];
        passing::receive(&self.socket, &mut rest).map_err(|error| self.broken(error))?;
        Ok(())
    }

    /// Has it ended? It never speaks unasked.
    pub fn has_ended(&self) -> bool {
        let mut ends = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        poll(&mut ends, PollTimeout::ZERO).is_ok_and(|changed| changed > 0)
    }

    fn say(&self, ask: &Ask, socket: Option<BorrowedFd<'_>>) -> Result<(), KeeperError> {
        passing::send(&self.socket, &ask.encode(), socket).map_err(|error| self.broken(error))
    }

    fn answer(&self) -> Result<(Answer, Option<OwnedFd>), KeeperError> {
        let mut bytes = [0; message::BYTES];
        let (count, socket) = passing::receive(&self.socket, &mut bytes).map_err(|error| self.broken(error))?;
        let answer = if count == bytes.len() { Answer::decode(&bytes) } else { None };
        answer.map(|answer| (answer, socket)).ok_or_else(|| self.broken(io::ErrorKind::UnexpectedEof.into()))
    }

    fn broken(&self, source: io::Error) -> KeeperError {
        KeeperError::Talk { path: self.path.clone(), source }
    }
}

/// Starts the process and waits until it has found its place, which is when its first part ends.
fn spawn(listener: &Socket, patience: Duration) -> Result<(), KeeperError> {
    let fd = listener.as_raw_fd();
    let mut command = Command::new("/proc/self/exe");
    command.arg0("weft").arg(process::VERB).arg(patience.as_millis().to_string());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    // SAFETY: between fork and exec only system calls are made.
    unsafe { command.pre_exec(move || pass_listener(fd)) };
    let mut child = command.spawn().map_err(KeeperError::Start)?;
    let mut said = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        // What cannot be read is not said; the exit status counts.
        let _ = stderr.read_to_string(&mut said);
    }
    let status = child.wait().map_err(KeeperError::Start)?;
    if status.success() { Ok(()) } else { Err(KeeperError::Place(said.trim().to_owned())) }
}

fn pass_listener(fd: RawFd) -> io::Result<()> {
    // SAFETY: plain calls on descriptors of this process, which is about to become another program.
    let result = unsafe { if fd == LISTENER { libc::fcntl(fd, libc::F_SETFD, 0) } else { libc::dup2(fd, LISTENER) } };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
