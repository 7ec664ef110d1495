//! A request that came in HTTP/1 to an upstream that speaks HTTP/2.

use std::{cell::Cell, future::pending};

use http::{
    HeaderValue, Method, Response, StatusCode,
    header::CONTENT_LENGTH,
    uri::{Authority, PathAndQuery},
};

use super::{
    body::{Broken, Replay},
    call::{End, attend},
    connections::Call,
    exchange::{Client, Failure},
    head::{self, RequestHead},
    http1_leg::{Http1Sink, Http1Source, Leg, fields},
    mirror::RequestCopy,
    to_http1::put_fields,
};
use crate::dataplane::{
    Shared,
    http::{Choice, Hop, Next, Wire, answer::answer, record::Record, serve::Reply},
    http1::{self, BodyLength, BodyReader, HeaderEdits, RequestEdits, Version},
};

/// A request of which the body's reader has read nothing yet.
pub struct Http1Request<'a> {
    /// Its head.
    pub head: &'a http1::RequestHead,
    /// Changes to it.
    pub edits: &'a RequestEdits<'static>,
    /// What follows it.
    pub body: BodyReader,
}

/// Passes a request and its response.
pub async fn from_http1<H: Hop>(
    downstream: &mut Wire,
    request: Http1Request<'_>,
    call: Call,
    hop: &mut H,
    record: &mut Record,
    shared: &Shared,
) -> Next {
    let Http1Request { head, edits, body } = request;
    let Some(converted) = convert(head) else {
        let reply = Reply { status: 400, body: String::new() };
        return answer(downstream, hop, head, record, &reply, body, shared).await;
    };
    let is_empty = body.is_complete();
    let leg = Leg::new(&mut *downstream);
    let mut client = Http1Client {
        leg: &leg,
        version: head.version(),
        is_head: head.method() == "HEAD",
        keep_alive: head.keep_alive() && !shared.drain.is_retiring(),
        goes_on: Cell::new(false),
    };
    let mut body = Replay::new(Http1Source::new(&leg, body), is_empty);
    body.copy_to(hop.mirrors().and_then(|mirrors| RequestCopy::begin(mirrors, &converted, edits)));
    let end = attend(Choice::Call(call), &converted, edits, &mut body, &mut client, hop, record).await;
    let goes_on = client.goes_on.get();
    let is_read = leg.is_read.get();
    let reply = match end {
        End::Passed if goes_on && is_read => return Next::Request,
        End::Passed => return Next::Close,
        End::Failed(Failure::Downstream(_) | Failure::Mid(_)) | End::Revoked => return Next::Reset,
        End::Failed(Failure::Before { broken, .. }) => broken.reply(),
        End::Reply(reply) => reply,
    };
    // The rest of a body of which some was read is nobody's next request.
    let rest = BodyReader::new(if is_read { BodyLength::Empty } else { BodyLength::UntilClose });
    answer(downstream, hop, head, record, &reply, rest, shared).await
}

/// `None` for what cannot be said in HTTP/2: a target without a host.
fn convert(head: &http1::RequestHead) -> Option<RequestHead> {
    Some(RequestHead {
        method: Method::from_bytes(head.method().as_bytes()).ok()?,
        target: PathAndQuery::try_from(head.path()).ok()?,
        authority: Authority::try_from(head.authority()?).ok()?,
        headers: {
            let mut headers = fields(head.headers());
            if head.headers().has_token("te", "trailers") {
                headers.insert("te", HeaderValue::from_static("trailers"));
            }
            headers
        },
        protocol: None,
    })
}

struct Http1Client<'a, W> {
    leg: &'a Leg<W>,
    version: Version,
    is_head: bool,
    keep_alive: bool,
    /// The connection carries another request.
    goes_on: Cell<bool>,
}

impl<'a, W: AsMut<Wire>> Client for Http1Client<'a, W> {
    type Body = Http1Sink<'a, W>;

    async fn interim(&mut self, response: Response<()>) {
        // RFC 9110 section 15.2: a 1xx must not reach an HTTP/1.0 client.
        if self.version == Version::Http11 {
            let mut out = Vec::new();
            put_status(&mut out, response.status());
            put_fields(&mut out, response.headers());
            out.extend_from_slice(b"\r\n");
            // Who has left shows at the response.
            let _ = self.leg.write(&out).await;
        }
    }

    async fn begin(
        &mut self,
        response: Response<()>,
        is_whole: bool,
        edits: &HeaderEdits<'static>,
    ) -> Result<(Self::Body, usize), Broken> {
        let response = head::response(response, edits);
        let status = response.status();
        let is_bare = status.is_informational() || status == StatusCode::NO_CONTENT;
        let has_length = response.headers().contains_key(CONTENT_LENGTH);
        let may_have_body = !self.is_head && !is_bare && status != StatusCode::NOT_MODIFIED;
        let is_chunked = !is_whole && !has_length && self.version == Version::Http11;
        let ends_with_connection = !is_whole && !has_length && !is_chunked;
        let keeps = self.keep_alive && !ends_with_connection;
        let mut out = Vec::with_capacity(512);
        put_status(&mut out, status);
        put_fields(&mut out, response.headers());
        if is_whole && !has_length && may_have_body {
            out.extend_from_slice(b"content-length: 0\r\n");
        }
        if is_chunked {
            out.extend_from_slice(b"transfer-encoding: chunked\r\n");
        }
        match (keeps, self.version) {
            (false, _) => out.extend_from_slice(b"connection: close\r\n"),
            (true, Version::Http10) => out.extend_from_slice(b"connection: keep-alive\r\n"),
            (true, Version::Http11) => {}
        }
        out.extend_from_slice(b"\r\n");
        self.leg.write(&out).await?;
        self.goes_on.set(keeps);
        Ok((Http1Sink::new(self.leg, is_chunked), out.len()))
    }

    async fn gone(&mut self) -> Broken {
        // A client that has left shows when it is answered.
        pending().await
    }
}

fn put_status(out: &mut Vec<u8>, status: StatusCode) {
    for part in ["HTTP/1.1 ", status.as_str(), " ", status.canonical_reason().unwrap_or_default(), "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}
