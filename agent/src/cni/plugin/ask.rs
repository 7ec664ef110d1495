//! One question to the agent.

use std::{
    io::{self, BufReader},
    os::unix::net::UnixStream,
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use crate::cni::message::{Answer, Request, read, write};

/// Pause between attempts to reach an agent that is away.
const PAUSE: Duration = Duration::from_millis(100);

/// Asks the agent that listens on `socket`; waits `patience` for one to listen, and then `answer` for what it says.
///
/// # Errors
/// When nobody listens, or answers in time.
pub(super) fn ask(socket: &Path, request: &Request, patience: Duration, answer: Duration) -> io::Result<Answer> {
    let at = |error: io::Error| io::Error::new(error.kind(), format!("{}: {}", socket.display(), words(&error)));
    let stream = connect(socket, patience).map_err(at)?;
    stream.set_read_timeout(Some(answer))?;
    stream.set_write_timeout(Some(answer))?;
    write(&stream, request).map_err(at)?;
    read(BufReader::new(&stream)).map_err(at)
}

fn connect(socket: &Path, patience: Duration) -> io::Result<UnixStream> {
    let end = Instant::now() + patience;
    loop {
        match UnixStream::connect(socket) {
            Err(error) if is_away(&error) && Instant::now() < end => sleep(PAUSE),
            result => return result,
        }
    }
}

/// No socket, or one that nobody has open any more.
fn is_away(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// A timed-out read is `EAGAIN`, whose text would say "resource temporarily unavailable".
fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer in time".to_owned(),
        _ => error.to_string(),
    }
}
