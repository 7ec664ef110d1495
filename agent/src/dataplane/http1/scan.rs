//! Cuts the bytes of a head into lines, once, however slowly they arrive. Used by the two head parsers.

use std::ops::Range;

use super::chars::ascii;
use super::error::HeadError;

/// The longest head that is read: Envoy's default `max_request_headers_kb` of 60, in bytes. Includes the start line.
pub const MAX_HEAD_BYTES: usize = 60 * 1024;

/// What came of looking for a head.
#[derive(Debug)]
pub enum Parse<T> {
    /// The head is not complete: call again with the same bytes and more behind them.
    Partial,
    /// The head is complete.
    Complete {
        /// The parsed head.
        head: T,
        /// How many bytes of the input belong to it; what follows is the body.
        consumed: usize,
    },
}

/// The protocol version of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// HTTP/1.0: no chunked coding; connections close unless asked to stay.
    Http10,
    /// HTTP/1.1.
    Http11,
}

impl Version {
    /// Reads `HTTP/1.0` or `HTTP/1.1`; another well-formed version is refused as such, anything else with `malformed`.
    pub(super) fn parse(bytes: &[u8], malformed: HeadError) -> Result<Self, HeadError> {
        match bytes {
            b"HTTP/1.1" => Ok(Self::Http11),
            b"HTTP/1.0" => Ok(Self::Http10),
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit() => {
                Err(HeadError::UnsupportedVersion)
            }
            _ => Err(malformed),
        }
    }
}

/// A range inside the bytes of a head.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// Heads are bounded by [`MAX_HEAD_BYTES`], so positions always fit.
    pub(super) fn new(range: Range<usize>) -> Self {
        Self { start: range.start as u32, end: range.end as u32 }
    }

    pub(super) fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    pub(super) fn text(self, bytes: &[u8]) -> &str {
        ascii(self.of(bytes))
    }
}

/// Finds line ends and remembers how far it has looked, so that a sender of single bytes costs no more than any other.
#[derive(Debug, Default)]
pub(super) struct LineScanner {
    line_start: usize,
    searched: usize,
}

impl LineScanner {
    /// Where the next line begins; after the empty line, the length of the head.
    pub(super) fn position(&self) -> usize {
        self.line_start
    }

    /// The next complete line without its CRLF; `None` when more bytes are needed.
    pub(super) fn next_line(&mut self, input: &[u8]) -> Result<Option<Range<usize>>, HeadError> {
        let window = &input[..input.len().min(MAX_HEAD_BYTES)];
        let unseen = window.get(self.searched..).unwrap_or_default();
        let Some(offset) = memchr::memchr(b'\n', unseen) else {
            self.searched = window.len();
            return if input.len() < MAX_HEAD_BYTES { Ok(None) } else { Err(HeadError::HeadTooLarge) };
        };
        let feed = self.searched + offset;
        let line = self.line_start..feed.saturating_sub(1);
        if line.end < line.start || window.get(line.end) != Some(&b'\r') {
            return Err(HeadError::BareLineFeed);
        }
        self.line_start = feed + 1;
        self.searched = feed + 1;
        Ok(Some(line))
    }
}
