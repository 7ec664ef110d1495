//! Reads the head of a response. Called by the relay with whatever the upstream has sent so far.

use bytes::Bytes;

use super::chars::is_field_value;
use super::error::HeadError;
use super::framing::{AnswerTo, BodyLength, FieldReader, Side};
use super::headers::Headers;
use super::scan::{LineScanner, Parse, Span, Version};

/// Reads response heads from one connection, one after the other.
#[derive(Debug, Default)]
pub struct ResponseParser {
    scanner: LineScanner,
    line: Option<StatusLine>,
    fields: FieldReader,
}

#[derive(Debug, Clone, Copy)]
struct StatusLine {
    version: Version,
    status: u16,
    reason: Span,
}

/// A complete, validated response head.
#[derive(Debug, Clone)]
pub struct ResponseHead {
    headers: Headers,
    line: StatusLine,
    body: BodyLength,
    content_length: Option<u64>,
    keep_alive: bool,
}

impl ResponseParser {
    /// Reads a head from `input`, which holds everything received since the previous message ended.
    ///
    /// Call it with the same bytes and more behind them until it is complete. It is then ready for the next message, which after an interim
    /// response ([`ResponseHead::is_interim`]) answers the same request.
    ///
    /// # Errors
    /// The head is refused; answer the client with 502 and close the upstream connection.
    pub fn parse(&mut self, input: &[u8], answer_to: AnswerTo) -> Result<Parse<ResponseHead>, HeadError> {
        let outcome = self.advance(input, answer_to);
        if !matches!(outcome, Ok(Parse::Partial)) {
            *self = Self::default();
        }
        outcome
    }

    fn advance(&mut self, input: &[u8], answer_to: AnswerTo) -> Result<Parse<ResponseHead>, HeadError> {
        if self.line.is_none() && input.first().is_some_and(|&first| first != b'H') {
            return Err(HeadError::NotHttp);
        }
        while let Some(range) = self.scanner.next_line(input)? {
            let start = range.start;
            let line = &input[range];
            match self.line {
                None => self.line = Some(StatusLine::parse(line, start)?),
                Some(status_line) if line.is_empty() => {
                    let consumed = self.scanner.position();
                    let fields = std::mem::take(&mut self.fields);
                    let head = ResponseHead::assemble(&input[..consumed], status_line, fields, answer_to)?;
                    return Ok(Parse::Complete { head, consumed });
                }
                Some(_) => self.fields.read(Side::Response, line, start)?,
            }
        }
        Ok(Parse::Partial)
    }
}

impl StatusLine {
    fn parse(line: &[u8], start: usize) -> Result<Self, HeadError> {
        let version = Version::parse(line.get(..8).unwrap_or_default(), HeadError::InvalidStatusLine)?;
        let (digits, rest) = match line.get(8..) {
            Some([b' ', a, b, c, rest @ ..]) => ([*a, *b, *c], rest),
            _ => return Err(HeadError::InvalidStatusLine),
        };
        if !digits.iter().all(u8::is_ascii_digit) || digits[0] == b'0' {
            return Err(HeadError::InvalidStatusLine);
        }
        let status = digits.iter().fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
        match rest {
            // The space before an empty reason is demanded by RFC 9112 section 4 and often forgotten.
            [] | [b' ', ..] if is_field_value(rest) => {}
            _ => return Err(HeadError::InvalidStatusLine),
        }
        let end = start + line.len();
        Ok(Self { version, status, reason: Span::new((start + 13).min(end)..end) })
    }
}

impl ResponseHead {
    fn assemble(bytes: &[u8], line: StatusLine, reader: FieldReader, answer_to: AnswerTo) -> Result<Self, HeadError> {
        let FieldReader { mut fields, facts } = reader;
        let body = facts.response_body(line.version, line.status, answer_to)?;
        facts.mark_nominated(&mut fields, bytes)?;
        let ends_connection = matches!(body, BodyLength::UntilClose | BodyLength::Tunnel);
        Ok(Self {
            line,
            body,
            content_length: facts.content_length,
            keep_alive: facts.keep_alive(line.version) && !ends_connection,
            headers: Headers { bytes: Bytes::copy_from_slice(bytes), fields },
        })
    }

    /// The status code, 100 to 999.
    pub fn status(&self) -> u16 {
        self.line.status
    }

    /// The reason phrase, possibly empty.
    pub fn reason(&self) -> &[u8] {
        self.line.reason.of(&self.headers.bytes)
    }

    /// The version of the upstream.
    pub fn version(&self) -> Version {
        self.line.version
    }

    /// The header fields.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Whether another response to the same request follows (1xx except 101).
    pub fn is_interim(&self) -> bool {
        self.line.status < 200 && self.line.status != 101
    }

    /// Where the message ends.
    pub fn body(&self) -> BodyLength {
        self.body
    }

    /// How the body goes to a client of `version`: chunked coding does not exist in HTTP/1.0, so it is taken off and the connection's
    /// end becomes the body's end. A later client gets a body that ends with its connection in chunks, as from Envoy: it sees a
    /// truncated body as one, and its own connection goes on.
    pub fn body_for(&self, version: Version) -> BodyLength {
        match (self.body, version) {
            (BodyLength::Chunked, Version::Http10) => BodyLength::UntilClose,
            (BodyLength::UntilClose, Version::Http11) => BodyLength::Chunked,
            (body, _) => body,
        }
    }

    /// Whether the upstream connection may carry another request once this response is complete.
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// The value of `Content-Length`; also set where there is no body (HEAD, 304).
    pub fn content_length(&self) -> Option<u64> {
        self.content_length
    }
}
