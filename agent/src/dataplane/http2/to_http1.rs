//! A request that came in HTTP/2 to an upstream that speaks HTTP/1.1.

use bytes::{Buf, Bytes, BytesMut};
use http::{
    HeaderMap, Response, StatusCode,
    header::{CONTENT_LENGTH, COOKIE},
};

use super::{
    body::{Broken, Replay, Source},
    exchange::{Answer, Client, Failure, Heard, Upstream, exchange},
    head::{RequestHead, apply, strip},
    http1_leg::{Http1Sink, Http1Source, Leg, broken, fields},
};
use crate::dataplane::{
    http::{Wire, exchange::AnswerHook, head::Head as _, record::Record},
    http1::{AnswerTo, BodyReader, LAST_CHUNK, Parse, RequestEdits, ResponseHead, ResponseParser, encode_chunk},
};

/// Passes a request and its response; returns the connection when it can carry another exchange.
pub(super) async fn over_http1<S: Source>(
    wire: Wire,
    head: &RequestHead,
    edits: &RequestEdits<'static>,
    body: &mut Replay<S>,
    client: &mut impl Client,
    hook: &mut impl AnswerHook,
    record: &mut Record,
) -> Result<Option<Wire>, Failure> {
    let leg = Leg::new(wire);
    let is_empty = body.is_empty();
    let (bytes, is_chunked) = write_head(head, edits, is_empty);
    leg.write(&bytes).await.map_err(|broken| Failure::Before { broken, is_unseen: false })?;
    leg.is_written.set(is_empty);
    let keeps = std::cell::Cell::new(false);
    let upstream = Http1Upstream {
        leg: &leg,
        parser: ResponseParser::default(),
        answer_to: AnswerTo { is_head: head.method() == "HEAD", is_connect: false, wants_upgrade: false },
        keeps: &keeps,
    };
    exchange(client, body, &mut Http1Sink::new(&leg, is_chunked), upstream, hook, record).await?;
    let is_reusable = keeps.get() && leg.is_read.get() && leg.is_written.get();
    Ok(is_reusable.then(|| leg.into_wire()).filter(|wire| wire.buffer.is_empty()).map(|mut wire| {
        wire.reused = true;
        wire.shed();
        wire
    }))
}

/// The head as it goes upstream; true when the body goes in chunks.
fn write_head(head: &RequestHead, edits: &RequestEdits<'static>, is_empty: bool) -> (Vec<u8>, bool) {
    let mut headers = head.headers.clone();
    strip(&mut headers);
    apply(&edits.headers, &mut headers);
    let mut out = Vec::with_capacity(head.bytes() + 256);
    for part in
        [head.method.as_str(), " ", head.target.as_str(), " HTTP/1.1\r\nhost: ", head.authority.as_str(), "\r\n"]
    {
        out.extend_from_slice(part.as_bytes());
    }
    join_cookies(&mut headers);
    put_fields(&mut out, &headers);
    if headers.contains_key("te") {
        // RFC 9110 section 10.1.4.
        out.extend_from_slice(b"connection: te\r\n");
    }
    let is_chunked = !is_empty && !headers.contains_key(CONTENT_LENGTH);
    if is_chunked {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    out.extend_from_slice(b"\r\n");
    (out, is_chunked)
}

/// A whole request as it goes upstream.
pub(super) fn write_whole(head: &RequestHead, edits: &RequestEdits<'static>, pieces: &[Bytes]) -> BytesMut {
    let (bytes, is_chunked) = write_head(head, edits, pieces.is_empty());
    let mut whole = BytesMut::from(&*bytes);
    for piece in pieces {
        if is_chunked {
            encode_chunk(&mut whole, piece);
        } else {
            whole.extend_from_slice(piece);
        }
    }
    if is_chunked {
        whole.extend_from_slice(LAST_CHUNK);
    }
    whole
}

/// HTTP/2 may send a cookie in pieces, HTTP/1 may not (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_some() {
        let all: Vec<_> = headers.get_all(COOKIE).iter().map(|value| value.as_bytes().to_vec()).collect();
        // Values joined by characters that are valid in one.
        if let Ok(joined) = http::HeaderValue::from_bytes(&all.join(&b"; "[..])) {
            headers.insert(COOKIE, joined);
        }
    }
}

/// Writes fields as HTTP/1 does.
pub(super) fn put_fields(out: &mut Vec<u8>, headers: &HeaderMap) {
    for (name, value) in headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
}

struct Http1Upstream<'a> {
    leg: &'a Leg<Wire>,
    parser: ResponseParser,
    answer_to: AnswerTo,
    /// The upstream keeps the connection.
    keeps: &'a std::cell::Cell<bool>,
}

impl<'a> Upstream for Http1Upstream<'a> {
    type Body = Http1Source<'a, Wire>;

    async fn hear(&mut self) -> Result<Heard<Self::Body>, Failure> {
        let failed = |broken| Failure::Before { broken, is_unseen: false };
        loop {
            let parsed = self.leg.with_buffer(|buffer| {
                if buffer.is_empty() {
                    return Ok(None);
                }
                match self.parser.parse(buffer, self.answer_to) {
                    Ok(Parse::Complete { head, consumed }) => {
                        buffer.advance(consumed);
                        Ok(Some(head))
                    }
                    Ok(Parse::Partial) => Ok(None),
                    Err(error) => Err(failed(Broken::Protocol(error.to_string()))),
                }
            })?;
            if let Some(head) = parsed {
                return Ok(self.heard(&head));
            }
            match self.leg.fill().await {
                Ok(0) => {
                    let broken = Broken::Connection("unexpected end of file".to_owned());
                    return Err(Failure::Before { broken, is_unseen: self.leg.ended_unseen(None) });
                }
                Ok(_) => {}
                Err(error) => {
                    let is_unseen = self.leg.ended_unseen(Some(&error));
                    return Err(Failure::Before { broken: broken(error), is_unseen });
                }
            }
        }
    }
}

impl<'a> Http1Upstream<'a> {
    fn heard(&self, head: &ResponseHead) -> Heard<Http1Source<'a, Wire>> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(head.status()).unwrap_or(StatusCode::BAD_GATEWAY);
        *response.headers_mut() = fields(head.headers());
        if head.is_interim() {
            return Heard::Interim(response);
        }
        self.keeps.set(head.keep_alive());
        let reader = BodyReader::new(head.body());
        let is_whole = reader.is_complete();
        Heard::Answer(Answer { head: response, body: Http1Source::new(self.leg, reader), is_whole })
    }
}

#[cfg(test)]
mod tests;
