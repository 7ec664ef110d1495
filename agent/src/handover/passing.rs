//! Unix sockets between processes of weft: made for root alone, and descriptors passed over them.

use std::{
    fs,
    io::{self, IoSlice, IoSliceMut},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::fs::PermissionsExt,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, getsockopt, recvmsg, sendmsg, sockopt::PeerCredentials,
};
use socket2::{Domain, SockAddr, Socket, Type};

/// Who may connect: the owner's user alone.
const MODE: u32 = 0o600;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 16;

/// Listens on a new socket at `path`, which must be free.
///
/// # Errors
/// The file system's, or the path is too long for a socket.
pub fn listen(path: &Path, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, kind, None)?;
    socket.bind(&SockAddr::unix(path)?)?;
    // Nobody can connect before it listens, so nobody can before its mode is set.
    fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// A name beside `path`, of this process alone: a socket is made there and gets its name when it is ready.
pub fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!("-{}", std::process::id()));
    name.into()
}

/// Connects to the socket at `path`; reads and writes give up after `patience`. `None`: nobody listens there.
///
/// # Errors
/// Any other failure to connect.
pub fn connect(path: &Path, kind: Type, patience: Duration) -> io::Result<Option<Socket>> {
    let socket = Socket::new(Domain::UNIX, kind, None)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Ok(()) => {}
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    }
    socket.set_read_timeout(Some(patience))?;
    socket.set_write_timeout(Some(patience))?;
    Ok(Some(socket))
}

/// Does the other end belong to root?
///
/// # Errors
/// The system's.
pub fn is_root(socket: &impl AsFd) -> io::Result<bool> {
    Ok(getsockopt(socket, PeerCredentials)?.uid() == 0)
}

/// Sends `bytes` at once, with a descriptor: the receiver gets a copy of it.
///
/// # Errors
/// The system's; nobody is killed by a broken pipe.
pub fn send(socket: &impl AsFd, bytes: &[u8], descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let raw: Vec<RawFd> = descriptor.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let control = if raw.is_empty() { &rights[..0] } else { &rights[..] };
    let fd = socket.as_fd().as_raw_fd();
    let sent = sendmsg::<()>(fd, &[IoSlice::new(bytes)], control, MsgFlags::MSG_NOSIGNAL, None)?;
    if sent == bytes.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Receives what one [`send`] sent: the number of bytes, 0 at the end, and the descriptor.
///
/// # Errors
/// The system's; [`io::ErrorKind::QuotaExceeded`] when this process may have no more descriptors.
pub fn receive(socket: &impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut control = nix::cmsg_space!([RawFd; 1]);
    let mut parts = [IoSliceMut::new(buffer)];
    let fd = socket.as_fd().as_raw_fd();
    let message = recvmsg::<()>(fd, &mut parts, Some(&mut control), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let is_cut = message.flags.contains(MsgFlags::MSG_CTRUNC);
    let mut received = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = control {
            // SAFETY: the kernel has just made these descriptors for this process; nobody else knows them.
            received.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    if is_cut {
        return Err(io::Error::new(io::ErrorKind::QuotaExceeded, "no room for another descriptor (ulimit -n)"));
    }
    Ok((message.bytes, received.pop()))
}
