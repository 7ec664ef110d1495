//! One request and its response, passed at the same time, over legs of either version.

use std::{
    cell::RefCell,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
    time::Instant,
};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, client::ResponseFuture, server::SendResponse};
use http::Response;

use super::{
    INTERIMS_MAX,
    body::{Broken, Count, Kept, PumpError, Replay, Sink, Source, grpc_status, pump},
    head,
};
use crate::dataplane::{
    http::{
        exchange::{AnswerHook, Passed},
        record::Record,
    },
    http1::HeaderEdits,
};

/// How an exchange failed, and by whose fault.
#[derive(Debug)]
pub(super) enum Failure {
    /// The client went away, or its body is malformed.
    Downstream(Broken),
    /// The upstream failed before its response.
    Before {
        /// How.
        broken: Broken,
        /// It certainly has not carried the request out.
        is_unseen: bool,
    },
    /// The upstream failed in the middle of its response; some of it was passed on, and the client has been told.
    Mid(Broken),
}

/// The client's leg, until a response begins.
pub(super) trait Client {
    /// Where a response's body goes.
    type Body: Sink;
    /// Passes a 1xx on.
    async fn interim(&mut self, response: Response<()>);
    /// Begins the response; `is_whole`: it has no body. Returns the bytes of its head, too.
    async fn begin(
        &mut self,
        response: Response<()>,
        is_whole: bool,
        edits: &HeaderEdits<'static>,
    ) -> Result<(Self::Body, usize), Broken>;
    /// Resolves when the client wants no answer any more.
    async fn gone(&mut self) -> Broken;
}

/// A response's head.
pub(super) struct Answer<B> {
    pub(super) head: Response<()>,
    pub(super) body: B,
    /// It has no body.
    pub(super) is_whole: bool,
}

/// What an upstream says before a response's body.
pub(super) enum Heard<B> {
    /// A 1xx; more follows.
    Interim(Response<()>),
    /// The response.
    Answer(Answer<B>),
}

/// The upstream's leg, once the request's head is on its way.
pub(super) trait Upstream {
    /// Where a response's body comes from.
    type Body: Source;
    /// Waits for the next head.
    async fn hear(&mut self) -> Result<Heard<Self::Body>, Failure>;
}

/// Passes both messages; `sink` is where the request's body goes.
pub(super) async fn exchange<C: Client, S: Source>(
    client: &mut C,
    source: &mut Replay<S>,
    sink: &mut impl Sink,
    upstream: impl Upstream,
    hook: &mut impl AnswerHook,
    record: &mut Record,
) -> Result<(), Failure> {
    let (up, down) = (Count::default(), Count::default());
    let (mut is_sent, kept) = (source.is_empty(), source.kept());
    let mut passed = Passed::default();
    let result = {
        let mut sending = pin!(pump(source, sink, &up));
        let mut answering = pin!(answer(client, upstream, hook, (&kept, &down), &mut passed));
        loop {
            tokio::select! {
                biased;
                sent = &mut sending, if !is_sent => {
                    is_sent = true;
                    // An upstream that stopped reading may have answered before: its answer still counts.
                    if let Err(PumpError::Source(broken)) = sent {
                        break Err(Failure::Downstream(broken));
                    }
                }
                answered = &mut answering => break answered,
            }
        }
    };
    if let Err(Failure::Downstream(broken)) = &result {
        // The upstream's peer learns the very reason; what is not a reset tells it that nobody waits any more.
        sink.reset(if let Broken::Reset(reason) = broken { *reason } else { Reason::CANCEL });
    }
    passed.request_body = up.bytes.get();
    passed.response_body = down.bytes.get();
    record.add(&passed);
    record.grpc_status = down.grpc_status.get().or(record.grpc_status);
    result
}

async fn answer<C: Client>(
    client: &mut C,
    mut upstream: impl Upstream,
    hook: &mut impl AnswerHook,
    (kept, count): (&RefCell<Kept>, &Count),
    passed: &mut Passed,
) -> Result<(), Failure> {
    let mut interims = 0;
    let Answer { head, mut body, is_whole } = loop {
        let heard = tokio::select! {
            biased;
            heard = upstream.hear() => heard?,
            broken = client.gone() => return Err(Failure::Downstream(broken)),
        };
        match heard {
            Heard::Interim(_) if interims == INTERIMS_MAX => {
                let broken = Broken::Protocol("too many interim responses".to_owned());
                return Err(Failure::Before { broken, is_unseen: false });
            }
            Heard::Interim(head) => {
                interims += 1;
                client.interim(head).await;
            }
            Heard::Answer(answer) => break answer,
        }
    };
    kept.borrow_mut().give_up();
    passed.status = head.status().as_u16();
    passed.response_at = Some(Instant::now());
    count.grpc_status.set(grpc_status(head.headers()));
    let begun = client.begin(head, is_whole, &hook.answer_headers()).await;
    let (mut sink, bytes) = begun.map_err(Failure::Downstream)?;
    passed.response_head = bytes as u64;
    if is_whole {
        return Ok(());
    }
    match pump(&mut body, &mut sink, count).await {
        Ok(()) => Ok(()),
        Err(PumpError::Sink(broken)) => Err(Failure::Downstream(broken)),
        Err(PumpError::Source(broken)) => {
            // A shorter body must not look whole.
            sink.reset(broken.reason());
            Err(Failure::Mid(broken))
        }
    }
}

/// A client that speaks HTTP/2.
pub(super) struct Http2Client<'a>(pub(super) &'a mut SendResponse<Bytes>);

impl Client for Http2Client<'_> {
    type Body = SendStream<Bytes>;

    async fn interim(&mut self, response: Response<()>) {
        // Who has left learns nothing more.
        let _ = self.0.send_informational(head::response(response, &HeaderEdits::default()));
    }

    async fn begin(
        &mut self,
        response: Response<()>,
        is_whole: bool,
        edits: &HeaderEdits<'static>,
    ) -> Result<(Self::Body, usize), Broken> {
        let response = head::response(response, edits);
        let bytes = ":status200".len() + head::bytes_of(response.headers());
        Ok((self.0.send_response(response, is_whole)?, bytes))
    }

    async fn gone(&mut self) -> Broken {
        match poll_fn(|cx| self.0.poll_reset(cx)).await {
            Ok(reason) => Broken::Reset(reason),
            Err(error) => error.into(),
        }
    }
}

impl Upstream for ResponseFuture {
    type Body = RecvStream;

    async fn hear(&mut self) -> Result<Heard<RecvStream>, Failure> {
        let heard = poll_fn(|cx| match self.poll_informational(cx) {
            Poll::Ready(Some(interim)) => Poll::Ready(interim.map(Heard::Interim)),
            Poll::Ready(None) | Poll::Pending => Pin::new(&mut *self).poll(cx).map_ok(|response| {
                let (parts, body) = response.into_parts();
                let is_whole = body.is_end_stream();
                Heard::Answer(Answer { head: Response::from_parts(parts, ()), body, is_whole })
            }),
        });
        heard.await.map_err(before)
    }
}

/// An error of an upstream stream of which no response is known.
pub(super) fn before(error: h2::Error) -> Failure {
    // A GOAWAY fails the streams that its sender has not looked at, a refused stream says so itself (RFC 9113 section 8.7).
    let is_refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    let is_unseen = error.is_remote() && (error.is_go_away() || is_refused);
    Failure::Before { broken: error.into(), is_unseen }
}
