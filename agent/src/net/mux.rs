//! Many byte streams on one connection: what two weft peers agree on by ALPN ([`ALPN`]).
//!
//! A proxy's cost is sends and wake-ups, so the requests from one pod to one other pod share one mTLS
//! connection, and everything that became ready in one turn of the loop leaves in one write. A stream
//! behaves like a connection of its own: bytes in order, half-close, reset, and flow control, so that a
//! reader who stops holds up nobody but its own sender.
//!
//! The wire (version 1). Every frame has a header of [`frame::HEADER_BYTES`] bytes: payload length
//! (u16), kind (u8), zero (u8), stream (u32), big-endian. The client opens streams by sending on a number
//! higher than all before. Kinds: DATA carries bytes, END says that no more follow, RESET ends a stream in
//! both directions, WINDOW (u32) lets the peer send that many bytes more, GOAWAY says that no new stream
//! will be served. Each direction of a stream begins with [`WINDOW_BYTES`] of credit. A frame that breaks
//! these rules ends the connection: between two peers that proved who they are, that is a bug, not an
//! attack to be survived stream by stream.
//!
//! Which requests share a connection is the data plane's choice (`dataplane/shared_connections.rs`).
//!
//! [`session`] owns the connection, [`stream`] is what users hold, [`frame`] the bytes.

pub mod frame;
pub mod session;
mod state;
pub mod stream;

pub use session::{Acceptor, Opener, client, server};
pub use stream::MuxStream;

/// Protocol name in the TLS handshake.
pub const ALPN: &[u8] = b"weft-mux/1";

/// Credit of each direction of a stream: bytes a receiver may have to keep for one stream.
pub const WINDOW_BYTES: usize = 64 * 1024;

/// Bytes of one stream that wait to be sent.
pub const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// Most streams of one connection; further ones get a connection of their own.
pub const STREAMS_MAX: usize = 1024;

#[cfg(test)]
mod tests;
