//! Reads the head of a request. Called by the relay with whatever the client has sent so far.

use bytes::Bytes;

use super::chars::{is_authority, is_token, is_token_byte};
use super::error::HeadError;
use super::framing::{AnswerTo, BodyLength, FieldReader, Side};
use super::headers::Headers;
use super::scan::{LineScanner, Parse, Span, Version};
use super::target::{Path, Target, TargetForm};

/// Reads request heads from one connection, one after the other.
#[derive(Debug, Default)]
pub struct RequestParser {
    scanner: LineScanner,
    skipped_empty_line: bool,
    line: Option<RequestLine>,
    fields: FieldReader,
}

#[derive(Debug)]
struct RequestLine {
    method: Span,
    target_start: usize,
    target: Target,
    version: Version,
    is_connect: bool,
}

/// A complete, validated request head.
#[derive(Debug, Clone)]
pub struct RequestHead {
    headers: Headers,
    method: Span,
    form: TargetForm,
    scheme: Option<Span>,
    authority: Option<Span>,
    path: Span,
    version: Version,
    body: BodyLength,
    content_length: Option<u64>,
    upgrade: Option<u8>,
    keep_alive: bool,
    expect_continue: bool,
    te_trailers: bool,
}

impl RequestParser {
    /// Reads a head from `input`, which holds everything received since the previous message ended.
    ///
    /// Call it with the same bytes and more behind them until it is complete: lines are looked at once. It is then ready for the next message.
    ///
    /// # Errors
    /// The head is refused; answer with [`HeadError::status`] and close the connection.
    pub fn parse(&mut self, input: &[u8]) -> Result<Parse<RequestHead>, HeadError> {
        let outcome = self.advance(input);
        if !matches!(outcome, Ok(Parse::Partial)) {
            *self = Self::default();
        }
        outcome
    }

    fn advance(&mut self, input: &[u8]) -> Result<Parse<RequestHead>, HeadError> {
        loop {
            if self.line.is_none()
                && let Some(&first) = input.get(self.scanner.position())
                && !is_token_byte(first)
                && !matches!(first, b'\r' | b'\n')
            {
                return Err(HeadError::NotHttp);
            }
            let Some(range) = self.scanner.next_line(input)? else {
                return Ok(Parse::Partial);
            };
            let start = range.start;
            let line = &input[range];
            match self.line.take() {
                None if line.is_empty() => {
                    if std::mem::replace(&mut self.skipped_empty_line, true) {
                        return Err(HeadError::LeadingEmptyLines);
                    }
                }
                None => self.line = Some(RequestLine::parse(line, start)?),
                Some(request_line) if line.is_empty() => {
                    let consumed = self.scanner.position();
                    let fields = std::mem::take(&mut self.fields);
                    let head = RequestHead::assemble(&input[..consumed], request_line, fields)?;
                    return Ok(Parse::Complete { head, consumed });
                }
                Some(request_line) => {
                    self.line = Some(request_line);
                    self.fields.read(Side::Request, line, start)?;
                }
            }
        }
    }
}

impl RequestLine {
    fn parse(line: &[u8], start: usize) -> Result<Self, HeadError> {
        let first = line.iter().position(|&byte| byte == b' ').ok_or(HeadError::InvalidRequestLine)?;
        let last = line.iter().rposition(|&byte| byte == b' ').filter(|&last| last > first);
        let last = last.ok_or(HeadError::InvalidRequestLine)?;
        let method = &line[..first];
        if !is_token(method) {
            return Err(HeadError::InvalidMethod);
        }
        let version = Version::parse(&line[last + 1..], HeadError::InvalidRequestLine)?;
        Ok(Self {
            method: Span::new(start..start + first),
            target_start: start + first + 1,
            target: Target::parse(method, &line[first + 1..last])?,
            version,
            is_connect: method == b"CONNECT",
        })
    }
}

impl RequestHead {
    fn assemble(bytes: &[u8], line: RequestLine, reader: FieldReader) -> Result<Self, HeadError> {
        let FieldReader { mut fields, facts } = reader;
        let body = facts.request_body(line.version, line.is_connect)?;
        facts.mark_nominated(&mut fields, bytes)?;
        let host = match facts.host.and_then(|index| fields.get(usize::from(index))) {
            Some(field) => Some(field.value(bytes)).filter(|value| !value.is_empty()),
            None => None,
        };
        if host.is_some_and(|host| !is_authority(host, false)) {
            return Err(HeadError::InvalidHost);
        }
        // An absolute target does not excuse a missing Host (RFC 9112 section 3.2.2), an empty one names nothing to route by.
        if line.version == Version::Http11
            && (facts.host.is_none() || (host.is_none() && line.target.authority.is_none()))
        {
            return Err(HeadError::MissingHost);
        }
        let at = line.target_start;
        let absolute = |range: std::ops::Range<usize>| Span::new(at + range.start..at + range.end);
        let written_host = facts.host.and_then(|index| fields.get(usize::from(index))).map(|field| field.value_span());
        let authority = line.target.authority.map(absolute).or(written_host.filter(|_| host.is_some()));
        let (bytes, path) = match line.target.path {
            Path::Written(range) => (Bytes::copy_from_slice(bytes), absolute(range)),
            Path::Implied(start, rest) => append_path(bytes, start, &bytes[at + rest.start..at + rest.end]),
        };
        Ok(Self {
            method: line.method,
            form: line.target.form,
            scheme: line.target.scheme.map(absolute),
            authority,
            path,
            version: line.version,
            body,
            content_length: facts.content_length,
            upgrade: facts.upgrade(line.version, body).filter(|_| !line.is_connect),
            keep_alive: facts.keep_alive(line.version),
            expect_continue: facts.expect_continue && line.version == Version::Http11,
            te_trailers: facts.te_trailers,
            headers: Headers { bytes, fields },
        })
    }

    /// The method, in the sender's case.
    pub fn method(&self) -> &str {
        self.method.text(&self.headers.bytes)
    }

    /// The form of the target as it was sent.
    pub fn target_form(&self) -> TargetForm {
        self.form
    }

    /// The scheme of an absolute target, in the sender's case.
    pub fn scheme(&self) -> Option<&str> {
        self.scheme.map(|span| span.text(&self.headers.bytes))
    }

    /// `host[:port]` by which the request is routed: from the target if it has one, else from `Host`
    /// (RFC 9112 section 3.2.2). `None` only in HTTP/1.0.
    pub fn authority(&self) -> Option<&str> {
        self.authority.map(|span| span.text(&self.headers.bytes))
    }

    /// Path and query as they go to an origin server: begins with `/`, or is `*`; for CONNECT the `host:port` of the target.
    pub fn path(&self) -> &str {
        self.path.text(&self.headers.bytes)
    }

    /// The version of the sender.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The header fields.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Where the message ends.
    pub fn body(&self) -> BodyLength {
        self.body
    }

    /// Whether the client keeps the connection after the answer.
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// The protocols the client offers to switch to, as written in `Upgrade`; `None` also for offers that must be ignored.
    pub fn upgrade(&self) -> Option<&str> {
        let field = self.headers.fields.get(usize::from(self.upgrade?))?;
        std::str::from_utf8(field.value(&self.headers.bytes)).ok()
    }

    /// Whether the client waits for `100 Continue` before it sends the body.
    pub fn expect_continue(&self) -> bool {
        self.expect_continue && !self.body.is_empty()
    }

    /// What the response parser must know of this request; `upgrading` says whether the upgrade was passed on.
    pub fn answer_to(&self, upgrading: bool) -> AnswerTo {
        AnswerTo {
            is_head: self.method() == "HEAD",
            is_connect: self.form == TargetForm::Authority,
            wants_upgrade: upgrading && self.upgrade.is_some(),
        }
    }

    pub(super) fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    pub(super) fn accepts_trailers(&self) -> bool {
        self.te_trailers
    }
}

/// Puts a path that the target only implied behind the head, so that it can be borrowed like any other part.
fn append_path(head: &[u8], start: &str, rest: &[u8]) -> (Bytes, Span) {
    let bytes = [head, start.as_bytes(), rest].concat();
    let span = Span::new(head.len()..bytes.len());
    (Bytes::from(bytes), span)
}
