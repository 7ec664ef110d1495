//! The connection that streams share: one task reads and writes it for all of them.

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BufMut, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    frame::{HEADER_BYTES, Header},
    state::{State, broken},
    stream::MuxStream,
};

/// Bytes read at once: four full TLS records.
const READ_BYTES: usize = 64 * 1024;

/// The client's handle on a connection: opens streams.
#[derive(Clone, Debug)]
pub struct Opener {
    state: Rc<RefCell<State>>,
    local: Option<SocketAddr>,
}

impl Opener {
    /// A new stream; `None` when the connection is full, going away or gone.
    pub fn open(&self) -> Option<MuxStream> {
        let id = self.state.borrow_mut().open()?;
        Some(MuxStream::new(self.state.clone(), id, self.local))
    }

    /// Can it still open streams?
    pub fn is_open(&self) -> bool {
        let state = self.state.borrow();
        !state.closed && !state.going_away
    }

    /// Is no stream open? Such a connection may be closed.
    pub fn is_idle(&self) -> bool {
        self.state.borrow().streams.is_empty()
    }

    /// Ends the connection once its streams have.
    pub fn go_away(&self) {
        let mut state = self.state.borrow_mut();
        state.going_away = true;
        state.wake_driver();
    }
}

/// The server's handle on a connection: takes streams that the client opens.
#[derive(Debug)]
pub struct Acceptor {
    state: Rc<RefCell<State>>,
    local: Option<SocketAddr>,
}

impl Acceptor {
    /// The next stream; `None` when the connection has ended.
    pub async fn accept(&mut self) -> Option<MuxStream> {
        poll_fn(|cx| {
            let mut state = self.state.borrow_mut();
            if let Some(id) = state.opened.pop_front() {
                return Poll::Ready(Some(MuxStream::new(self.state.clone(), id, self.local)));
            }
            if state.closed {
                return Poll::Ready(None);
            }
            state.acceptor = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Is no stream open?
    pub fn is_idle(&self) -> bool {
        self.state.borrow().streams.is_empty()
    }

    /// Tells the client to open no more streams here. Those it opened before it heard so are still served.
    pub fn go_away(&self) {
        self.state.borrow_mut().go_away();
    }
}

/// A client's connection: the handle, and the future that moves its bytes until it ends.
pub fn client<T>(io: T, local: Option<SocketAddr>) -> (Opener, impl Future<Output = io::Result<()>>)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let state = Rc::new(RefCell::new(State::for_client()));
    (Opener { state: state.clone(), local }, Driver::new(io, state).run())
}

/// A server's connection, likewise.
pub fn server<T>(io: T, local: Option<SocketAddr>) -> (Acceptor, impl Future<Output = io::Result<()>>)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let state = Rc::new(RefCell::new(State::default()));
    (Acceptor { state: state.clone(), local }, Driver::new(io, state).run())
}

struct Driver<T> {
    io: T,
    state: Rc<RefCell<State>>,
    input: BytesMut,
    output: BytesMut,
    needs_flush: bool,
}

/// Ends all streams when the driver ends, also when it is dropped in the middle.
impl<T> Drop for Driver<T> {
    fn drop(&mut self) {
        self.state.borrow_mut().close();
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Driver<T> {
    fn new(io: T, state: Rc<RefCell<State>>) -> Self {
        Self { io, state, input: BytesMut::new(), output: BytesMut::new(), needs_flush: false }
    }

    async fn run(mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let written = loop {
            // Reads first: what arrived may free credit and make streams ready to send.
            if self.poll_read(cx)?.is_ready() {
                // What was not sent yet stays unsent, and its users may say it elsewhere.
                return Poll::Ready(Ok(()));
            }
            let was_congested = self.state.borrow().is_congested();
            let written = self.poll_write(cx)?;
            if !was_congested || self.state.borrow().is_congested() {
                break written;
            }
        };
        let mut state = self.state.borrow_mut();
        if written.is_ready() && state.is_client && state.going_away && state.streams.is_empty() {
            return Poll::Ready(Ok(()));
        }
        state.driver = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Reads until there is nothing to read, or the answers to it pile up. Ready: the peer has ended.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.state.borrow().is_congested() {
                return Poll::Pending;
            }
            self.input.reserve(READ_BYTES);
            let length = {
                let spare = self.input.chunk_mut();
                let length = spare.len().min(READ_BYTES);
                // SAFETY: `ReadBuf` only writes to the slice; what it filled is advanced over below.
                let mut buffer = ReadBuf::uninit(unsafe { &mut spare.as_uninit_slice_mut()[..length] });
                match Pin::new(&mut self.io).poll_read(cx, &mut buffer)? {
                    Poll::Ready(()) => buffer.filled().len(),
                    Poll::Pending => {
                        if self.input.is_empty() {
                            self.input = BytesMut::new();
                        }
                        return Poll::Pending;
                    }
                }
            };
            // SAFETY: that many bytes were just filled.
            unsafe { self.input.advance_mut(length) };
            if length == 0 {
                return if self.input.is_empty() {
                    Poll::Ready(Ok(()))
                } else {
                    Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()))
                };
            }
            self.dispatch()?;
        }
    }

    fn dispatch(&mut self) -> io::Result<()> {
        let mut state = self.state.borrow_mut();
        loop {
            let header = Header::parse(&self.input).map_err(|error| broken(error.to_string()))?;
            let Some(header) = header else { return Ok(()) };
            let Some(payload) = self.input.get(HEADER_BYTES..HEADER_BYTES + header.length) else { return Ok(()) };
            state.receive(header, payload)?;
            self.input.advance(HEADER_BYTES + header.length);
        }
    }

    /// Writes until there is nothing to write.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.output.is_empty() {
                self.state.borrow_mut().gather(&mut self.output);
            }
            if self.output.is_empty() {
                if self.needs_flush {
                    ready!(Pin::new(&mut self.io).poll_flush(cx))?;
                    self.needs_flush = false;
                }
                self.output = BytesMut::new();
                return Poll::Ready(Ok(()));
            }
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, &self.output))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.output.advance(written);
            self.needs_flush = true;
        }
    }
}

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
