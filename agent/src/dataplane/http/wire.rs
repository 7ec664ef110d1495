//! A connection with the bytes that were read from it and not used yet.

use std::{io, task::Poll};

use bytes::BytesMut;

use crate::net::stream::Stream;

/// A stream and its read buffer.
#[derive(Debug)]
pub struct Wire {
    /// The connection.
    pub stream: Stream,
    /// Bytes read and not used yet.
    pub buffer: BytesMut,
    /// Did it carry an exchange before?
    pub reused: bool,
}

impl AsMut<Wire> for Wire {
    fn as_mut(&mut self) -> &mut Wire {
        self
    }
}

impl Wire {
    /// A wire of which `buffer` was already read.
    pub fn new(stream: Stream, buffer: BytesMut) -> Self {
        Self { stream, buffer, reused: false }
    }

    /// Reads more, `limit` bytes at most; 0 means the peer has ended.
    ///
    /// # Errors
    /// The stream's.
    pub async fn fill(&mut self, limit: usize) -> io::Result<usize> {
        std::future::poll_fn(|cx| self.stream.poll_fill(cx, &mut self.buffer, limit)).await
    }

    /// Is an idle connection still open, with nothing unexpected to read? Bytes or an end that came
    /// while nobody asked make it useless.
    pub fn is_quiet(&mut self) -> bool {
        if !self.buffer.is_empty() {
            return false;
        }
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        matches!(self.stream.poll_fill(&mut cx, &mut self.buffer, 1), Poll::Pending)
    }

    /// Gives the buffer's memory back while nothing is going on.
    pub fn shed(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }
}
