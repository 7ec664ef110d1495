//! Writes heads for the other hop: the sender's fields in their order and spelling, without those that end here, framed once.

use std::ops::Range;

use bytes::{BufMut, BytesMut};

use super::edits::{HeaderEdits, Persistence, RequestEdits, ResponseEdits};
use super::framing::BodyLength;
use super::headers::{Field, Headers, Kind};
use super::request::RequestHead;
use super::response::ResponseHead;
use super::target::TargetForm;

/// A growing buffer to write to.
pub trait Sink {
    /// Makes room for `additional` bytes.
    fn reserve(&mut self, additional: usize);
    /// Appends `bytes`.
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn reserve(&mut self, additional: usize) {
        Vec::reserve(self, additional);
    }

    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl Sink for BytesMut {
    fn reserve(&mut self, additional: usize) {
        BytesMut::reserve(self, additional);
    }

    fn put(&mut self, bytes: &[u8]) {
        self.put_slice(bytes);
    }
}

/// What is written beyond the received fields: the start line, framing, `Connection`.
const OVERHEAD_BYTES: usize = 256;

/// Appends `head` as it goes upstream.
///
/// The version is always 1.1, an absolute target becomes path and `Host`, and hop-by-hop fields are dropped. Fields that `edits` adds are not
/// subject to what the client's `Connection` names, so a client cannot drop what the proxy says about it.
pub fn write_request_head(out: &mut impl Sink, head: &RequestHead, edits: &RequestEdits<'_>) {
    let headers = head.headers();
    out.reserve(headers.bytes.len() + added_bytes(&edits.headers) + OVERHEAD_BYTES);
    let authority = edits.authority.as_deref().or(head.authority()).unwrap_or_default();
    let is_connect = head.target_form() == TargetForm::Authority;
    let target = match (&edits.path, &edits.authority) {
        (_, Some(authority)) if is_connect => authority,
        (Some(path), _) if !is_connect => path,
        _ => head.path(),
    };
    for part in [edits.method.as_deref().filter(|_| !is_connect).unwrap_or(head.method()), " ", target, " HTTP/1.1\r\n"]
    {
        out.put(part.as_bytes());
    }
    let body = edits.body.unwrap_or(head.body());
    let keeps_framing = body == head.body();
    let upgrades = edits.upgrade && head.upgrade().is_some();
    let mut fields = FieldWriter::new(out, headers, &edits.headers);
    let mut has_host = false;
    for &field in &headers.fields {
        match field.kind {
            Kind::Host => {
                has_host = true;
                fields.write(field, authority.as_bytes());
            }
            Kind::ContentLength if keeps_framing && !is_connect => {
                fields.write_decimal(field, head.content_length().unwrap_or_default());
            }
            Kind::TransferEncoding if keeps_framing => fields.write(field, b"chunked"),
            Kind::Upgrade if upgrades => fields.copy(field),
            Kind::Te if head.accepts_trailers() => fields.write(field, b"trailers"),
            Kind::Trailer if body == BodyLength::Chunked => fields.copy_unless_changed(field),
            Kind::Expect | Kind::Other => fields.copy_unless_changed(field),
            _ => {}
        }
    }
    fields.finish();
    if !has_host {
        put_field(out, "host", authority.as_bytes());
    }
    if !keeps_framing {
        put_framing(out, body);
    }
    // RFC 9110 section 10.1.4 wants TE to be named, so that an intermediary which does not know it drops it.
    put_connection(out, [(edits.close, "close"), (upgrades, "upgrade"), (head.accepts_trailers(), "te")]);
    put_added(out, &edits.headers);
    out.put(b"\r\n");
}

/// Appends `head` as it goes to the client, with version 1.1.
pub fn write_response_head(out: &mut impl Sink, head: &ResponseHead, edits: &ResponseEdits<'_>) {
    let headers = head.headers();
    out.reserve(headers.bytes.len() + added_bytes(&edits.headers) + OVERHEAD_BYTES);
    put_status(out, head.status(), head.reason());
    let body = edits.body.unwrap_or(head.body());
    let keeps_framing = body == head.body();
    // RFC 9110 section 8.6: never with 1xx, 204 and tunnels, even when the upstream said zero.
    let may_be_framed = head.status() >= 200 && head.status() != 204 && body != BodyLength::Tunnel;
    let upgrades = head.status() == 101;
    let mut fields = FieldWriter::new(out, headers, &edits.headers);
    for &field in &headers.fields {
        match field.kind {
            Kind::ContentLength if may_be_framed && keeps_framing => {
                fields.write_decimal(field, head.content_length().unwrap_or_default());
            }
            Kind::TransferEncoding if keeps_framing && body == BodyLength::Chunked => fields.write(field, b"chunked"),
            Kind::Upgrade if upgrades => fields.copy(field),
            Kind::Trailer if body == BodyLength::Chunked => fields.copy_unless_changed(field),
            Kind::Host | Kind::Expect | Kind::Other => fields.copy_unless_changed(field),
            _ => {}
        }
    }
    fields.finish();
    if may_be_framed && !keeps_framing {
        put_framing(out, body);
    }
    let is_final = !head.is_interim() && !upgrades && body != BodyLength::Tunnel;
    let closes = is_final && (edits.persistence == Persistence::Close || body == BodyLength::UntilClose);
    let keeps = is_final && !closes && edits.persistence == Persistence::KeepAlive;
    put_connection(out, [(closes, "close"), (keeps, "keep-alive"), (upgrades, "upgrade")]);
    put_added(out, &edits.headers);
    out.put(b"\r\n");
}

/// Copies the fields of a head. Neighbouring lines that stay as they are go in one piece.
struct FieldWriter<'a, S> {
    out: &'a mut S,
    headers: &'a Headers,
    edits: &'a HeaderEdits<'a>,
    run: Range<usize>,
}

impl<'a, S: Sink> FieldWriter<'a, S> {
    fn new(out: &'a mut S, headers: &'a Headers, edits: &'a HeaderEdits<'a>) -> Self {
        Self { out, headers, edits, run: 0..0 }
    }

    /// Copies an end-to-end field, unless it is replaced or was named by `Connection`.
    fn copy_unless_changed(&mut self, field: Field) {
        if field.nominated || (!self.edits.is_empty() && self.edits.replaces(field.name(&self.headers.bytes))) {
            return;
        }
        self.copy(field);
    }

    fn copy(&mut self, field: Field) {
        match field.plain_line(&self.headers.bytes) {
            Some(line) if line.start == self.run.end => self.run.end = line.end,
            Some(line) => {
                self.finish();
                self.run = line;
            }
            None => self.write(field, field.value(&self.headers.bytes)),
        }
    }

    /// Writes the field with the sender's name and this value.
    fn write(&mut self, field: Field, value: &[u8]) {
        if field.value(&self.headers.bytes) == value
            && let Some(line) = field.plain_line(&self.headers.bytes)
            && line.start == self.run.end
        {
            self.run.end = line.end;
            return;
        }
        self.finish();
        let name = field.name(&self.headers.bytes);
        for part in [name, b": ", value, b"\r\n"] {
            self.out.put(part);
        }
    }

    fn write_decimal(&mut self, field: Field, number: u64) {
        let mut digits = [0; 20];
        self.write(field, decimal(number, &mut digits));
    }

    fn finish(&mut self) {
        let run = std::mem::take(&mut self.run);
        if !run.is_empty() {
            self.out.put(&self.headers.bytes[run]);
        }
    }
}

/// Appends a status line; a missing reason phrase is looked up.
pub(super) fn put_status(out: &mut impl Sink, status: u16, reason: &[u8]) {
    let known = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let reason = if reason.is_empty() { known.unwrap_or_default().as_bytes() } else { reason };
    let mut digits = [0; 20];
    for part in [b"HTTP/1.1 ", decimal(u64::from(status), &mut digits), b" ", reason, b"\r\n"] {
        out.put(part);
    }
}

pub(super) fn put_field(out: &mut impl Sink, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.put(part);
    }
}

/// States how long the body is, for a body that is framed by us.
pub(super) fn put_framing(out: &mut impl Sink, body: BodyLength) {
    match body {
        BodyLength::Length(length) => put_field(out, "content-length", decimal(length, &mut [0; 20])),
        BodyLength::Chunked => put_field(out, "transfer-encoding", b"chunked"),
        BodyLength::Empty | BodyLength::UntilClose | BodyLength::Tunnel => {}
    }
}

pub(super) fn put_connection<const N: usize>(out: &mut impl Sink, options: [(bool, &str); N]) {
    let mut separator = "connection: ";
    for (_, option) in options.iter().filter(|(applies, _)| *applies) {
        out.put(separator.as_bytes());
        out.put(option.as_bytes());
        separator = ", ";
    }
    if separator == ", " {
        out.put(b"\r\n");
    }
}

pub(super) fn put_added(out: &mut impl Sink, edits: &HeaderEdits<'_>) {
    for (name, value) in edits.added() {
        put_field(out, name, value.as_bytes());
    }
}

fn added_bytes(edits: &HeaderEdits<'_>) -> usize {
    edits.added().map(|(name, value)| name.len() + value.len() + 4).sum()
}

/// The digits of `number`, at the end of `buffer`.
pub(super) fn decimal(mut number: u64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut start = buffer.len();
    loop {
        start -= 1;
        buffer[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 || start == 0 {
            return &buffer[start..];
        }
    }
}
