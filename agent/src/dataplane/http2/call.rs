//! One stream of a client that speaks HTTP/2: choose, exchange, report. [`attend`] is the middle of it, for clients of
//! either version.

use std::future::{pending, poll_fn};

use bytes::Bytes;
use h2::{Reason, RecvStream, server::SendResponse};
use http::{Method, Request};
use weft_model::outcome::ResponseFlag;

use super::{
    answer::answer,
    body::{Broken, Replay, Source},
    connections::Call,
    exchange::{Client, Failure, Http2Client, before, exchange},
    head::RequestHead,
    mirror::RequestCopy,
    to_http1::over_http1,
};
use crate::dataplane::{
    event::HttpVersion,
    http::{
        Choice, Hop,
        record::Record,
        serve::{Reply, is_idempotent},
    },
    http1::RequestEdits,
};

/// Attempts on other connections when one did not take the request.
const RETRIES_MAX: usize = 3;

/// Serves one stream to its end.
///
/// A tunnel (RFC 8441) lives as long as `watch`, a hop of its own, does not hear that it is forbidden.
pub(super) async fn serve<H: Hop>(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    mut hop: H,
    watch: Option<H>,
) {
    let (parts, body) = request.into_parts();
    let is_head = parts.method == Method::HEAD;
    let head = match RequestHead::check(parts) {
        Ok(head) => head,
        Err(refused) => {
            let mut record = Record::refused_as(HttpVersion::Http2, refused.status, refused.detail.to_owned());
            let reply = Reply { status: refused.status, body: String::new() };
            answer(&mut respond, &mut record, &reply, hop.server_name(), is_head);
            return hop.report(record);
        }
    };
    let mut record = Record::begin(&head, head.bytes());
    let end = tokio::select! {
        end = pass(&head, body, &mut respond, &mut hop, &mut record) => Some(end),
        () = revoked(watch.as_ref(), &head) => None,
    };
    match end.unwrap_or(End::Revoked) {
        End::Revoked => {
            "revoked".clone_into(&mut record.details);
            respond.send_reset(Reason::CANCEL);
        }
        End::Passed => {}
        End::Reply(reply) => answer(&mut respond, &mut record, &reply, hop.server_name(), is_head),
        // Whoever broke knows; whose response began was told there.
        End::Failed(Failure::Downstream(_) | Failure::Mid(_)) => respond.send_reset(Reason::CANCEL),
        // What an application says by a reset reaches its client as a reset.
        End::Failed(Failure::Before { broken: Broken::Reset(reason), .. }) => respond.send_reset(reason),
        End::Failed(Failure::Before { broken, .. }) => {
            answer(&mut respond, &mut record, &broken.reply(), hop.server_name(), is_head);
        }
    }
    hop.report(record);
}

/// Resolves when a tunnel is no longer allowed.
async fn revoked<H: Hop>(watch: Option<&H>, head: &RequestHead) {
    match watch {
        Some(hop) => hop.revoked(head).await,
        None => pending().await,
    }
}

async fn pass<H: Hop>(
    head: &RequestHead,
    body: RecvStream,
    respond: &mut SendResponse<Bytes>,
    hop: &mut H,
    record: &mut Record,
) -> End {
    let mut edits = RequestEdits::default();
    let chosen = tokio::select! {
        biased;
        // First: who resets all it opens costs nobody an upstream.
        left = poll_fn(|cx| respond.poll_reset(cx)) => Err(left.map_or_else(Broken::from, Broken::Reset)),
        choice = hop.choose(head, record, &mut edits) => Ok(choice),
    };
    let choice = match chosen {
        Ok(choice) => choice,
        Err(broken) => {
            let failure = Failure::Downstream(broken);
            describe(&failure, record);
            return End::Failed(failure);
        }
    };
    let is_empty = body.is_end_stream();
    let mut body = Replay::new(body, is_empty);
    body.copy_to(hop.mirrors().and_then(|mirrors| RequestCopy::begin(mirrors, head, &edits)));
    attend(choice, head, &edits, &mut body, &mut Http2Client(respond), hop, record).await
}

/// What became of a request.
pub(super) enum End {
    /// It was answered, and its client has the answer.
    Passed,
    /// It is to be answered here.
    Reply(Reply),
    /// It failed, as is in its record.
    Failed(Failure),
    /// It was a tunnel, and is no longer allowed.
    Revoked,
}

/// Passes a request where it was decided to go, once more by another connection where that is safe.
pub(super) async fn attend<H: Hop, S: Source>(
    mut choice: Choice,
    head: &RequestHead,
    edits: &RequestEdits<'static>,
    body: &mut Replay<S>,
    client: &mut impl Client,
    hop: &mut H,
    record: &mut Record,
) -> End {
    for attempt in 0.. {
        let (reused, result) = match choice {
            Choice::Reply(reply) => return End::Reply(reply),
            Choice::Call(call) if head.protocol.is_some() && !call.takes_tunnels().await => {
                "connect_not_supported".clone_into(&mut record.details);
                return End::Reply(Reply { status: 501, body: String::new() });
            }
            Choice::Call(call) => (call.reused, over_http2(call, head, edits, body, client, hop, record).await),
            Choice::Forward(wire) => {
                let reused = wire.reused;
                let kept = over_http1(wire, head, edits, body, client, hop, record).await;
                (reused, kept.map(|kept| kept.into_iter().for_each(|wire| hop.keep(wire))))
            }
        };
        let Err(failure) = result else {
            if record.details.is_empty() {
                "via_upstream".clone_into(&mut record.details);
            }
            return End::Passed;
        };
        if attempt < RETRIES_MAX && may_repeat(&failure, reused, &head.method) && body.rewind() {
            choice = hop.choose_again(record).await;
            continue;
        }
        describe(&failure, record);
        return End::Failed(failure);
    }
    End::Passed
}

async fn over_http2<S: Source>(
    call: Call,
    head: &RequestHead,
    edits: &RequestEdits<'static>,
    body: &mut Replay<S>,
    client: &mut impl Client,
    hop: &mut impl Hop,
    record: &mut Record,
) -> Result<(), Failure> {
    let is_empty = body.is_empty();
    let invalid =
        |error: http::Error| Failure::Before { broken: Broken::Protocol(error.to_string()), is_unseen: false };
    let request = head.for_http2(edits).map_err(invalid)?;
    let refused = |error: h2::Error| match before(error) {
        // It has not left.
        Failure::Before { broken, .. } => Failure::Before { broken, is_unseen: true },
        other => other,
    };
    let mut sender = call.sender.clone().ready().await.map_err(refused)?;
    let (response, mut sink) = sender.send_request(request, is_empty).map_err(refused)?;
    exchange(client, body, &mut sink, response, hop, record).await
}

/// May the request be sent again: has it certainly not been carried out, or does that not matter?
fn may_repeat(failure: &Failure, reused: bool, method: &Method) -> bool {
    let Failure::Before { broken, is_unseen } = failure else { return false };
    *is_unseen || (reused && matches!(broken, Broken::Connection(_)) && is_idempotent(method.as_str()))
}

impl Broken {
    /// What a client is told when its upstream broke before it answered.
    pub(super) fn reply(&self) -> Reply {
        let (status, why) = match self {
            Self::Reset(_) => (503, "remote reset"),
            Self::Protocol(_) => (502, "protocol error"),
            Self::Connection(_) => (503, "connection termination"),
        };
        let body = format!("upstream connect error or disconnect/reset before headers. reset reason: {why}");
        Reply { status, body }
    }
}

/// Notes a failure as Envoy would.
fn describe(failure: &Failure, record: &mut Record) {
    let (broken, moment) = match failure {
        Failure::Downstream(_) => {
            record.flags.push(ResponseFlag::DownstreamConnectionTermination);
            "http2.remote_reset".clone_into(&mut record.details);
            return;
        }
        Failure::Before { broken, .. } => (broken, "before"),
        Failure::Mid(broken) => (broken, "after"),
    };
    let (flag, why) = match broken {
        Broken::Reset(_) => (ResponseFlag::UpstreamReset, "remote_reset"),
        Broken::Protocol(_) => (ResponseFlag::UpstreamProtocolError, "protocol_error"),
        Broken::Connection(_) => (ResponseFlag::UpstreamConnectionTermination, "connection_termination"),
    };
    record.flags.push(flag);
    record.details = format!("upstream_reset_{moment}_response_started{{{why}}}");
    record.upstream_failure = match broken {
        Broken::Reset(reason) => reason.to_string(),
        Broken::Protocol(text) | Broken::Connection(text) => text.clone(),
    };
}
