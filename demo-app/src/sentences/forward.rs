//! The request headers that travel on to the next service, and how headers and lists look in Python.
//!
//! Called by [`super::roles`]. W3C trace context, User-Agent and x-version stay behind on purpose: the exercises show
//! what happens to headers an application does not forward.

use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};

/// The headers every role forwards: B3 tracing, Envoy's, and two of the application's own.
const FORWARDED: [&str; 11] = [
    "x-request-id",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "b3",
    "x-client-trace-id",
    "x-envoy-force-trace",
    "x-test",
    "authorization",
];

/// The value `random` punishes with a slow answer, sent when the simulated bug strikes.
pub const BAD_AUTHORIZATION: HeaderValue = HeaderValue::from_static("12345");

const GOOD_AUTHORIZATION: HeaderValue = HeaderValue::from_static("something-valid");

/// The headers of `received` that are forwarded.
pub fn forwarded(received: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in FORWARDED {
        for value in received.get_all(name) {
            headers.append(name, value.clone());
        }
    }
    headers
}

/// What the sentence role sends: the forwarded headers with Authorization overwritten, so that the end user's own
/// credentials do not travel on.
pub fn with_authorization(received: &HeaderMap, bug: bool) -> HeaderMap {
    let mut headers = forwarded(received);
    headers.insert(AUTHORIZATION, if bug { BAD_AUTHORIZATION } else { GOOD_AUTHORIZATION });
    headers
}

/// Headers as Python prints a dictionary, for the log.
pub fn python_dict(headers: &HeaderMap) -> String {
    let pairs: Vec<_> = headers
        .iter()
        .map(|(name, value)| {
            format!("{}: {}", python_string(name.as_str()), python_string(&String::from_utf8_lossy(value.as_bytes())))
        })
        .collect();
    format!("{{{}}}", pairs.join(", "))
}

/// Texts as Python prints a list of strings: `['Peter', "d'Artagnan"]`.
pub fn python_list(items: &[String]) -> String {
    let items: Vec<_> = items.iter().map(|item| python_string(item)).collect();
    format!("[{}]", items.join(", "))
}

/// A string as Python's repr prints it: single quotes, unless it holds a single quote and no double one.
fn python_string(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut printed = String::from(quote);
    for character in text.chars() {
        match character {
            '\\' => printed.push_str("\\\\"),
            '\n' => printed.push_str("\\n"),
            '\r' => printed.push_str("\\r"),
            '\t' => printed.push_str("\\t"),
            c if c == quote => {
                printed.push('\\');
                printed.push(c);
            }
            c if c.is_control() => printed.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => printed.push(c),
        }
    }
    printed.push(quote);
    printed
}

#[cfg(test)]
mod tests;
