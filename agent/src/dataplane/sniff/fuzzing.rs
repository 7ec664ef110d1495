//! Fuzz target: what a connection looks like never changes once it was told, and waiting has an end.

use super::*;
use crate::dataplane::http1::{Parse, RequestParser};

/// Method, space, target, space, and the version up to its dot.
const WAIT_BYTES_MAX: usize = METHOD_BYTES_MAX + TARGET_BYTES_MAX + 16;

/// Bytes at the begin that arrive one by one.
const EACH_BYTE: usize = 64;

/// First bytes of a connection.
pub fn first(data: &[u8]) {
    let whole = sniff(data);
    let mut told = Sniffed::NeedMore;
    let later = crate::fuzzing::cuts(data).into_iter().filter(|end| *end >= EACH_BYTE);
    for end in (0..data.len().min(EACH_BYTE)).chain(later) {
        let now = sniff(&data[..end]);
        assert!(told == Sniffed::NeedMore || now == told, "{told:?} becomes {now:?} at byte {end}");
        told = now;
    }
    assert!(whole != Sniffed::NeedMore || data.len() <= WAIT_BYTES_MAX, "{} bytes were not enough", data.len());
    assert_eq!(whole == Sniffed::Http2, data.starts_with(HTTP2_PREFACE));
    // What the parser would take for a request of an ordinary method is never given to the opaque path.
    if let Ok(Parse::Complete { head, .. }) = RequestParser::default().parse(data) {
        let is_ordinary =
            head.method().len() <= METHOD_BYTES_MAX && head.method().bytes().all(|byte| byte.is_ascii_alphabetic());
        let begins = data.first().is_some_and(u8::is_ascii_alphabetic);
        assert!(
            !(is_ordinary && begins) || whole == Sniffed::Http1,
            "{whole:?}: {:?}",
            data.escape_ascii().to_string()
        );
    }
}
