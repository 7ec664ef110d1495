//! Bodies: pieces from one leg to the other, no faster than the receiver takes them.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::Rc,
};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use http::HeaderMap;

use super::mirror::RequestCopy;

/// Bytes of a request that are kept until its answer begins, to be sent again where that is safe.
const REPLAY_BYTES_MAX: usize = 64 * 1024;

/// What comes next of a body.
pub(super) enum Piece {
    /// Some of it; `last`: nothing follows.
    Data { bytes: Bytes, last: bool },
    /// What follows it.
    Trailers(HeaderMap),
    /// Nothing.
    End,
}

/// How a leg broke.
#[derive(Clone, Debug)]
pub(super) enum Broken {
    /// The peer has reset the stream.
    Reset(Reason),
    /// The peer or we found the protocol violated.
    Protocol(String),
    /// The connection ended.
    Connection(String),
}

impl Broken {
    /// The code that tells the other leg's peer the same.
    pub(super) fn reason(&self) -> Reason {
        match self {
            Self::Reset(reason) => *reason,
            Self::Protocol(_) => Reason::PROTOCOL_ERROR,
            Self::Connection(_) => Reason::INTERNAL_ERROR,
        }
    }
}

impl From<h2::Error> for Broken {
    fn from(error: h2::Error) -> Self {
        match error.reason() {
            Some(reason) if error.is_reset() && error.is_remote() => Self::Reset(reason),
            // A GOAWAY, or the end of the connection.
            None | Some(Reason::NO_ERROR) => Self::Connection(error.to_string()),
            Some(_) if error.is_remote() => Self::Connection(error.to_string()),
            Some(_) => Self::Protocol(error.to_string()),
        }
    }
}

/// Where a body comes from.
pub(super) trait Source {
    /// The next piece. May be asked again when the asking was dropped.
    async fn next(&mut self) -> Result<Piece, Broken>;
    /// The receiver has taken that many bytes: the sender may send as many more.
    fn taken(&mut self, bytes: usize);
}

/// Where a body goes.
pub(super) trait Sink {
    /// Waits for room and sends some of `bytes`, from their beginning; returns how many.
    async fn send(&mut self, bytes: &mut Bytes, last: bool) -> Result<usize, Broken>;
    /// Ends the body with trailers.
    async fn trailers(&mut self, trailers: HeaderMap) -> Result<(), Broken>;
    /// Resolves when the receiver wants no more.
    async fn broken(&mut self) -> Broken;
    /// Tells the receiver that the rest never comes.
    fn reset(&mut self, reason: Reason);
}

/// Which end broke.
pub(super) enum PumpError {
    Source(Broken),
    Sink(Broken),
}

/// What passed.
#[derive(Default)]
pub(super) struct Count {
    pub(super) bytes: Cell<u64>,
    pub(super) grpc_status: Cell<Option<u32>>,
}

/// Passes a body to its end.
pub(super) async fn pump(source: &mut impl Source, sink: &mut impl Sink, count: &Count) -> Result<(), PumpError> {
    loop {
        let piece = tokio::select! {
            biased;
            piece = source.next() => piece.map_err(PumpError::Source)?,
            broken = sink.broken() => return Err(PumpError::Sink(broken)),
        };
        match piece {
            Piece::Data { mut bytes, last } => loop {
                let sent = sink.send(&mut bytes, last).await.map_err(PumpError::Sink)?;
                source.taken(sent);
                count.bytes.set(count.bytes.get() + sent as u64);
                if bytes.is_empty() {
                    if last {
                        return Ok(());
                    }
                    break;
                }
            },
            Piece::Trailers(trailers) => {
                count.grpc_status.set(grpc_status(&trailers).or(count.grpc_status.get()));
                return sink.trailers(trailers).await.map_err(PumpError::Sink);
            }
            Piece::End => {
                return sink.send(&mut Bytes::new(), true).await.map(drop).map_err(PumpError::Sink);
            }
        }
    }
}

/// `grpc-status` of a head or of trailers.
pub(super) fn grpc_status(headers: &HeaderMap) -> Option<u32> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

impl Source for RecvStream {
    async fn next(&mut self) -> Result<Piece, Broken> {
        loop {
            match self.data().await {
                // The crate limits them, and nobody behind us needs them.
                Some(Ok(bytes)) if bytes.is_empty() && !self.is_end_stream() => {}
                Some(Ok(bytes)) => return Ok(Piece::Data { bytes, last: self.is_end_stream() }),
                Some(Err(error)) => return Err(error.into()),
                None => break,
            }
        }
        Ok(self.trailers().await?.map_or(Piece::End, Piece::Trailers))
    }

    fn taken(&mut self, bytes: usize) {
        // Never more than was received.
        let _ = self.flow_control().release_capacity(bytes);
    }
}

impl Sink for SendStream<Bytes> {
    async fn send(&mut self, bytes: &mut Bytes, last: bool) -> Result<usize, Broken> {
        if bytes.is_empty() {
            self.send_data(Bytes::new(), last)?;
            return Ok(0);
        }
        self.reserve_capacity(bytes.len());
        let mut room = self.capacity();
        while room == 0 {
            room = match poll_fn(|cx| self.poll_capacity(cx)).await {
                Some(Ok(room)) => room,
                Some(Err(error)) => return Err(error.into()),
                None => return Err(self.broken().await),
            };
        }
        let piece = bytes.split_to(room.min(bytes.len()));
        let length = piece.len();
        self.send_data(piece, last && bytes.is_empty())?;
        Ok(length)
    }

    async fn trailers(&mut self, trailers: HeaderMap) -> Result<(), Broken> {
        Ok(self.send_trailers(trailers)?)
    }

    async fn broken(&mut self) -> Broken {
        match poll_fn(|cx| self.poll_reset(cx)).await {
            Ok(reason) => Broken::Reset(reason),
            Err(error) => error.into(),
        }
    }

    fn reset(&mut self, reason: Reason) {
        self.send_reset(reason);
    }
}

/// What has passed of a request's body, until it is clear that it need not be sent again.
#[derive(Default)]
pub(super) struct Kept {
    pieces: Vec<Bytes>,
    bytes: usize,
    is_given_up: bool,
    /// The next piece to give once more.
    next: usize,
}

impl Kept {
    fn push(&mut self, bytes: &Bytes) {
        self.bytes += bytes.len();
        if self.bytes > REPLAY_BYTES_MAX {
            self.give_up();
        }
        if !self.is_given_up {
            self.pieces.push(bytes.clone());
            self.next = self.pieces.len();
        }
    }

    /// The request will not be begun again: what was kept may go. What is being given once more stays until it is.
    pub(super) fn give_up(&mut self) {
        self.is_given_up = true;
        self.pieces.drain(..self.next);
        self.pieces.shrink_to_fit();
        self.next = 0;
    }

    fn again(&mut self) -> Option<(Bytes, bool)> {
        let bytes = self.pieces.get(self.next)?.clone();
        self.next += 1;
        Some((bytes, self.next == self.pieces.len()))
    }
}

/// A request's body that can be begun again as long as little of it has passed, and no answer.
pub(super) struct Replay<S> {
    source: S,
    kept: Rc<RefCell<Kept>>,
    /// Bytes that a receiver has taken, and those of which the sender knows.
    passed: usize,
    released: usize,
    end: Option<Option<HeaderMap>>,
    copy: Option<RequestCopy>,
}

impl<S: Source> Replay<S> {
    /// Nothing of `source` has passed; `is_empty`: nothing will.
    pub(super) fn new(source: S, is_empty: bool) -> Self {
        Self { source, kept: Rc::default(), passed: 0, released: 0, end: is_empty.then_some(None), copy: None }
    }

    /// Collects a copy of it, and sends that when it is whole.
    pub(super) fn copy_to(&mut self, copy: Option<RequestCopy>) {
        self.copy = copy;
        self.send_whole_copy();
    }

    fn send_whole_copy(&mut self) {
        if let Some(trailers) = &self.end
            && let Some(copy) = self.copy.take()
        {
            copy.send(trailers.clone());
        }
    }

    /// What it keeps, for whoever hears the answer.
    pub(super) fn kept(&self) -> Rc<RefCell<Kept>> {
        self.kept.clone()
    }

    /// Begins again; false when that is impossible.
    pub(super) fn rewind(&mut self) -> bool {
        let mut kept = self.kept.borrow_mut();
        kept.next = 0;
        self.passed = 0;
        !kept.is_given_up
    }

    /// There is nothing to come, and nothing has been.
    pub(super) fn is_empty(&self) -> bool {
        self.kept.borrow().bytes == 0 && matches!(self.end, Some(None))
    }
}

impl<S: Source> Source for Replay<S> {
    async fn next(&mut self) -> Result<Piece, Broken> {
        if let Some((bytes, is_last_kept)) = self.kept.borrow_mut().again() {
            return Ok(Piece::Data { bytes, last: is_last_kept && matches!(self.end, Some(None)) });
        }
        if let Some(end) = &self.end {
            return Ok(end.clone().map_or(Piece::End, Piece::Trailers));
        }
        let piece = self.source.next().await?;
        match &piece {
            Piece::Data { bytes, last } => {
                self.kept.borrow_mut().push(bytes);
                self.copy.take_if(|copy| !copy.push(bytes));
                if *last {
                    self.end = Some(None);
                }
            }
            Piece::Trailers(trailers) => self.end = Some(Some(trailers.clone())),
            Piece::End => self.end = Some(None),
        }
        self.send_whole_copy();
        Ok(piece)
    }

    fn taken(&mut self, bytes: usize) {
        self.passed += bytes;
        if self.passed > self.released {
            self.source.taken(self.passed - self.released);
            self.released = self.passed;
        }
    }
}

#[cfg(test)]
mod tests;
