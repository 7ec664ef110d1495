//! One request and its response, passed at the same time.
//!
//! Bodies are streamed: each direction holds at most [`CHUNK_BYTES`] and waits for its receiver.
//! A response may begin, and end, before the request's body does.

mod passed;
mod recode;

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncWrite;

pub use passed::{Failure, Passed};
use recode::Recode;

use super::{Wire, mirror::RequestCopy};
use crate::dataplane::http1::{
    AnswerTo, BodyError, BodyLength, BodyReader, HeaderEdits, LAST_CHUNK, Parse, Persistence, ResponseEdits,
    ResponseHead, ResponseParser, Version, encode_chunk, write_response_head,
};

/// Bytes of a body in flight in one direction.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// Bytes of a body that ride behind their head in one write.
const RIDE_ALONG_BYTES: usize = 16 * 1024;

/// What the exchange asks about a final response before it passes the head on.
pub trait AnswerHook {
    /// Value of the `server` header (Envoy's, Istio's).
    fn server_name(&self) -> &'static str;
    /// When the request left for its upstream.
    fn sent_at(&self) -> Instant;

    /// What a proxy adds to an answer that it passes on.
    fn answer_headers(&self) -> HeaderEdits<'static> {
        let mut headers = HeaderEdits::default();
        // Names and values are our own and valid.
        let _ = headers.set("server", self.server_name());
        let millis = self.sent_at().elapsed().as_millis().to_string();
        let _ = headers.set("x-envoy-upstream-service-time", millis);
        headers
    }
}

/// One exchange on two wires.
pub struct Exchange<'a, A> {
    downstream: &'a mut Wire,
    upstream: &'a mut Wire,
    hook: &'a mut A,
    request: RequestSide,
    response: ResponseSide,
    client: Client,
    copy: Option<RequestCopy>,
    passed: Passed,
}

/// What matters of the client's request while the response passes.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// Version the client speaks.
    pub version: Version,
    /// It keeps its connection.
    pub keep_alive: bool,
    /// What the response parser must know.
    pub answer_to: AnswerTo,
}

struct RequestSide {
    first: Bytes,
    /// Bytes that the upstream's socket has taken.
    sent: usize,
    body: BodyReader,
    pass: usize,
    needs_flush: bool,
    done: bool,
    failed: Option<io::Error>,
}

struct ResponseSide {
    parser: ResponseParser,
    phase: Phase,
    out: BytesMut,
    pass: usize,
    needs_flush: bool,
}

enum Phase {
    Head,
    Body { reader: BodyReader, recode: Recode, keep_alive: bool },
    Done,
}

impl<'a, A: AnswerHook> Exchange<'a, A> {
    /// An exchange that begins with `first`: the request's head as it goes upstream and perhaps some
    /// of its body; `body` has counted those bytes.
    pub fn new(
        downstream: &'a mut Wire,
        upstream: &'a mut Wire,
        hook: &'a mut A,
        first: Bytes,
        body: BodyReader,
        client: Client,
    ) -> Self {
        let request = RequestSide { first, sent: 0, body, pass: 0, needs_flush: true, done: false, failed: None };
        let response = ResponseSide {
            parser: ResponseParser::default(),
            phase: Phase::Head,
            out: BytesMut::new(),
            pass: 0,
            needs_flush: false,
        };
        Self { downstream, upstream, hook, request, response, client, copy: None, passed: Passed::default() }
    }

    /// Collects a copy of the request's body, and sends it when the body is whole.
    pub fn copying(self, copy: Option<RequestCopy>) -> Self {
        Self { copy, ..self }
    }

    /// Passes both messages.
    ///
    /// # Errors
    /// With what was passed until then.
    pub async fn run(mut self) -> Result<Passed, (Failure, Passed)> {
        let result = poll_fn(|cx| self.poll(cx)).await;
        self.passed.request_body += self.request.body.payload_bytes();
        self.passed.is_request_read = self.request.body.is_complete();
        match result {
            Ok(()) => Ok(self.passed),
            Err(failure) => Err((failure, self.passed)),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        if !self.request.done
            && let Poll::Ready(Err(failure)) = self.poll_request(cx)
        {
            return Poll::Ready(Err(failure));
        }
        ready!(self.poll_response(cx))?;
        // The response is complete. A request body that nobody waits for any more ends both connections.
        let whole = self.request.done && self.request.failed.is_none();
        self.passed.upstream_reusable &= whole;
        self.passed.downstream_reusable &= whole;
        Poll::Ready(Ok(()))
    }

    fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        loop {
            if let Err(error) = ready!(self.poll_write_request(cx)) {
                // The upstream may have answered before it stopped reading: its answer still counts.
                self.request.failed = Some(error);
                self.request.done = true;
                return Poll::Ready(Ok(()));
            }
            if self.request.body.is_complete() {
                self.request.done = true;
                return Poll::Ready(Ok(()));
            }
            if self.downstream.buffer.is_empty() {
                match self.downstream.stream.poll_fill(cx, &mut self.downstream.buffer, CHUNK_BYTES) {
                    Poll::Pending => {
                        let _ = self.poll_flush_request(cx);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(0)) => {
                        let truncated = self.request.body.finish().err();
                        return Poll::Ready(Err(Failure::Downstream(truncated)));
                    }
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(_gone)) => return Poll::Ready(Err(Failure::Downstream(None))),
                }
            }
            let progress = self.request.body.advance(&self.downstream.buffer);
            self.request.pass = progress.map_err(|error| Failure::Downstream(Some(error)))?.taken;
            self.add_to_copy();
        }
    }

    fn add_to_copy(&mut self) {
        let body = &self.downstream.buffer[..self.request.pass];
        self.copy.take_if(|copy| !copy.push(body));
        if self.request.body.is_complete()
            && let Some(whole) = self.copy.take()
        {
            whole.send();
        }
    }

    /// Writes what is ready to go upstream, and flushes when that was the last of it.
    fn poll_write_request(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = &mut self.upstream.stream;
        while !self.request.first.is_empty() {
            let written = ready!(Pin::new(&mut *stream).poll_write(cx, &self.request.first))?;
            self.request.first.advance(written);
            self.request.sent += written;
        }
        while self.request.pass > 0 {
            let chunk = &self.downstream.buffer[..self.request.pass];
            let written = ready!(Pin::new(&mut *stream).poll_write(cx, chunk))?;
            self.downstream.buffer.advance(written);
            self.request.sent += written;
            self.request.pass -= written;
            self.request.needs_flush = true;
        }
        if self.request.body.is_complete() { self.poll_flush_request(cx) } else { Poll::Ready(Ok(())) }
    }

    fn poll_flush_request(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.request.needs_flush {
            ready!(Pin::new(&mut self.upstream.stream).poll_flush(cx))?;
            self.request.needs_flush = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        loop {
            ready!(self.poll_write_response(cx)).map_err(|_gone| Failure::Downstream(None))?;
            if matches!(self.response.phase, Phase::Done) {
                return self.poll_flush_response(cx).map_err(|_gone| Failure::Downstream(None));
            }
            if self.upstream.buffer.is_empty() || matches!(self.response.phase, Phase::Head) {
                // A head may be complete already; parse before reading more.
                if !self.upstream.buffer.is_empty() && self.parse_head()? {
                    continue;
                }
                match self.upstream.stream.poll_fill(cx, &mut self.upstream.buffer, CHUNK_BYTES) {
                    Poll::Pending => {
                        let _ = self.poll_flush_response(cx);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(0)) => self.upstream_ended(None)?,
                    Poll::Ready(Ok(_)) => {}
                    Poll::Ready(Err(error)) => self.upstream_ended(Some(error))?,
                }
            }
            self.advance_response()?;
        }
    }

    fn poll_write_response(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = &mut self.downstream.stream;
        while !self.response.out.is_empty() {
            let written = ready!(Pin::new(&mut *stream).poll_write(cx, &self.response.out))?;
            self.response.out.advance(written);
            self.response.needs_flush = true;
        }
        while self.response.pass > 0 {
            let written = ready!(Pin::new(&mut *stream).poll_write(cx, &self.upstream.buffer[..self.response.pass]))?;
            self.upstream.buffer.advance(written);
            self.response.pass -= written;
            self.response.needs_flush = true;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_flush_response(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.response.needs_flush {
            ready!(Pin::new(&mut self.downstream.stream).poll_flush(cx))?;
            self.response.needs_flush = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Parses a response head from the buffer and queues it for the client. False: more bytes needed.
    fn parse_head(&mut self) -> Result<bool, Failure> {
        if !matches!(self.response.phase, Phase::Head) {
            return Ok(false);
        }
        let parsed = self.response.parser.parse(&self.upstream.buffer, self.client.answer_to);
        match parsed.map_err(Failure::BadResponse)? {
            Parse::Partial => Ok(false),
            Parse::Complete { head, consumed } => {
                self.upstream.buffer.advance(consumed);
                self.queue_head(&head);
                // A body may be empty, or here already: nobody must wait for bytes that never come.
                self.advance_response()?;
                Ok(true)
            }
        }
    }

    fn queue_head(&mut self, head: &ResponseHead) {
        if head.is_interim() {
            // RFC 9110 section 15.2: a 1xx must not reach an HTTP/1.0 client.
            if self.client.version == Version::Http11 {
                write_response_head(&mut self.response.out, head, &ResponseEdits::default());
            }
            return;
        }
        let body = head.body_for(self.client.version);
        let tunnel = body == BodyLength::Tunnel;
        let keep_alive = self.client.keep_alive && body != BodyLength::UntilClose && !tunnel;
        let mut edits = ResponseEdits {
            headers: if head.status() == 101 { HeaderEdits::default() } else { self.hook.answer_headers() },
            persistence: Persistence::for_client(self.client.version, keep_alive),
            ..ResponseEdits::default()
        };
        if body != head.body() {
            edits.body = Some(body);
        }
        let before = self.response.out.len();
        write_response_head(&mut self.response.out, head, &edits);
        self.passed.response_head = (self.response.out.len() - before) as u64;
        self.passed.status = head.status();
        self.passed.response_at = Some(Instant::now());
        self.passed.downstream_reusable = keep_alive;
        self.passed.tunnel = tunnel;
        self.response.phase = if tunnel {
            Phase::Done
        } else {
            let recode = Recode::new(head.body(), body);
            Phase::Body { reader: BodyReader::new(head.body()), recode, keep_alive: head.keep_alive() }
        };
    }

    /// Counts buffered bytes as body and queues them; only when all that were counted before are written.
    fn advance_response(&mut self) -> Result<(), Failure> {
        debug_assert_eq!(self.response.pass, 0, "bytes are counted once");
        let Phase::Body { reader, recode, keep_alive } = &mut self.response.phase else { return Ok(()) };
        let (buffer, out) = (&mut self.upstream.buffer, &mut self.response.out);
        let progress = match recode {
            Recode::Keep => reader.advance(buffer),
            Recode::Dechunk => reader.decode(buffer, |range| out.extend_from_slice(&buffer[range])),
            Recode::Enchunk => reader.decode(buffer, |range| encode_chunk(out, &buffer[range])),
        };
        let progress = progress.map_err(|error: BodyError| Failure::MidResponse(error.to_string()))?;
        self.passed.response_body += progress.taken as u64;
        match recode {
            Recode::Keep if out.is_empty() || progress.taken > RIDE_ALONG_BYTES => self.response.pass = progress.taken,
            Recode::Keep => {
                out.extend_from_slice(&buffer[..progress.taken]);
                buffer.advance(progress.taken);
            }
            Recode::Dechunk | Recode::Enchunk => buffer.advance(progress.taken),
        }
        if progress.complete {
            self.passed.upstream_reusable = *keep_alive;
            self.response.phase = Phase::Done;
        }
        Ok(())
    }

    /// The upstream has ended: the natural end of some bodies, a failure otherwise.
    fn upstream_ended(&mut self, error: Option<io::Error>) -> Result<(), Failure> {
        match &mut self.response.phase {
            Phase::Head => {
                let is_unseen = self.upstream.stream.ended_before(self.request.sent, error.as_ref());
                let error = error.or_else(|| self.request.failed.take());
                let error = error.unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into());
                Err(Failure::BeforeResponse { error, is_unseen })
            }
            Phase::Body { reader, recode, .. } => {
                if let Some(error) = error {
                    return Err(Failure::MidResponse(error.to_string()));
                }
                reader.finish().map_err(|error| Failure::MidResponse(error.to_string()))?;
                if matches!(recode, Recode::Enchunk) {
                    self.response.out.extend_from_slice(LAST_CHUNK);
                }
                self.passed.upstream_reusable = false;
                self.response.phase = Phase::Done;
                Ok(())
            }
            Phase::Done => Ok(()),
        }
    }
}
