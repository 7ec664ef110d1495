//! A client's connection, request by request. Phases: read a head, choose, exchange, report.

use std::rc::Rc;

use bytes::{Buf, Bytes, BytesMut};
use weft_model::{decision::Forward, outcome::ResponseFlag};

use super::{
    Wire,
    answer::{answer, bad_body, close, leave, refuse_head},
    exchange::{AnswerHook, Client, Exchange, Failure, Passed},
    head::Head,
    mirror::RequestCopy,
    record::Record,
};
use crate::{
    dataplane::{
        Shared,
        http1::{BodyReader, HeadError, Parse, RequestEdits, RequestHead, RequestParser, write_request_head},
        http2::{self, Call, Http1Request},
        pod::{PodContext, View},
    },
    net::{relay::Relay, socket::reset_on_close},
};

/// Bytes read at once where a head is expected.
pub(super) const HEAD_READ_BYTES: usize = 16 * 1024;

/// A request body that ends within this is sent in the same write as its head, and can be sent again
/// when a reused connection turns out to be closed.
const FIRST_FLIGHT_BYTES: usize = 16 * 1024;

/// Attempts on other connections when a reused one was closed by its peer meanwhile.
const STALE_RETRIES_MAX: usize = 3;

/// What a hop says to a request.
pub enum Choice {
    /// Pass it on over this connection, in HTTP/1.1.
    Forward(Wire),
    /// Pass it on in HTTP/2.
    Call(Call),
    /// Answer it here.
    Reply(Reply),
}

/// An answer of the proxy itself.
pub struct Reply {
    /// Status.
    pub status: u16,
    /// Body.
    pub body: String,
}

/// One side of the mesh, as far as it differs for HTTP.
#[expect(async_fn_in_trait, reason = "workers are single-threaded: no bound on the futures is wanted")]
pub trait Hop: AnswerHook {
    /// Called once per request, before anything else: chooses, and prepares the edits of the head.
    async fn choose<H: Head>(&mut self, head: &H, record: &mut Record, edits: &mut RequestEdits<'static>) -> Choice;
    /// A copy of the request just chosen for, when there is someone to send it to.
    fn copy(&self, head: &RequestHead, edits: &RequestEdits<'static>) -> Option<RequestCopy>;
    /// Where copies of the request just chosen for go, when it does not pass in HTTP/1.1 all the way.
    fn mirrors(&self) -> Option<(&Rc<PodContext>, &Rc<View>, &[Forward])>;
    /// A reused connection was closed by its peer before it answered: another one, or an answer.
    async fn choose_again(&mut self, record: &mut Record) -> Choice;
    /// The exchange is over; `wire` may carry another one.
    fn keep(&mut self, wire: Wire);
    /// Hands the finished record over.
    fn report(&mut self, record: Record);
    /// May this client's connection still be served? Asked between requests.
    fn is_welcome(&mut self) -> bool;
    /// Resolves when a change of the world forbids what `head` was allowed. Asked while a tunnel lives.
    async fn revoked<H: Head>(&self, head: &H);
}

/// Serves a client until it leaves, breaks the protocol, or the agent drains.
pub async fn serve<H: Hop>(mut downstream: Wire, hop: &mut H, shared: &Shared) {
    let mut parser = RequestParser::default();
    let mut is_new = true;
    loop {
        let head = match read_head(&mut downstream, &mut parser, shared, is_new).await {
            Read::Head(head, bytes) => (head, bytes),
            Read::Ended => return,
            Read::Leave => return leave(downstream).await,
            Read::Refused(error) => return refuse_head(downstream, hop, error).await,
        };
        if !hop.is_welcome() {
            reset_on_close(&downstream.stream);
            return;
        }
        let (head, head_bytes) = head;
        is_new = false;
        let mut record = Record::begin(&head, head_bytes);
        let next = request(&mut downstream, hop, &head, &mut record, shared).await;
        hop.report(record);
        match next {
            Next::Request => downstream.shed(),
            Next::Close => return close(downstream).await,
            Next::Reset => {
                reset_on_close(&downstream.stream);
                return;
            }
            Next::Tunnel(upstream) => return tunnel(downstream, upstream, hop.revoked(&head)).await,
        }
    }
}

enum Read {
    Head(RequestHead, usize),
    /// The client has left, or is left without a word: it may have said something that will not be answered.
    Ended,
    /// It has said nothing since its last answer, and is told that nothing more will be heard.
    Leave,
    Refused(HeadError),
}

/// Reads the next head. `is_new`: the connection has had no request, so one is certainly on its way.
async fn read_head(downstream: &mut Wire, parser: &mut RequestParser, shared: &Shared, is_new: bool) -> Read {
    let mut drain = shared.drain.clone();
    if downstream.buffer.is_empty() {
        // Between requests: the only place where a connection may end without anybody's harm.
        tokio::select! {
            biased;
            filled = downstream.fill(HEAD_READ_BYTES) => {
                if !matches!(filled, Ok(1..)) {
                    return Read::Ended;
                }
            }
            () = drain.begun(), if !is_new => return Read::Leave,
            () = tokio::time::sleep(shared.limits.idle_timeout) => return Read::Leave,
        }
    }
    let reading = async {
        loop {
            match parser.parse(&downstream.buffer) {
                Ok(Parse::Complete { head, consumed }) => {
                    downstream.buffer.advance(consumed);
                    return Read::Head(head, consumed);
                }
                Ok(Parse::Partial) => {}
                Err(error) => return Read::Refused(error),
            }
            if !matches!(downstream.fill(HEAD_READ_BYTES).await, Ok(1..)) {
                return Read::Ended;
            }
        }
    };
    // A request whose head never ends (slowloris) costs its own connection and nothing else.
    tokio::time::timeout(shared.limits.head_timeout, reading).await.unwrap_or(Read::Ended)
}

/// What becomes of a client's connection after a request.
pub enum Next {
    /// It carries another request.
    Request,
    /// It ends in order.
    Close,
    /// It is reset: what was begun on it cannot be ended.
    Reset,
    /// It belongs to another protocol, as does this one.
    Tunnel(Wire),
}

async fn request<H: Hop>(
    downstream: &mut Wire,
    hop: &mut H,
    head: &RequestHead,
    record: &mut Record,
    shared: &Shared,
) -> Next {
    let mut edits = RequestEdits::default();
    edits.upgrade = true;
    let mut choice = hop.choose(head, record, &mut edits).await;
    let mut body = BodyReader::new(head.body());
    let (first, mut copy) = match &choice {
        Choice::Forward(_) => {
            let mut copy = hop.copy(head, &edits);
            (first_flight(downstream, head, &edits, &mut body, &mut copy), copy)
        }
        Choice::Call(_) | Choice::Reply(_) => (Ok(Bytes::new()), None),
    };
    let Ok(first) = first else { return bad_body(downstream, hop, head, record, shared).await };
    if body.is_complete()
        && let Some(whole) = copy.take()
    {
        whole.send();
    }
    let is_whole = body.is_complete();
    let client = Client {
        version: head.version(),
        keep_alive: head.keep_alive() && !shared.drain.is_retiring(),
        answer_to: head.answer_to(true),
    };
    for attempt in 0.. {
        let mut upstream = match choice {
            Choice::Forward(upstream) => upstream,
            Choice::Call(call) => {
                let request = Http1Request { head, edits: &edits, body };
                return http2::from_http1(downstream, request, call, hop, record, shared).await;
            }
            Choice::Reply(reply) => return answer(downstream, hop, head, record, &reply, body, shared).await,
        };
        let exchange = Exchange::new(downstream, &mut upstream, hop, first.clone(), body.clone(), client);
        let (failure, passed) = match exchange.copying(copy.take()).run().await {
            Ok(passed) => return finished(hop, upstream, record, &passed),
            Err(failed) => failed,
        };
        let is_harmless = |is_unseen| is_unseen || is_idempotent(head.method());
        let is_stale =
            upstream.reused && matches!(failure, Failure::BeforeResponse { is_unseen, .. } if is_harmless(is_unseen));
        if is_stale && is_whole && attempt < STALE_RETRIES_MAX {
            choice = hop.choose_again(record).await;
            continue;
        }
        record.add(&passed);
        return failed(downstream, hop, head, record, (failure, passed.request_rest()), shared).await;
    }
    Next::Close
}

/// Methods that may be sent again when nobody knows whether they were carried out (RFC 9110 section 9.2.2).
pub(in crate::dataplane) fn is_idempotent(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE")
}

/// The head as it goes upstream, with as much of the body as is here already and fits.
fn first_flight(
    downstream: &mut Wire,
    head: &RequestHead,
    edits: &RequestEdits<'static>,
    body: &mut BodyReader,
    copy: &mut Option<RequestCopy>,
) -> Result<Bytes, ()> {
    let mut first = BytesMut::new();
    write_request_head(&mut first, head, edits);
    if !body.is_complete() && !downstream.buffer.is_empty() && downstream.buffer.len() <= FIRST_FLIGHT_BYTES {
        let progress = body.advance(&downstream.buffer).map_err(|_malformed| ())?;
        first.extend_from_slice(&downstream.buffer[..progress.taken]);
        copy.take_if(|copy| !copy.push(&downstream.buffer[..progress.taken]));
        downstream.buffer.advance(progress.taken);
    }
    Ok(first.freeze())
}

fn finished<H: Hop>(hop: &mut H, mut upstream: Wire, record: &mut Record, passed: &Passed) -> Next {
    record.add(passed);
    if record.details.is_empty() {
        "via_upstream".clone_into(&mut record.details);
    }
    if passed.tunnel {
        return Next::Tunnel(upstream);
    }
    if passed.upstream_reusable && upstream.buffer.is_empty() {
        upstream.reused = true;
        upstream.shed();
        hop.keep(upstream);
    }
    if passed.downstream_reusable { Next::Request } else { Next::Close }
}

/// Turns a failed exchange into what the client sees.
async fn failed<H: Hop>(
    downstream: &mut Wire,
    hop: &mut H,
    head: &RequestHead,
    record: &mut Record,
    (failure, rest): (Failure, BodyReader),
    shared: &Shared,
) -> Next {
    match failure {
        Failure::Downstream(None) => {
            record.flags.push(ResponseFlag::DownstreamConnectionTermination);
            "downstream_remote_disconnect".clone_into(&mut record.details);
            Next::Reset
        }
        Failure::Downstream(Some(error)) if record.status == 0 => {
            record.flags.push(ResponseFlag::DownstreamProtocolError);
            record.details = format!("http1.{}", error.detail());
            let reply = Reply { status: error.status(), body: String::new() };
            answer(downstream, hop, head, record, &reply, rest, shared).await
        }
        Failure::Downstream(Some(error)) => {
            record.flags.push(ResponseFlag::DownstreamProtocolError);
            record.details = format!("http1.{}", error.detail());
            Next::Reset
        }
        Failure::BeforeResponse { error, .. } => {
            record.flags.push(ResponseFlag::UpstreamConnectionTermination);
            record.details = "upstream_reset_before_response_started{connection_termination}".to_owned();
            record.upstream_failure = error.to_string();
            let body =
                "upstream connect error or disconnect/reset before headers. reset reason: connection termination";
            answer(downstream, hop, head, record, &Reply { status: 503, body: body.to_owned() }, rest, shared).await
        }
        Failure::BadResponse(error) => {
            record.flags.push(ResponseFlag::UpstreamProtocolError);
            record.details = format!("upstream_reset_before_response_started{{protocol_error,{}}}", error.detail());
            let body = "upstream connect error or disconnect/reset before headers. reset reason: protocol error";
            answer(downstream, hop, head, record, &Reply { status: 502, body: body.to_owned() }, rest, shared).await
        }
        Failure::MidResponse(error) => {
            record.flags.push(ResponseFlag::UpstreamConnectionTermination);
            record.details = "upstream_reset_after_response_started{connection_termination}".to_owned();
            record.upstream_failure = error;
            // A shorter body must not look whole.
            Next::Reset
        }
    }
}

/// The rest of both connections belongs to another protocol, for as long as it is allowed.
async fn tunnel(downstream: Wire, upstream: Wire, revoked: impl Future<Output = ()>) {
    let mut relay = Relay::new(downstream.stream, upstream.stream, downstream.buffer, upstream.buffer);
    let ended = tokio::select! {
        ended = relay.run() => ended.is_ok(),
        () = revoked => false,
    };
    if !ended {
        reset_on_close(&relay.downstream);
        reset_on_close(&relay.upstream);
    }
}
