//! The keeper itself: `weft keeper`, started by an agent with the socket to listen on as descriptor 3.
//!
//! It first finds its place ([`place`]) and says on standard error what was in the way, then goes on in a process of
//! its own that has nothing of its parent but that socket. One thread, no runtime, no log: what there is to say, the
//! agents say.

use std::{
    ffi::OsString,
    io::{self, Write},
    os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd},
    process::ExitCode,
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::{ForkResult, fork, setsid},
};
use socket2::Socket;

use super::{
    LISTENER,
    message::{self, Answer, Ask, Binary, Held},
    place,
};
use crate::handover::passing;

/// What a keeper's command line begins with.
pub const VERB: &str = "keeper";

/// Most sockets held: all listeners of a full node, twice, since a pod's earlier ones are closed last.
const HELD_MAX: usize = 2 * weft_ebpf_common::LISTENERS_MAX as usize;

/// Most agents at once: one, its successor, and some that die.
const AGENTS_MAX: usize = 8;

/// How long an agent may take to receive what it asked for.
const SEND_PATIENCE: Duration = Duration::from_secs(2);

/// Is this process to be a keeper?
pub fn is_asked_for() -> bool {
    std::env::args_os().nth(1).is_some_and(|verb| verb == VERB)
}

/// Runs a keeper; returns when it has ended, or at once in the process that the agent waits for.
pub fn run() -> ExitCode {
    let patience = std::env::args_os().nth(2).as_ref().and_then(millis);
    // SAFETY: asking for the flags of a descriptor changes nothing.
    let is_started_by_agent = unsafe { libc::fcntl(LISTENER, libc::F_GETFD) } >= 0;
    let Some(patience) = patience.filter(|_| is_started_by_agent) else {
        eprintln!("weft keeper is started by weft agent, never by hand");
        return ExitCode::FAILURE;
    };
    // SAFETY: the agent has opened this descriptor for us, and nobody else here knows of it.
    let listener = unsafe { Socket::from_raw_fd(LISTENER) };
    if let Err(error) = place::move_out() {
        let _ = writeln!(io::stderr(), "{error}");
        return ExitCode::FAILURE;
    }
    // SAFETY: this process has one thread.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => {}
        Ok(ForkResult::Parent { .. }) => return ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "cannot fork: {error}");
            return ExitCode::FAILURE;
        }
    }
    let alone = setsid().map_err(io::Error::from).and_then(|_| place::let_go(LISTENER));
    if alone.is_ok() {
        serve(&listener, patience);
    }
    place::clean_up();
    ExitCode::SUCCESS
}

fn millis(text: &OsString) -> Option<Duration> {
    Some(Duration::from_millis(text.to_str()?.parse().ok()?))
}

/// Serves agents until one says stop, or none has been there for `patience`.
fn serve(listener: &Socket, patience: Duration) {
    let binary = Binary::own().unwrap_or_default();
    let mut keeper =
        Keeper { patience, binary, held: Vec::new(), agents: Vec::new(), alone_since: Some(Instant::now()) };
    while let Some(timeout) = keeper.timeout() {
        let mut waiting: Vec<PollFd<'_>> = keeper.agents.iter().map(|agent| readable(agent.as_fd())).collect();
        waiting.push(readable(listener.as_fd()));
        if poll(&mut waiting, timeout).is_err() {
            continue;
        }
        let ready: Vec<bool> = waiting.iter().map(|one| one.any().unwrap_or(true)).collect();
        let agents = keeper.agents.len();
        // From the last to the first, so that removing one leaves the numbers of the others.
        for index in (0..agents).rev().filter(|index| ready[*index]) {
            match keeper.hear(index) {
                Ok(Next::Go) => {}
                Ok(Next::End) => return,
                Err(_gone) => drop(keeper.agents.swap_remove(index)),
            }
        }
        if ready[agents] {
            keeper.welcome(listener);
        }
    }
}

fn readable(fd: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::new(fd, PollFlags::POLLIN)
}

enum Next {
    Go,
    End,
}

struct Keeper {
    patience: Duration,
    binary: Binary,
    held: Vec<(Held, OwnedFd)>,
    agents: Vec<Socket>,
    alone_since: Option<Instant>,
}

impl Keeper {
    /// How long to wait for somebody; `None` when no agent has come in time.
    fn timeout(&mut self) -> Option<PollTimeout> {
        if !self.agents.is_empty() {
            self.alone_since = None;
            return Some(PollTimeout::NONE);
        }
        let since = *self.alone_since.get_or_insert_with(Instant::now);
        let left = self.patience.checked_sub(since.elapsed())?;
        // Rounded up: waiting for nothing would be a loop.
        Some(PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX))
    }

    fn welcome(&mut self, listener: &Socket) {
        let Ok((agent, _)) = listener.accept() else { return };
        let is_fine = passing::is_root(&agent).unwrap_or(false)
            && self.agents.len() < AGENTS_MAX
            && agent.set_write_timeout(Some(SEND_PATIENCE)).is_ok();
        if is_fine {
            self.agents.push(agent);
        }
    }

    /// Does what an agent says.
    fn hear(&mut self, index: usize) -> io::Result<Next> {
        let agent = &self.agents[index];
        let mut bytes = [0; message::BYTES];
        let (count, socket) = passing::receive(agent, &mut bytes)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match (Ask::decode(&bytes), socket) {
            (Some(Ask::Hello { patience }), _) => {
                self.patience = patience;
                self.end_answer(index)?;
            }
            (Some(Ask::Hold(key)), Some(socket)) if self.held.len() < HELD_MAX => self.held.push((key, socket)),
            (Some(Ask::Settle { namespace, generation }), _) => {
                self.held.retain(|(key, _)| key.namespace != namespace || key.generation == generation);
            }
            (Some(Ask::Forget { namespace }), _) => self.held.retain(|(key, _)| key.namespace != namespace),
            (Some(Ask::List), _) => {
                for (key, socket) in &self.held {
                    passing::send(agent, &Answer::Held(*key).encode(), Some(socket.as_fd()))?;
                }
                self.end_answer(index)?;
            }
            (Some(Ask::Stop), _) => {
                self.held.clear();
                let _ = self.end_answer(index);
                return Ok(Next::End);
            }
            // Of a later version, or there is no room.
            (Some(Ask::Hold(_)) | None, _) => {}
        }
        Ok(Next::Go)
    }

    fn end_answer(&self, index: usize) -> io::Result<()> {
        passing::send(&self.agents[index], &Answer::End(self.binary).encode(), None)
    }
}
