//! One byte stream, in the clear or under TLS, as the relays see it.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::{
    mux::MuxStream,
    socket::{self, ResetOnClose},
};

/// A stream whose first bytes were already read, to find out what it speaks.
#[derive(Debug)]
pub struct Rewound<T = TcpStream> {
    first: Bytes,
    inner: T,
}

impl<T> Rewound<T> {
    /// Puts `first` back in front of `inner`.
    pub fn new(first: Bytes, inner: T) -> Self {
        Self { first, inner }
    }
}

impl Rewound {
    /// The socket below.
    pub fn tcp(&self) -> &TcpStream {
        &self.inner
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Rewound<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.inner).poll_read(cx, buf);
        }
        let length = self.first.len().min(buf.remaining());
        buf.put_slice(&self.first[..length]);
        self.first.advance(length);
        if self.first.is_empty() {
            self.first = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Rewound<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// One end of a relay.
#[derive(Debug)]
pub enum Stream {
    /// In the clear.
    Plain(Rewound),
    /// TLS, we dialled.
    Client(Box<tokio_rustls::client::TlsStream<TcpStream>>),
    /// TLS, we were dialled.
    Server(Box<tokio_rustls::server::TlsStream<Rewound>>),
    /// One of many on a connection that two weft peers share.
    Mux(MuxStream),
}

impl Stream {
    /// A stream in the clear of which nothing was read yet.
    pub fn plain(inner: TcpStream) -> Self {
        Self::Plain(Rewound::new(Bytes::new(), inner))
    }

    /// Our own address of the connection.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Plain(stream) => stream.inner.local_addr().ok(),
            Self::Client(stream) => stream.get_ref().0.local_addr().ok(),
            Self::Server(stream) => stream.get_ref().0.inner.local_addr().ok(),
            Self::Mux(stream) => stream.local_addr(),
        }
    }

    /// The peer has ended, by `error` or in order: did it do so before it could see any of the last `sent` bytes?
    ///
    /// Under TLS it says so itself: who ends with `close_notify` instead of an answer ends a connection on which it
    /// had nothing to answer, and takes no more; a process that dies does not say it. In the clear, the end of its side
    /// acknowledges what had arrived before it: when none of those bytes is acknowledged, nobody has read one. A stream of
    /// a shared connection knows whether any of its bytes were handed to that.
    pub fn ended_before(&self, sent: usize, error: Option<&io::Error>) -> bool {
        match self {
            Self::Mux(stream) => stream.is_unsent(),
            _ if error.is_some() => false,
            Self::Client(_) | Self::Server(_) => true,
            Self::Plain(stream) => socket::unacknowledged(&stream.inner).is_ok_and(|bytes| bytes >= sent),
        }
    }

    /// Reads into spare room of `buf`, at most `limit` bytes; 0 means that the peer has ended.
    ///
    /// A TLS peer that closes without saying so (`close_notify`) counts as having ended when
    /// `lenient`: HTTP knows its own ends, opaque bytes do not (RFC 8446 section 6.1).
    pub fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut bytes::BytesMut,
        limit: usize,
    ) -> Poll<io::Result<usize>> {
        use bytes::BufMut;
        buf.reserve(limit);
        let length = {
            let spare = buf.chunk_mut();
            let length = spare.len().min(limit);
            // SAFETY: `ReadBuf` only writes to the slice; what it initialised is advanced over below.
            let slice = unsafe { &mut spare.as_uninit_slice_mut()[..length] };
            let mut read = ReadBuf::uninit(slice);
            ready!(Pin::new(self).poll_read(cx, &mut read))?;
            read.filled().len()
        };
        // SAFETY: that many bytes were just filled.
        unsafe { buf.advance_mut(length) };
        Poll::Ready(Ok(length))
    }
}

impl ResetOnClose for Stream {
    fn reset_on_close(&self) {
        match self {
            Self::Plain(stream) => stream.inner.reset_on_close(),
            Self::Client(stream) => stream.get_ref().0.reset_on_close(),
            Self::Server(stream) => stream.get_ref().0.inner.reset_on_close(),
            // The connection below belongs to other streams, too.
            Self::Mux(stream) => stream.reset_on_drop(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Client(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Server(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Mux(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Client(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Server(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Mux(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Client(stream) => Pin::new(stream).poll_flush(cx),
            Self::Server(stream) => Pin::new(stream).poll_flush(cx),
            Self::Mux(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Client(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Server(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Mux(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests;
