//! Paths as AuthorizationPolicies compare them.

use std::borrow::Cow;

use super::PathPattern;

/// The path in the form that policies compare: Istio's default, normalization `BASE`.
///
/// Many applications read `/x/../admin`, `/%61dmin`, `/x/%2e%2e/admin` and `\admin` as `/admin`. A policy that compared
/// the bytes as sent could be walked around with each of them, so before comparing
/// - percent-encoded unreserved characters are decoded once (RFC 3986 section 6.2.2.2), `%252e` becoming `%2e` is not,
/// - a backslash becomes a slash, as browsers' URL parsers read it,
/// - dot segments are removed (RFC 3986 section 5.2.4).
///
/// Repeated slashes stay and `%2f`, `%5c` are not decoded: Istio does that only with `MERGE_SLASHES` and
/// `DECODE_AND_MERGE_SLASHES`. What does not begin with a slash (`*` of OPTIONS) has no segments and is left alone.
pub fn normalize_path(path: &str) -> Cow<'_, str> {
    let plain = |path: &str| !path.contains(['%', '\\']) && !path.contains("/.");
    if plain(path) || !path.starts_with(['/', '\\', '%']) {
        return path.into();
    }
    let decoded = decode_unreserved(path).replace('\\', "/");
    if !decoded.starts_with('/') { decoded.into() } else { remove_dot_segments(&decoded).into() }
}

fn decode_unreserved(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let code = after.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match code {
            Some(byte) if is_unreserved(byte) => {
                out.push(char::from(byte));
                rest = after.get(2..).unwrap_or("");
            }
            _ => {
                out.push('%');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// RFC 3986 section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn remove_dot_segments(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    // The text before the first slash is empty; a dot segment at the end leaves its slash behind.
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            other => kept.push(other),
        }
    }
    kept.iter().fold(String::with_capacity(path.len()), |out, segment| out + "/" + segment)
}

impl PathPattern {
    /// Does the normalised path match?
    pub fn matches(&self, path: &str) -> bool {
        match self {
            Self::Plain(pattern) => pattern.matches(path),
            Self::Template(template) => template_matches(template, path),
        }
    }
}

/// A part of a URI template.
enum Part<'a> {
    Literal(&'a str),
    /// `{*}`: one non-empty segment, or what is left of it.
    Segment,
    /// `{**}`: anything, slashes included.
    Rest,
}

fn template_matches(template: &str, path: &str) -> bool {
    let bytes = path.as_bytes();
    // reached[i]: the parts so far can match exactly the first i bytes. Following all possibilities at once keeps the
    // cost at parts x bytes, where trying one after the other could be made to take exponential time.
    let mut reached = vec![false; bytes.len() + 1];
    reached[0] = true;
    for part in parts(template) {
        let mut next = vec![false; bytes.len() + 1];
        match part {
            Part::Literal(text) => {
                for start in (0..bytes.len()).filter(|start| reached[*start]) {
                    if bytes[start..].starts_with(text.as_bytes()) {
                        next[start + text.len()] = true;
                    }
                }
            }
            Part::Segment => {
                for end in 1..=bytes.len() {
                    next[end] = bytes[end - 1] != b'/' && (reached[end - 1] || next[end - 1]);
                }
            }
            Part::Rest => {
                next[0] = reached[0];
                for end in 1..=bytes.len() {
                    next[end] = reached[end] || next[end - 1];
                }
            }
        }
        reached = next;
    }
    reached[bytes.len()]
}

fn parts(template: &str) -> Vec<Part<'_>> {
    let mut found = Vec::new();
    let mut rest = template;
    while !rest.is_empty() {
        let (literal, token) = match (rest.find("{*}"), rest.find("{**}")) {
            (Some(one), Some(any)) if any < one => (any, Some((Part::Rest, 4))),
            (Some(one), _) => (one, Some((Part::Segment, 3))),
            (None, Some(any)) => (any, Some((Part::Rest, 4))),
            (None, None) => (rest.len(), None),
        };
        if literal > 0 {
            found.push(Part::Literal(&rest[..literal]));
        }
        let used = token.map_or(0, |(part, length)| {
            found.push(part);
            length
        });
        rest = &rest[literal + used..];
    }
    found
}
