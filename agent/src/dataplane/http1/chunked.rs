//! Chunked transfer coding (RFC 9112 section 7.1): a strict reader that also tells where the payload is, and a writer.
//!
//! The reader serves two uses. Between HTTP/1.1 hops the wire bytes go on unchanged once it has accepted them; for HTTP/1.0 clients
//! only the payload goes on. It keeps no bytes and allocates nothing.

use std::ops::Range;

use super::body::Progress;
use super::chars::{is_field_byte, is_token_byte};
use super::error::BodyError;
use super::headers::Kind;
use super::write::Sink;

/// The last chunk and an empty trailer section.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The most digits of a chunk size: 16 hold 64 bits. The value itself must stay below 2^63, as next hops count signed.
pub const MAX_CHUNK_DIGITS: u8 = 16;

/// The most bytes of a trailer section.
pub const MAX_TRAILER_BYTES: u32 = 8 * 1024;

/// The most fields of a trailer section.
pub const MAX_TRAILERS: u8 = 32;

/// How many bytes of chunk lines and extensions a body may have beyond a fair share of its payload. The rule and the number are those of
/// Go's `net/http/internal/chunked.go` (CVE-2023-39326).
const MAX_EXCESS: u64 = 16 * 1024;

/// The longest trailer name that must be told apart from the forbidden ones.
const NAME_BYTES: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    SizeStart,
    Size,
    Extension,
    SizeFeed,
    Data,
    DataReturn,
    DataFeed,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerFeed,
    LastFeed,
    Done,
    Failed(BodyError),
}

/// Follows a chunked body byte by byte.
#[derive(Debug, Clone)]
pub struct ChunkedDecoder {
    state: State,
    /// Of the chunk size while it is read, then of its data.
    remaining: u64,
    digits: u8,
    line_bytes: u64,
    excess: u64,
    trailer_bytes: u32,
    trailers: u8,
    name: [u8; NAME_BYTES],
    name_len: usize,
}

impl Default for ChunkedDecoder {
    fn default() -> Self {
        Self {
            state: State::SizeStart,
            remaining: 0,
            digits: 0,
            line_bytes: 0,
            excess: 0,
            trailer_bytes: 0,
            trailers: 0,
            name: [0; NAME_BYTES],
            name_len: 0,
        }
    }
}

impl ChunkedDecoder {
    /// Reads the next bytes of the body and hands every range of `input` that is payload to `on_payload`, in order.
    ///
    /// # Errors
    /// The body is malformed; every later call says the same.
    pub fn decode(&mut self, input: &[u8], mut on_payload: impl FnMut(Range<usize>)) -> Result<Progress, BodyError> {
        let mut at = 0;
        while at < input.len() {
            match self.state {
                State::Done => break,
                State::Data => {
                    let available = (input.len() - at) as u64;
                    // At most `available`, so it fits.
                    let taken = self.remaining.min(available) as usize;
                    on_payload(at..at + taken);
                    self.remaining -= taken as u64;
                    at += taken;
                    if self.remaining == 0 {
                        self.state = State::DataReturn;
                    }
                }
                _ => {
                    self.state = self.next(input[at]).unwrap_or_else(State::Failed);
                    at += 1;
                }
            }
            if let State::Failed(error) = self.state {
                return Err(error);
            }
        }
        match self.state {
            State::Failed(error) => Err(error),
            state => Ok(Progress { taken: at, complete: state == State::Done }),
        }
    }

    /// Whether the last chunk and the trailers have been read.
    pub fn is_complete(&self) -> bool {
        self.state == State::Done
    }

    /// The state behind one byte that is not payload.
    fn next(&mut self, byte: u8) -> Result<State, BodyError> {
        match (self.state, byte) {
            (State::SizeStart | State::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => self.size_digit(byte),
            (State::Size, b';') => {
                self.line_bytes += 1;
                Ok(State::Extension)
            }
            (State::Size | State::Extension, b'\r') => Ok(State::SizeFeed),
            (State::SizeStart | State::Size, _) => Err(BodyError::InvalidChunkSize),
            (State::Extension, _) => self.extension(byte),
            (State::SizeFeed, b'\n') => self.begin_chunk(),
            (State::SizeFeed, _) => Err(BodyError::InvalidChunkLine),
            (State::DataReturn, b'\r') => Ok(State::DataFeed),
            (State::DataFeed, b'\n') => Ok(State::SizeStart),
            (State::DataReturn | State::DataFeed, _) => Err(BodyError::InvalidChunkEnd),
            (State::TrailerStart, b'\r') => Ok(State::LastFeed),
            (State::LastFeed, b'\n') => Ok(State::Done),
            (State::LastFeed, _) => Err(BodyError::InvalidTrailer),
            (State::TrailerStart | State::TrailerName | State::TrailerValue | State::TrailerFeed, _) => {
                self.trailer(byte)
            }
            (State::Data | State::Done | State::Failed(_), _) => Ok(self.state),
        }
    }

    fn size_digit(&mut self, byte: u8) -> Result<State, BodyError> {
        if self.state == State::SizeStart {
            self.remaining = 0;
            self.digits = 0;
            self.line_bytes = 0;
        }
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            _ => (byte | 0x20) - b'a' + 10,
        };
        self.digits += 1;
        self.line_bytes += 1;
        // Below this bound the shift loses no bit and the result stays below 2^63.
        if self.digits > MAX_CHUNK_DIGITS || self.remaining > (i64::MAX as u64) >> 4 {
            return Err(BodyError::InvalidChunkSize);
        }
        self.remaining = (self.remaining << 4) | u64::from(digit);
        Ok(State::Size)
    }

    fn extension(&mut self, byte: u8) -> Result<State, BodyError> {
        self.line_bytes += 1;
        if self.line_bytes > MAX_EXCESS {
            return Err(BodyError::TooMuchChunkOverhead);
        }
        if matches!(byte, b'\t' | 0x20..=0x7e) { Ok(State::Extension) } else { Err(BodyError::InvalidChunkExtension) }
    }

    fn begin_chunk(&mut self) -> Result<State, BodyError> {
        let fair_share = self.remaining.saturating_mul(2).saturating_add(16);
        // Two more for the CRLF behind the data.
        self.excess = (self.excess + self.line_bytes + 2).saturating_sub(fair_share);
        if self.excess > MAX_EXCESS {
            return Err(BodyError::TooMuchChunkOverhead);
        }
        Ok(if self.remaining == 0 { State::TrailerStart } else { State::Data })
    }

    fn trailer(&mut self, byte: u8) -> Result<State, BodyError> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > MAX_TRAILER_BYTES {
            return Err(BodyError::TrailersTooLarge);
        }
        match (self.state, byte) {
            (State::TrailerStart, _) if is_token_byte(byte) => {
                self.trailers += 1;
                if self.trailers > MAX_TRAILERS {
                    return Err(BodyError::TrailersTooLarge);
                }
                self.name_len = 0;
                self.push_name(byte);
                Ok(State::TrailerName)
            }
            (State::TrailerName, b':') => match self.name.get(..self.name_len) {
                Some(name) if is_forbidden_trailer(name) => Err(BodyError::ForbiddenTrailer),
                _ => Ok(State::TrailerValue),
            },
            (State::TrailerName, _) if is_token_byte(byte) => {
                self.push_name(byte);
                Ok(State::TrailerName)
            }
            (State::TrailerValue, b'\r') => Ok(State::TrailerFeed),
            (State::TrailerValue, _) if is_field_byte(byte) => Ok(State::TrailerValue),
            (State::TrailerFeed, b'\n') => Ok(State::TrailerStart),
            _ => Err(BodyError::InvalidTrailer),
        }
    }

    /// Longer names are counted but not kept: none of them is forbidden.
    fn push_name(&mut self, byte: u8) {
        if let Some(slot) = self.name.get_mut(self.name_len) {
            *slot = byte.to_ascii_lowercase();
        }
        self.name_len += 1;
    }
}

/// Fields that change framing, routing or the identity of the sender must not arrive behind the decision they would have influenced.
fn is_forbidden_trailer(name: &[u8]) -> bool {
    !matches!(Kind::of(name), Kind::Other)
        || name.starts_with(b"x-forwarded-")
        || matches!(name, b"authorization" | b"proxy-authorization" | b"cookie" | b"set-cookie" | b"forwarded")
}

/// Appends `payload` as one chunk; an empty payload appends nothing, since an empty chunk would end the body.
pub fn encode_chunk(out: &mut impl Sink, payload: &[u8]) {
    if payload.is_empty() {
        return;
    }
    let mut line = [0_u8; 18];
    let mut start = 16;
    line[16..].copy_from_slice(b"\r\n");
    let mut rest = payload.len();
    while rest > 0 && start > 0 {
        start -= 1;
        line[start] = b"0123456789abcdef"[rest & 0xf];
        rest >>= 4;
    }
    out.reserve(payload.len() + 20);
    out.put(&line[start..]);
    out.put(payload);
    out.put(b"\r\n");
}
