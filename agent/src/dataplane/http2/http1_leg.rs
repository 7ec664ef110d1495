//! Bodies on a leg that speaks HTTP/1: the same connection is read and written by the two halves of one exchange.

use std::{
    cell::{Cell, RefCell},
    future::{pending, poll_fn},
    io,
    pin::Pin,
};

use bytes::{Buf, Bytes, BytesMut};
use h2::Reason;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::AsyncWrite;

use super::{
    body::{Broken, Piece, Sink, Source},
    head::is_hop_by_hop,
};
use crate::dataplane::{
    http::{Wire, exchange::CHUNK_BYTES},
    http1::{self, BodyReader, LAST_CHUNK, encode_chunk},
};

/// A connection that speaks HTTP/1, while an exchange passes over it.
pub(super) struct Leg<W> {
    wire: RefCell<W>,
    /// Bytes that its socket has taken.
    sent: Cell<usize>,
    /// The body that comes from it has come to its end.
    pub(super) is_read: Cell<bool>,
    /// The body that goes to it has gone to its end.
    pub(super) is_written: Cell<bool>,
}

impl<W: AsMut<Wire>> Leg<W> {
    pub(super) fn new(wire: W) -> Self {
        Self { wire: RefCell::new(wire), sent: Cell::new(0), is_read: Cell::new(false), is_written: Cell::new(false) }
    }

    /// The connection again.
    pub(super) fn into_wire(self) -> W {
        self.wire.into_inner()
    }

    /// Looks at what was read and not used yet.
    pub(super) fn with_buffer<R>(&self, look: impl FnOnce(&mut BytesMut) -> R) -> R {
        look(&mut self.wire.borrow_mut().as_mut().buffer)
    }

    /// Reads more; 0 means the peer has ended.
    pub(super) async fn fill(&self) -> io::Result<usize> {
        poll_fn(|cx| {
            let mut wire = self.wire.borrow_mut();
            let Wire { stream, buffer, .. } = wire.as_mut();
            stream.poll_fill(cx, buffer, CHUNK_BYTES)
        })
        .await
    }

    /// The peer has ended: has it certainly seen nothing of what was sent?
    pub(super) fn ended_unseen(&self, error: Option<&io::Error>) -> bool {
        self.wire.borrow_mut().as_mut().stream.ended_before(self.sent.get(), error)
    }

    /// Writes all of it, and sees it off.
    pub(super) async fn write(&self, bytes: &[u8]) -> Result<(), Broken> {
        let mut rest = bytes;
        let written = poll_fn(|cx| {
            let mut wire = self.wire.borrow_mut();
            let mut stream = Pin::new(&mut wire.as_mut().stream);
            while !rest.is_empty() {
                match stream.as_mut().poll_write(cx, rest) {
                    std::task::Poll::Ready(Ok(written)) => {
                        self.sent.set(self.sent.get() + written);
                        rest = &rest[written..];
                    }
                    other => return other.map_ok(drop),
                }
            }
            stream.poll_flush(cx)
        });
        written.await.map_err(broken)
    }
}

pub(super) fn broken(error: io::Error) -> Broken {
    Broken::Connection(error.to_string())
}

/// A body that comes.
pub(super) struct Http1Source<'a, W> {
    leg: &'a Leg<W>,
    reader: BodyReader,
}

impl<'a, W: AsMut<Wire>> Http1Source<'a, W> {
    pub(super) fn new(leg: &'a Leg<W>, reader: BodyReader) -> Self {
        leg.is_read.set(reader.is_complete());
        Self { leg, reader }
    }

    /// Takes what has come of it.
    fn take(&mut self) -> Result<Bytes, Broken> {
        let reader = &mut self.reader;
        self.leg.with_buffer(|buffer| {
            let mut payload = BytesMut::new();
            let mut whole = None;
            let progress = reader.decode(buffer, |range| {
                if payload.is_empty() && whole.is_none() {
                    whole = Some(range);
                } else {
                    if let Some(first) = whole.take() {
                        payload.extend_from_slice(&buffer[first]);
                    }
                    payload.extend_from_slice(&buffer[range]);
                }
            });
            let taken = progress.map_err(|error| Broken::Protocol(error.to_string()))?.taken;
            let mut bytes = buffer.split_to(taken);
            Ok(match whole {
                // One piece is passed on without copying it.
                Some(range) => {
                    bytes.truncate(range.end);
                    bytes.advance(range.start);
                    bytes.freeze()
                }
                None => payload.freeze(),
            })
        })
    }
}

impl<W: AsMut<Wire>> Source for Http1Source<'_, W> {
    async fn next(&mut self) -> Result<Piece, Broken> {
        loop {
            if self.reader.is_complete() {
                self.leg.is_read.set(true);
                return Ok(Piece::End);
            }
            if !self.leg.with_buffer(|buffer| buffer.is_empty()) {
                let bytes = self.take()?;
                // Trailers end here, as in Envoy.
                let last = self.reader.is_complete();
                self.leg.is_read.set(last);
                if !bytes.is_empty() {
                    return Ok(Piece::Data { bytes, last });
                }
                if last {
                    return Ok(Piece::End);
                }
            }
            match self.leg.fill().await {
                Ok(0) => self.reader.finish().map_err(|error| Broken::Connection(error.to_string()))?,
                Ok(_) => {}
                Err(error) => return Err(broken(error)),
            }
        }
    }

    /// It is read no faster than it is passed on.
    fn taken(&mut self, _bytes: usize) {}
}

/// A body that goes.
pub(super) struct Http1Sink<'a, W> {
    leg: &'a Leg<W>,
    is_chunked: bool,
}

impl<'a, W: AsMut<Wire>> Http1Sink<'a, W> {
    pub(super) fn new(leg: &'a Leg<W>, is_chunked: bool) -> Self {
        Self { leg, is_chunked }
    }
}

impl<W: AsMut<Wire>> Sink for Http1Sink<'_, W> {
    async fn send(&mut self, bytes: &mut Bytes, last: bool) -> Result<usize, Broken> {
        let length = bytes.len();
        if self.is_chunked {
            let mut out = Vec::with_capacity(length + 32);
            if length > 0 {
                encode_chunk(&mut out, bytes);
            }
            if last {
                out.extend_from_slice(LAST_CHUNK);
            }
            self.leg.write(&out).await?;
        } else {
            self.leg.write(bytes).await?;
        }
        bytes.clear();
        self.leg.is_written.set(last);
        Ok(length)
    }

    /// They end here, as in Envoy.
    async fn trailers(&mut self, _trailers: HeaderMap) -> Result<(), Broken> {
        self.send(&mut Bytes::new(), true).await.map(drop)
    }

    async fn broken(&mut self) -> Broken {
        // A peer that stops reading shows at the next write.
        pending().await
    }

    /// The connection ends with a body that did not come to its end: whoever owns it sees that.
    fn reset(&mut self, _reason: Reason) {}
}

/// The end-to-end fields of a head for the other version.
pub(super) fn fields(headers: &http1::Headers) -> HeaderMap {
    let names_some = headers.get("connection").is_some();
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers.iter() {
        let is_named = names_some && headers.has_token("connection", name);
        if is_hop_by_hop(name) || is_named || name.eq_ignore_ascii_case("host") {
            continue;
        }
        // The codec has checked both.
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
            map.append(name, value);
        }
    }
    map
}
