//! The header fields of one head: where each name and value stands, and which of them this hop treats specially.
//!
//! Filled by the head parsers, read by everyone who has a head; the writer copies fields from here in their original spelling.

use std::borrow::Cow;

use bytes::Bytes;

use super::chars::{ascii, is_field_value, is_token_byte, list, trim_whitespace};
use super::error::HeadError;
use super::scan::Span;

/// The most fields a head may have: Envoy's default `max_headers_count`.
pub const MAX_HEADERS: usize = 100;

/// Fields that mean something to the hop itself; all others are `Other`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Other,
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    KeepAlive,
    ProxyConnection,
    Te,
    Upgrade,
    Http2Settings,
    Expect,
    Trailer,
    FramingLookalike,
}

impl Kind {
    /// Looks at the length first, so that most names cost one comparison of integers.
    pub(super) fn of(name: &[u8]) -> Self {
        let candidates: &[(&[u8], Self)] = match name.len() {
            2 => &[(b"te", Self::Te)],
            4 => &[(b"host", Self::Host)],
            6 => &[(b"expect", Self::Expect)],
            7 => &[(b"upgrade", Self::Upgrade), (b"trailer", Self::Trailer)],
            10 => &[(b"connection", Self::Connection), (b"keep-alive", Self::KeepAlive)],
            14 => &[
                (b"content-length", Self::ContentLength),
                (b"http2-settings", Self::Http2Settings),
                (b"content_length", Self::FramingLookalike),
            ],
            16 => &[(b"proxy-connection", Self::ProxyConnection)],
            17 => &[(b"transfer-encoding", Self::TransferEncoding), (b"transfer_encoding", Self::FramingLookalike)],
            _ => &[],
        };
        candidates.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map_or(Self::Other, |(_, kind)| *kind)
    }
}

/// One field. Sixteen bits are enough, because a head is at most 60 KiB.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    name_start: u16,
    name_len: u16,
    value_start: u16,
    value_len: u16,
    pub(super) kind: Kind,
    /// Named by the `Connection` field, so it ends at this hop.
    pub(super) nominated: bool,
}

impl Field {
    /// Reads one header line, which begins at `start` in the head and has no line end. Returns the field and its value.
    pub(super) fn parse(line: &[u8], start: usize) -> Result<(Self, &[u8]), HeadError> {
        if let Some(b' ' | b'\t') = line.first() {
            return Err(HeadError::ObsoleteFold);
        }
        let name_len = line.iter().position(|&byte| !is_token_byte(byte)).unwrap_or(line.len());
        match line.get(name_len) {
            Some(b':') if name_len > 0 => {}
            Some(b' ' | b'\t') if trim_whitespace(&line[name_len..]).starts_with(b":") => {
                return Err(HeadError::SpaceBeforeColon);
            }
            _ => return Err(HeadError::InvalidHeaderName),
        }
        let after_colon = &line[name_len + 1..];
        if !is_field_value(after_colon) {
            return Err(HeadError::InvalidHeaderValue);
        }
        let value = trim_whitespace(after_colon);
        let leading = after_colon.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let kind = Kind::of(&line[..name_len]);
        if kind == Kind::FramingLookalike {
            return Err(HeadError::FramingLookalike);
        }
        let field = Self {
            name_start: start as u16,
            name_len: name_len as u16,
            value_start: (start + name_len + 1 + leading) as u16,
            value_len: value.len() as u16,
            kind,
            nominated: false,
        };
        Ok((field, value))
    }

    pub(super) fn name(self, bytes: &[u8]) -> &[u8] {
        slice(bytes, self.name_start, self.name_len)
    }

    pub(super) fn value(self, bytes: &[u8]) -> &[u8] {
        slice(bytes, self.value_start, self.value_len)
    }

    pub(super) fn value_span(self) -> Span {
        let start = usize::from(self.value_start);
        Span::new(start..start + usize::from(self.value_len))
    }

    /// The whole line with its CRLF, when it is spelled `name: value` without further white space; else it is written anew.
    pub(super) fn plain_line(self, bytes: &[u8]) -> Option<std::ops::Range<usize>> {
        let start = usize::from(self.name_start);
        let value_start = usize::from(self.value_start);
        let end = value_start + usize::from(self.value_len);
        let is_plain = value_start == start + usize::from(self.name_len) + 2
            && bytes.get(value_start - 1) == Some(&b' ')
            && bytes.get(end..end + 2) == Some(b"\r\n");
        is_plain.then_some(start..end + 2)
    }
}

/// The fields of a head, in the order and spelling of the sender. Names are compared without case.
#[derive(Debug, Clone)]
pub struct Headers {
    pub(super) bytes: Bytes,
    pub(super) fields: Vec<Field>,
}

impl Headers {
    /// How many field lines there are.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is no field at all.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The first value of `name`.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// The first value of `name` as text; `None` also when it is not UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Every value of `name`, one per line.
    pub fn all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.fields
            .iter()
            .filter(move |field| {
                usize::from(field.name_len) == name.len()
                    && field.name(&self.bytes).eq_ignore_ascii_case(name.as_bytes())
            })
            .map(|field| field.value(&self.bytes))
    }

    /// All values of `name` joined by commas, as a matcher must see them (RFC 9110 section 5.3).
    pub fn joined(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let mut values =
            self.fields.iter().filter(|field| field.name(&self.bytes).eq_ignore_ascii_case(name.as_bytes()));
        let mut joined = Cow::Borrowed(values.next()?.value(&self.bytes));
        for field in values {
            let all = joined.to_mut();
            all.push(b',');
            all.extend_from_slice(field.value(&self.bytes));
        }
        Some(joined)
    }

    /// Whether the list field `name` has `token` among its elements, in any line and any case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.all(name).any(|value| list(value).any(|element| element.eq_ignore_ascii_case(token.as_bytes())))
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|field| (ascii(field.name(&self.bytes)), field.value(&self.bytes)))
    }
}

fn slice(bytes: &[u8], start: u16, len: u16) -> &[u8] {
    bytes.get(usize::from(start)..usize::from(start) + usize::from(len)).unwrap_or_default()
}
