//! Sockets made inside a pod's network namespace: listeners for captured connections, and the
//! agent's own connections, which leave from the pod's address.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsRawFd, RawFd},
};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::Netns;

/// Pending connections of a captured listener (`listen(2)`; the kernel caps it at `somaxconn`).
const BACKLOG: i32 = 4096;

/// `IPV6_TRANSPARENT` (linux/in6.h, Linux 2.6.37).
const IPV6_TRANSPARENT: libc::c_int = 75;

/// Source ports of connections to applications. A connection made in a client's name must not have the ports of one the
/// client made itself: the pod has both ends of the one and an end of the other, and a SYN of either would go to the
/// other's socket. Clients choose ports above 32767 (`ip_local_port_range`), address translation ones above 1023 for
/// them (Linux, `nf_nat_l4proto_unique_tuple`; kube-proxy's masquerade has it choose at random): below is free. They
/// are free again one second after their use, since the sockets are bound to `lo` (`tcp_tw_reuse` = 2, Linux 4.19).
pub const APPLICATION_PORTS: std::ops::Range<u16> = 1..1024;

/// Source ports where one client address has taken most of [`APPLICATION_PORTS`]: free unless the client is behind
/// address translation.
pub const MORE_APPLICATION_PORTS: std::ops::Range<u16> = 1024..32768;

/// Opens a listener for captured connections: any address is local to it (`IP_TRANSPARENT`), and
/// `getsockname` on an accepted connection is the address the client dialled.
///
/// `port` is shared by the workers, and by agents of which one follows the other (`SO_REUSEPORT`); connections come by
/// socket lookup, never by it.
///
/// # Errors
/// The failing call's error.
pub fn listen_transparent(netns: &Netns, port: u16) -> io::Result<std::net::TcpListener> {
    netns.enter(|| {
        let socket = match tcp_socket(Domain::IPV6) {
            Ok(socket) => {
                socket.set_only_v6(false)?;
                set_option(&socket, libc::SOL_IPV6, IPV6_TRANSPARENT, 1)?;
                socket
            }
            // The namespace has no IPv6 (ipv6.disable=1).
            Err(_) => tcp_socket(Domain::IPV4)?,
        };
        set_option(&socket, libc::SOL_IP, libc::IP_TRANSPARENT, 1)?;
        bind_and_listen(socket, port)
    })?
}

/// Opens an ordinary dual-stack listener inside the namespace. Another agent may have the same one: between them
/// connections are shared until one closes its own.
///
/// # Errors
/// The failing call's error, `AddrInUse` when the pod uses the port itself.
pub fn listen_plain(netns: &Netns, port: u16) -> io::Result<std::net::TcpListener> {
    netns.enter(|| {
        let socket = match tcp_socket(Domain::IPV6) {
            Ok(socket) => {
                socket.set_only_v6(false)?;
                socket
            }
            Err(_) => tcp_socket(Domain::IPV4)?,
        };
        bind_and_listen(socket, port)
    })?
}

fn bind_and_listen(socket: Socket, port: u16) -> io::Result<std::net::TcpListener> {
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    let any: IpAddr = match socket.domain()? {
        Domain::IPV6 => Ipv6Addr::UNSPECIFIED.into(),
        _ => Ipv4Addr::UNSPECIFIED.into(),
    };
    socket.bind(&SockAddr::from(SocketAddr::new(any, port)))?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// A socket inside the pod that will dial `destination`, not yet connected, non-blocking.
///
/// # Errors
/// The failing call's error.
pub fn upstream(netns: &Netns, destination: SocketAddr) -> io::Result<Socket> {
    netns.enter(|| {
        let socket = tcp_socket(Domain::for_address(destination))?;
        socket.set_tcp_nodelay(true)?;
        Ok(socket)
    })?
}

/// How the port of a connection to an application is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortUse {
    /// It is nobody else's: not even of a connection that is on its way out, whichever worker or agent had it.
    Alone,
    /// Beside others, as long as the four numbers of the connection are free: shows at the connect.
    Shared,
}

/// A socket inside the pod that will dial the pod's own application in the name of `client`: bound
/// to the client's address (it need not be local: `IP_TRANSPARENT`) and to the first of `ports` that is free for `port_use`,
/// marked so that the application's answers come back to it. `by_loopback` binds it to `lo`: its packets are then
/// told from those that come from outside. For addresses that are not the pod's own only.
///
/// # Errors
/// The failing call's error; `AddrInUse` when none of the ports is free.
pub fn application(
    netns: &Netns,
    client: IpAddr,
    (mut ports, port_use): (impl Iterator<Item = u16>, PortUse),
    mark: u32,
    by_loopback: bool,
) -> io::Result<(Socket, u16)> {
    netns.enter(|| {
        let (domain, level, option) = match client {
            IpAddr::V4(_) => (Domain::IPV4, libc::SOL_IP, libc::IP_TRANSPARENT),
            IpAddr::V6(_) => (Domain::IPV6, libc::SOL_IPV6, IPV6_TRANSPARENT),
        };
        let socket = tcp_socket(domain)?;
        set_option(&socket, level, option, 1)?;
        socket.set_mark(mark)?;
        if by_loopback {
            socket.bind_device(Some(b"lo"))?;
        }
        socket.set_reuse_address(port_use == PortUse::Shared)?;
        socket.set_tcp_nodelay(true)?;
        let port = ports.find_map(|port| match socket.bind(&SockAddr::from(SocketAddr::new(client, port))) {
            Ok(()) => Some(Ok(port)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => None,
            Err(error) => Some(Err(error)),
        });
        let port = port.unwrap_or_else(|| Err(io::ErrorKind::AddrInUse.into()))?;
        // The pod's own servers may listen on that port all the same, if they allow reuse as servers do.
        socket.set_reuse_address(true)?;
        Ok((socket, port))
    })?
}

/// Connects and hands the socket to the runtime.
///
/// # Errors
/// The connect's error, as the application would have seen it.
pub async fn connect(socket: Socket, destination: SocketAddr) -> io::Result<tokio::net::TcpStream> {
    match socket.connect(&SockAddr::from(destination)) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        Err(error) => return Err(error),
    }
    let stream = tokio::net::TcpStream::from_std(socket.into())?;
    stream.writable().await?;
    match stream.take_error()? {
        Some(error) => Err(error),
        None => Ok(stream),
    }
}

/// Bytes that were written to a TCP socket and that its peer's kernel has not acknowledged (`SIOCOUTQ`, tcp(7)).
///
/// # Errors
/// The system's.
pub fn unacknowledged(socket: &impl AsRawFd) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the call fills one int that outlives it.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if result == 0 { Ok(usize::try_from(bytes).unwrap_or(0)) } else { Err(io::Error::last_os_error()) }
}

/// Makes closing the socket send a reset instead of a FIN: what a client without mesh would see.
pub fn reset_on_close(connection: &impl ResetOnClose) {
    connection.reset_on_close();
}

/// What can end abruptly.
pub trait ResetOnClose {
    /// Makes closing it a reset.
    fn reset_on_close(&self);
}

impl<S: AsRawFd> ResetOnClose for S {
    fn reset_on_close(&self) {
        linger_zero(self.as_raw_fd());
    }
}

fn linger_zero(fd: RawFd) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    // SAFETY: the option reads one `linger` that outlives the call.
    unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            size_of::<libc::linger>() as libc::socklen_t,
        );
    }
}

fn tcp_socket(domain: Domain) -> io::Result<Socket> {
    Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))
}

fn set_option(socket: &Socket, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let fd: RawFd = socket.as_raw_fd();
    // SAFETY: the option reads one int that outlives the call.
    let result = unsafe {
        libc::setsockopt(fd, level, option, (&raw const value).cast(), size_of::<libc::c_int>() as libc::socklen_t)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
