//! What is on the wire: an AF_PACKET socket inside a pod's network namespace, as `tcpdump` would open it.
//!
//! Made by `Place::capture`. A thread empties the socket while the capture lives; each question empties it once more first, so that
//! whatever a peer has already received is part of the answer.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Protocol, Socket, Type};

use crate::netns::Netns;

/// The kernel may hold this much (bookkeeping included) while the thread is not running.
const KERNEL_BUFFER: libc::c_int = 64 * 1024 * 1024;
/// Packets kept; later ones are dropped, and [`Capture::packets`] says so by panicking rather than by missing some.
const MAX_PACKETS: usize = 1_000_000;
/// How often the thread looks whether the capture has ended, in milliseconds.
const TICK: u16 = 50;

/// One TCP segment or UDP datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Sender.
    pub source: SocketAddr,
    /// Receiver.
    pub destination: SocketAddr,
    /// TCP flags byte (FIN 1, SYN 2, RST 4, PSH 8, ACK 16); 0 for UDP.
    pub flags: u8,
    /// TCP sequence number; 0 for UDP.
    pub sequence: u32,
    /// What it carries.
    pub payload: Vec<u8>,
}

impl Packet {
    /// Whether this segment opens a connection (SYN without ACK).
    pub fn is_syn(&self) -> bool {
        self.flags & 0x12 == 0x02
    }

    /// Whether this segment resets one.
    pub fn is_reset(&self) -> bool {
        self.flags & 0x04 != 0
    }
}

/// A running capture; ends when dropped.
#[derive(Debug)]
pub struct Capture {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    socket: Socket,
    loopback: bool,
    port: u16,
    packets: Mutex<Vec<Packet>>,
    ended: AtomicBool,
}

impl Capture {
    pub(crate) fn start(netns: &Netns, device: &str, port: u16) -> Result<Self> {
        let socket = netns.run(|| open(device))?.with_context(|| format!("opening a packet socket on {device}"))?;
        let shared = Arc::new(Shared {
            socket,
            loopback: device == "lo",
            port,
            packets: Mutex::new(Vec::new()),
            ended: AtomicBool::new(false),
        });
        let reader = Arc::clone(&shared);
        let thread = std::thread::spawn(move || reader.follow());
        Ok(Self { shared, thread: Some(thread) })
    }

    /// All packets so far, in order.
    pub fn packets(&self) -> Vec<Packet> {
        self.shared.empty_socket();
        let packets = self.shared.packets.lock().unwrap_or_else(PoisonError::into_inner).clone();
        assert!(packets.len() < MAX_PACKETS, "a capture holds {MAX_PACKETS} packets at most: capture less");
        packets
    }

    /// The payloads of all packets that have one.
    pub fn payloads(&self) -> Vec<Vec<u8>> {
        self.packets().into_iter().map(|packet| packet.payload).filter(|payload| !payload.is_empty()).collect()
    }

    /// What each sender said to each receiver, put together in order, without retransmissions.
    pub fn streams(&self) -> BTreeMap<(SocketAddr, SocketAddr), Vec<u8>> {
        let mut segments: BTreeMap<(SocketAddr, SocketAddr), BTreeMap<i32, Vec<u8>>> = BTreeMap::new();
        let mut origins = BTreeMap::new();
        for packet in self.packets().into_iter().filter(|packet| !packet.payload.is_empty()) {
            let flow = (packet.source, packet.destination);
            // Positions are relative to the first byte seen, as sequence numbers wrap around.
            let origin = *origins.entry(flow).or_insert(packet.sequence);
            let position = packet.sequence.wrapping_sub(origin).cast_signed();
            segments.entry(flow).or_default().entry(position).or_insert(packet.payload);
        }
        segments.into_iter().map(|(flow, parts)| (flow, parts.into_values().flatten().collect())).collect()
    }

    /// Whether `needle` was said in any direction, also when it was cut into several packets.
    pub fn contains(&self, needle: impl AsRef<[u8]>) -> bool {
        let needle = needle.as_ref();
        assert!(!needle.is_empty(), "every capture contains nothing");
        self.streams().values().any(|stream| stream.windows(needle.len()).any(|window| window == needle))
    }

    /// Forgets what was seen so far.
    pub fn clear(&self) {
        self.shared.empty_socket();
        self.shared.packets.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // It does nothing that could panic.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn follow(&self) {
        while !self.ended.load(Ordering::SeqCst) {
            let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, PollTimeout::from(TICK)).is_ok_and(|ready| ready > 0) {
                self.empty_socket();
            }
        }
    }

    fn empty_socket(&self) {
        let mut packets = self.packets.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = vec![0; 128 * 1024];
        while let Ok((length, outgoing)) = receive(&self.socket, &mut buffer) {
            // On lo each packet is seen leaving and arriving: once is enough.
            if self.loopback && outgoing || packets.len() >= MAX_PACKETS {
                continue;
            }
            let packet = parse(&buffer[..length]);
            packets.extend(packet.filter(|p| p.source.port() == self.port || p.destination.port() == self.port));
        }
    }
}

/// A non-blocking cooked packet socket (it begins with the IP header) bound to `device` of the calling thread's namespace.
fn open(device: &str) -> io::Result<Socket> {
    let name = CString::new(device)?;
    // SAFETY: `name` is a C string that outlives the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index == 0 {
        return Err(io::Error::last_os_error());
    }
    // Without a protocol nothing arrives before the bind below restricts the socket to one device.
    let socket = Socket::new(Domain::PACKET, Type::DGRAM, None::<Protocol>)?;
    socket.set_nonblocking(true)?;
    let size = size_of::<libc::c_int>() as libc::socklen_t;
    let bytes = KERNEL_BUFFER;
    let buffer = (&raw const bytes).cast();
    // SAFETY: `buffer` points to `bytes`, which has `size` bytes and outlives the call.
    if unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, buffer, size) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: all-zero is a valid sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = index.cast_signed();
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the address is initialised, and `length` is its size.
    if unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(socket)
}

/// The length of the next packet, and whether it was leaving.
fn receive(socket: &Socket, buffer: &mut [u8]) -> io::Result<(usize, bool)> {
    // SAFETY: all-zero is a valid sockaddr_ll.
    let mut from: libc::sockaddr_ll = unsafe { zeroed() };
    let mut length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    let (data, from_pointer) = (buffer.as_mut_ptr().cast(), (&raw mut from).cast());
    // SAFETY: both pointers are to memory of the lengths passed, which lives through the call.
    let count = unsafe { libc::recvfrom(socket.as_raw_fd(), data, buffer.len(), 0, from_pointer, &raw mut length) };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    Ok((count, from.sll_pkttype == libc::PACKET_OUTGOING))
}

/// Reads IPv4 or IPv6 (without extension headers) with TCP or UDP inside; anything else is `None`.
fn parse(bytes: &[u8]) -> Option<Packet> {
    let (source, destination, protocol, rest) = match bytes.first()? >> 4 {
        4 => {
            let header = usize::from(bytes[0] & 0x0f) * 4;
            let total = usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?));
            // Segments that the kernel has not cut yet may be longer than the field can say: it is 0 then.
            let end = if total == 0 { bytes.len() } else { total.min(bytes.len()) };
            let address =
                |range: std::ops::Range<usize>| Some(IpAddr::from(<[u8; 4]>::try_from(bytes.get(range)?).ok()?));
            (address(12..16)?, address(16..20)?, *bytes.get(9)?, bytes.get(header..end)?)
        }
        6 => {
            let address =
                |range: std::ops::Range<usize>| Some(IpAddr::from(<[u8; 16]>::try_from(bytes.get(range)?).ok()?));
            (address(8..24)?, address(24..40)?, *bytes.get(6)?, bytes.get(40..)?)
        }
        _ => return None,
    };
    let word = |at: usize| Some(u16::from_be_bytes(rest.get(at..at + 2)?.try_into().ok()?));
    let (flags, sequence, header) = match protocol {
        6 => {
            let sequence = u32::from_be_bytes(rest.get(4..8)?.try_into().ok()?);
            (*rest.get(13)?, sequence, usize::from(rest.get(12)? >> 4) * 4)
        }
        17 => (0, 0, 8),
        _ => return None,
    };
    Some(Packet {
        source: SocketAddr::new(source, word(0)?),
        destination: SocketAddr::new(destination, word(2)?),
        flags,
        sequence,
        payload: rest.get(header..)?.to_vec(),
    })
}
