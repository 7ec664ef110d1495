//! The stream below an HTTP/2 connection: what was read while sniffing comes first, and frames leave together.
//!
//! A connection writes frame by frame and flushes once it has nothing more to say; gathered until then, the frames of all its
//! streams cost one system call and, under TLS, few records.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::stream::{Rewound, Stream};

/// Bytes gathered before they are written without being asked to.
const GATHERED_BYTES_MAX: usize = 64 * 1024;

/// Memory for gathering that an idle connection keeps.
const KEPT_BYTES: usize = 4 * 1024;

/// A stream for the `h2` crate.
pub(super) struct Transport {
    stream: Rewound<Stream>,
    gathered: Vec<u8>,
    written: usize,
}

impl Transport {
    /// `first` was read from `stream` already.
    pub(super) fn new(stream: Stream, first: Bytes) -> Self {
        Self { stream: Rewound::new(first, stream), gathered: Vec::new(), written: 0 }
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.gathered.len() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, &self.gathered[self.written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
        }
        self.written = 0;
        self.gathered.clear();
        if self.gathered.capacity() > KEPT_BYTES {
            self.gathered = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Transport {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Transport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.gathered.len() >= GATHERED_BYTES_MAX {
            ready!(self.poll_drain(cx))?;
        }
        let length = buf.len().min(GATHERED_BYTES_MAX - self.gathered.len());
        self.gathered.extend_from_slice(&buf[..length]);
        Poll::Ready(Ok(length))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
