//! The HTTP/1.x codec of the lean relay: bytes in, bytes out; no sockets, no clock, no async.
//!
//! The relay reads a head with [`RequestParser`] or [`ResponseParser`], follows the body with [`BodyReader`], and writes the
//! head for the other hop with [`write_request_head`] or [`write_response_head`]; answers of the proxy itself come from
//! [`LocalReply`]. Which request is allowed, where it goes and how long it may take is decided elsewhere.
//!
//! The bytes come from strangers, and the next hop will read them again with a parser of its own. So whatever two parsers
//! could read differently is refused, never repaired: a message is either unambiguous or it is answered with an error.
//! What is forwarded is framed by us: hop-by-hop fields are dropped, and the length is stated exactly once.
//!
//! Reading order: `request` and `response` (a head, line by line) over `scan`, `target`, `headers` and `framing`;
//! then `body` over `chunked`; then `edits`, `write` and `reply`.

mod body;
mod chars;
mod chunked;
mod edits;
mod error;
mod framing;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod headers;
mod reply;
mod request;
mod response;
mod scan;
mod target;
mod write;

pub use body::{BodyReader, Progress};
pub use chars::is_authority;
pub use chunked::{ChunkedDecoder, LAST_CHUNK, MAX_CHUNK_DIGITS, MAX_TRAILER_BYTES, MAX_TRAILERS, encode_chunk};
pub use edits::{HeaderEdits, InvalidEdit, Persistence, RequestEdits, ResponseEdits};
pub use error::{BodyError, HeadError};
pub use framing::{AnswerTo, BodyLength, MAX_NOMINATED};
pub use headers::{Headers, MAX_HEADERS};
pub use reply::{CONTINUE, LocalReply};
pub use request::{RequestHead, RequestParser};
pub use response::{ResponseHead, ResponseParser};
pub use scan::{MAX_HEAD_BYTES, Parse, Version};
pub use target::TargetForm;
pub use write::{Sink, write_request_head, write_response_head};

#[cfg(test)]
mod tests;
