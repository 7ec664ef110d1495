//! What users hold: a stream that reads and writes like a connection.

use std::{
    cell::{Cell, RefCell},
    io,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{SEND_BUFFER_BYTES, state::State};

/// One stream of a shared connection. Dropping it closes it, as closing a socket would.
#[derive(Debug)]
pub struct MuxStream {
    state: Rc<RefCell<State>>,
    id: u32,
    local: Option<SocketAddr>,
    abort: Cell<bool>,
}

impl MuxStream {
    pub(super) fn new(state: Rc<RefCell<State>>, id: u32, local: Option<SocketAddr>) -> Self {
        Self { state, id, local, abort: Cell::new(false) }
    }

    /// Makes dropping the stream reset it, whatever was not sent yet.
    pub fn reset_on_drop(&self) {
        self.abort.set(true);
    }

    /// Has none of what was written left for the peer? Then nobody has seen it, however the stream ended.
    pub fn is_unsent(&self) -> bool {
        self.state.borrow().streams.get(&self.id).is_some_and(|stream| !stream.was_sent)
    }

    /// Our own address of the shared connection.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.local
    }
}

fn reset() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

impl AsyncRead for MuxStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state.borrow_mut();
        let Some(stream) = state.streams.get_mut(&self.id) else { return Poll::Ready(Err(reset())) };
        if !stream.received.is_empty() {
            state.take_received(self.id, buf);
            return Poll::Ready(Ok(()));
        }
        if stream.reset {
            return Poll::Ready(Err(reset()));
        }
        if stream.receive_ended {
            return Poll::Ready(Ok(()));
        }
        stream.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl AsyncWrite for MuxStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.state.borrow_mut();
        let Some(stream) = state.streams.get_mut(&self.id) else { return Poll::Ready(Err(reset())) };
        if stream.reset {
            return Poll::Ready(Err(reset()));
        }
        if stream.send_ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = SEND_BUFFER_BYTES.saturating_sub(stream.sending.len());
        if room == 0 {
            stream.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let length = room.min(buf.len());
        stream.sending.extend_from_slice(&buf[..length]);
        state.make_ready(self.id);
        Poll::Ready(Ok(length))
    }

    /// The driver sends as soon as it has its turn: nothing to push.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state.borrow_mut();
        let Some(stream) = state.streams.get_mut(&self.id) else { return Poll::Ready(Ok(())) };
        if !stream.send_ended && !stream.reset {
            stream.send_ended = true;
            state.make_ready(self.id);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for MuxStream {
    fn drop(&mut self) {
        self.state.borrow_mut().drop_stream(self.id, self.abort.get());
    }
}
