//! Answers that the proxy gives itself: denials, faults, redirects, upstream failures. The relay decides which; here they become bytes.

use super::edits::{HeaderEdits, Persistence};
use super::framing::BodyLength;
use super::write::{Sink, put_added, put_connection, put_field, put_framing, put_status};

/// Lets a client send the body it announced with `Expect: 100-continue`.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// An answer of the proxy itself.
#[derive(Debug)]
pub struct LocalReply<'a> {
    /// The status code.
    pub status: u16,
    /// The text, empty for none; sent as `text/plain` unless `headers` names another type.
    pub body: &'a [u8],
    /// Further fields, for example `server`, `date`, `location`.
    pub headers: &'a HeaderEdits<'a>,
    /// What becomes of the connection. Close it when the rest of a request was not read, since it would be taken for the next request.
    pub persistence: Persistence,
    /// Answers a HEAD request: the length is stated, the body is not sent.
    pub is_head: bool,
}

impl LocalReply<'_> {
    /// Appends the whole answer.
    pub fn write(&self, out: &mut impl Sink) {
        let has_body = self.status >= 200 && !matches!(self.status, 204 | 304);
        let body = if has_body { self.body } else { &[] };
        out.reserve(body.len() + 512);
        put_status(out, self.status, b"");
        if has_body {
            put_framing(out, BodyLength::Length(body.len() as u64));
        }
        if !body.is_empty() && !self.headers.added().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            put_field(out, "content-type", b"text/plain");
        }
        let persistence = [
            (self.persistence == Persistence::Close, "close"),
            (self.persistence == Persistence::KeepAlive, "keep-alive"),
        ];
        put_connection(out, persistence);
        put_added(out, self.headers);
        out.put(b"\r\n");
        if !self.is_head {
            out.put(body);
        }
    }
}
