//! What do the first bytes of a connection say?

use std::{io, time::Duration};

use bytes::BytesMut;

use crate::net::stream::Stream;

/// The HTTP/2 connection preface (RFC 9113 section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Longest method that is taken for HTTP (`UNSUBSCRIBE` is the longest registered one in use).
const METHOD_BYTES_MAX: usize = 24;

/// Longest request target that is waited for before a request line counts as one; requests may be longer.
const TARGET_BYTES_MAX: usize = 8192;

/// Bytes read at once while sniffing: a ClientHello with a post-quantum key share fits.
const SNIFF_BYTES: usize = 4096;

/// What the first bytes look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sniffed {
    /// An HTTP/1.x request line.
    Http1,
    /// The HTTP/2 preface.
    Http2,
    /// A TLS handshake record.
    Tls,
    /// Something else.
    Other,
    /// Too little to tell.
    NeedMore,
}

/// Looks at the first bytes of a connection.
pub fn sniff(bytes: &[u8]) -> Sniffed {
    let Some(first) = bytes.first() else { return Sniffed::NeedMore };
    if *first == 0x16 {
        // ContentType handshake, then the major version 3 (RFC 8446 section 5.1).
        return match bytes.get(1) {
            None => Sniffed::NeedMore,
            Some(3) => Sniffed::Tls,
            Some(_) => Sniffed::Other,
        };
    }
    if bytes.starts_with(HTTP2_PREFACE) {
        return Sniffed::Http2;
    }
    if HTTP2_PREFACE.starts_with(bytes) {
        return Sniffed::NeedMore;
    }
    sniff_http1(bytes)
}

/// A whole request line: method, target and version (RFC 9112 section 3). Less would not do: `get hello`
/// is memcached's, `HELO host` a mail client's.
fn sniff_http1(bytes: &[u8]) -> Sniffed {
    const VERSION: &[u8] = b"HTTP/1.";
    let method = bytes.iter().take_while(|byte| byte.is_ascii_alphabetic() || **byte == b'-').count();
    if method == 0 || method > METHOD_BYTES_MAX {
        return Sniffed::Other;
    }
    let target = match bytes[method..].split_first() {
        None => return Sniffed::NeedMore,
        Some((b' ', rest)) => rest,
        Some(_) => return Sniffed::Other,
    };
    let length = target.iter().take_while(|byte| **byte > b' ' && **byte != 0x7f).count();
    if length > TARGET_BYTES_MAX {
        return Sniffed::Http1;
    }
    match target[length..].split_first() {
        None => Sniffed::NeedMore,
        Some((b' ', version)) if length > 0 => {
            if version.starts_with(VERSION) {
                Sniffed::Http1
            } else if VERSION.starts_with(version) {
                Sniffed::NeedMore
            } else {
                Sniffed::Other
            }
        }
        Some(_) => Sniffed::Other,
    }
}

/// What waiting for first bytes brought.
#[derive(Debug)]
pub enum First {
    /// Enough bytes to tell; they are in the buffer.
    Bytes(Sniffed),
    /// The peer ended before it said enough; what it said is in the buffer.
    Ended,
    /// Nothing within the wait.
    Silent,
}

/// Reads until the first bytes tell what they are, or `wait` is over.
///
/// # Errors
/// The stream's.
pub async fn first_bytes(stream: &mut Stream, buffer: &mut BytesMut, wait: Duration) -> io::Result<First> {
    let reading = async {
        loop {
            match sniff(buffer) {
                Sniffed::NeedMore => {}
                told => return Ok(First::Bytes(told)),
            }
            if fill(stream, buffer).await? == 0 {
                return Ok(First::Ended);
            }
        }
    };
    tokio::time::timeout(wait, reading).await.unwrap_or(Ok(First::Silent))
}

/// Reads once into the buffer; 0 means the peer has ended.
///
/// # Errors
/// The stream's.
pub async fn fill(stream: &mut Stream, buffer: &mut BytesMut) -> io::Result<usize> {
    std::future::poll_fn(|cx| stream.poll_fill(cx, buffer, SNIFF_BYTES)).await
}

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(test)]
mod tests;
