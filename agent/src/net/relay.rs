//! Copies bytes between two streams, both ways at once, with bounded memory and half-close.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use tokio::io::AsyncWrite;

use super::stream::Stream;

/// Bytes in flight in one direction: enough for four full TLS records (RFC 8446 section 5.1).
pub const BUFFER_BYTES: usize = 64 * 1024;

/// Which end failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The one that dialled us.
    Downstream,
    /// The one we dialled.
    Upstream,
}

/// How a relay failed.
#[derive(Debug)]
pub struct Broken {
    /// At which end.
    pub end: End,
    /// Why.
    pub error: io::Error,
}

/// Two streams being relayed. Dropping it closes both.
pub struct Relay {
    /// The one that dialled us.
    pub downstream: Stream,
    /// The one we dialled.
    pub upstream: Stream,
    up: Pipe,
    down: Pipe,
}

impl Relay {
    /// A relay; `to_upstream` and `to_downstream` are bytes already read from the other side.
    pub fn new(downstream: Stream, upstream: Stream, to_upstream: BytesMut, to_downstream: BytesMut) -> Self {
        Self { downstream, upstream, up: Pipe::new(to_upstream), down: Pipe::new(to_downstream) }
    }

    /// Bytes moved so far: (from downstream to upstream, from upstream to downstream).
    pub fn moved(&self) -> (u64, u64) {
        (self.up.moved, self.down.moved)
    }

    /// Relays until both directions have ended. Cancel-safe: it can be polled again after a pause.
    ///
    /// # Errors
    /// The first failure of either end; the caller passes it on to the other one as a reset.
    pub async fn run(&mut self) -> Result<(), Broken> {
        poll_fn(|cx| self.poll_both(cx)).await
    }

    fn poll_both(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        use End::{Downstream, Upstream};
        let up = self.up.poll(cx, &mut self.downstream, &mut self.upstream);
        if let Poll::Ready(Err(failed)) = up {
            return Poll::Ready(Err(failed.between(Downstream, Upstream)));
        }
        let down = self.down.poll(cx, &mut self.upstream, &mut self.downstream);
        if let Poll::Ready(Err(failed)) = down {
            return Poll::Ready(Err(failed.between(Upstream, Downstream)));
        }
        if up.is_ready() && down.is_ready() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

/// A failure of one direction, before it is known which direction.
enum Failed {
    Reading(io::Error),
    Writing(io::Error),
}

impl Failed {
    fn between(self, from: End, to: End) -> Broken {
        match self {
            Self::Reading(error) => Broken { end: from, error },
            Self::Writing(error) => Broken { end: to, error },
        }
    }
}

/// One direction.
struct Pipe {
    buffer: BytesMut,
    source_ended: bool,
    finished: bool,
    needs_flush: bool,
    moved: u64,
}

impl Pipe {
    fn new(buffer: BytesMut) -> Self {
        Self { buffer, source_ended: false, finished: false, needs_flush: false, moved: 0 }
    }

    /// Moves what can be moved; ready when the source has ended and its end was passed on.
    fn poll(&mut self, cx: &mut Context<'_>, from: &mut Stream, to: &mut Stream) -> Poll<Result<(), Failed>> {
        if self.finished {
            return Poll::Ready(Ok(()));
        }
        loop {
            while !self.buffer.is_empty() {
                let written = ready!(Pin::new(&mut *to).poll_write(cx, &self.buffer)).map_err(Failed::Writing)?;
                if written == 0 {
                    return Poll::Ready(Err(Failed::Writing(io::ErrorKind::WriteZero.into())));
                }
                self.buffer.advance(written);
                self.moved += written as u64;
                self.needs_flush = true;
            }
            if self.source_ended {
                ready!(Pin::new(&mut *to).poll_shutdown(cx)).map_err(Failed::Writing)?;
                self.finished = true;
                return Poll::Ready(Ok(()));
            }
            match from.poll_fill(cx, &mut self.buffer, BUFFER_BYTES) {
                Poll::Ready(Ok(0)) => self.source_ended = true,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Failed::Reading(error))),
                Poll::Pending => {
                    // An idle connection holds no buffer: its memory is what the kernel keeps.
                    self.buffer = BytesMut::new();
                    if self.needs_flush {
                        ready!(Pin::new(&mut *to).poll_flush(cx)).map_err(Failed::Writing)?;
                        self.needs_flush = false;
                    }
                    return Poll::Pending;
                }
            }
        }
    }
}
