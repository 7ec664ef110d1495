//! A second reader of HTTP/1.1, as plain as can be: whole messages, no states, by the words of RFC 9112. It knows nothing
//! of the codec, so that both being wrong in the same way is unlikely.

use super::{AnswerTo, Message};

/// Where a message ends.
#[derive(Debug, PartialEq)]
pub(super) enum Length {
    Bytes(u64),
    Chunked,
    UntilClose,
    Tunnel,
}

type Field = (String, Vec<u8>);

/// Does this field end at the hop that reads it?
pub(super) fn ends_here(name: &str) -> bool {
    let here = [
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "upgrade",
        "http2-settings",
    ];
    here.iter().any(|one| name.eq_ignore_ascii_case(one))
}

/// The body of a request with this head (RFC 9112 section 6.3).
pub(super) fn request_length(head: &[u8]) -> Result<Length, String> {
    // One empty line before a request may be skipped (section 2.2).
    let (start, fields) = lines(head.strip_prefix(b"\r\n").unwrap_or(head))?;
    let words: Vec<&[u8]> = start.split(|byte| *byte == b' ').collect();
    let [method, _, version] = words[..] else { return Err(format!("{} words in the request line", words.len())) };
    let hosts = all(&fields, "host").len();
    if hosts > 1 || (hosts == 0 && version == b"HTTP/1.1") {
        return Err(format!("{hosts} hosts"));
    }
    match stated(&fields)? {
        Some(_)
            if method == b"CONNECT"
                && all(&fields, "content-length")
                    .iter()
                    .any(|value| *value != b"0" && value.iter().any(|digit| *digit != b'0')) =>
        {
            Err("CONNECT with a body".to_owned())
        }
        Some(Length::Chunked) if method == b"CONNECT" || version != b"HTTP/1.1" => {
            Err("chunked is not allowed".to_owned())
        }
        Some(length) => Ok(length),
        None => Ok(Length::Bytes(0)),
    }
}

/// The body of a response with this head.
pub(super) fn response_length(head: &[u8], answer_to: AnswerTo) -> Result<Length, String> {
    let (start, fields) = lines(head)?;
    let status: u16 = std::str::from_utf8(start.get(9..12).unwrap_or_default())
        .map_err(|error| error.to_string())?
        .parse()
        .map_err(|error| format!("status: {error}"))?;
    let stated = stated(&fields)?;
    Ok(match (status, stated) {
        (101, _) => Length::Tunnel,
        (200..300, _) if answer_to.is_connect && status != 204 => Length::Tunnel,
        (204, _) if answer_to.is_connect => Length::Tunnel,
        (100..200 | 204, Some(length)) if length != Length::Bytes(0) => {
            return Err(format!("{status} with {length:?}"));
        }
        (100..200 | 204 | 304, _) => Length::Bytes(0),
        _ if answer_to.is_head => Length::Bytes(0),
        (_, Some(Length::Chunked)) if start.starts_with(b"HTTP/1.0") => return Err("chunked in HTTP/1.0".to_owned()),
        (_, Some(length)) => length,
        (_, None) => Length::UntilClose,
    })
}

/// All requests of a connection, complete ones alone.
pub(super) fn requests(mut wire: &[u8]) -> Result<Vec<Message>, String> {
    let mut found = Vec::new();
    while !wire.is_empty() {
        let end = find(wire, b"\r\n\r\n").ok_or("an incomplete head")? + 4;
        let (head, rest) = wire.split_at(end);
        let (start, fields) = lines(head)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let words: Vec<String> = start.split(|byte| *byte == b' ').map(text).collect();
        let (payload, taken) = match request_length(head)? {
            Length::Bytes(length) => {
                let length = usize::try_from(length).map_err(|error| error.to_string())?;
                (rest.get(..length).ok_or("an incomplete body")?.to_vec(), length)
            }
            Length::Chunked => dechunk(rest)?,
            other => return Err(format!("a request with {other:?}")),
        };
        let host = text(all(&fields, "host").first().copied().unwrap_or_default());
        let fields = fields.into_iter().filter(|(name, _)| !ends_here(name)).collect();
        found.push(Message { start: vec![words[0].clone(), words[1].clone(), host], fields, payload });
        wire = &rest[taken..];
    }
    Ok(found)
}

/// Takes chunked coding off: the payload, and the bytes that the body has on the wire.
pub(super) fn dechunk(wire: &[u8]) -> Result<(Vec<u8>, usize), String> {
    let (mut payload, mut at) = (Vec::new(), 0);
    loop {
        let line = at + find(&wire[at..], b"\r\n").ok_or("no end of a chunk line")?;
        let size = wire[at..line].split(|byte| *byte == b';').next().unwrap_or_default();
        if size.is_empty() || !size.iter().all(u8::is_ascii_hexdigit) {
            return Err(format!("chunk size {:?}", size.escape_ascii().to_string()));
        }
        let digits = String::from_utf8_lossy(size).into_owned();
        let size = usize::from_str_radix(&digits, 16).map_err(|error| error.to_string())?;
        at = line + 2;
        if size == 0 {
            break;
        }
        let end = at.checked_add(size).ok_or("a chunk beyond all memory")?;
        payload.extend_from_slice(wire.get(at..end).ok_or("an incomplete chunk")?);
        if wire.get(end..end + 2) != Some(b"\r\n") {
            return Err("no line end behind a chunk".to_owned());
        }
        at = end + 2;
    }
    loop {
        let line = at + find(&wire[at..], b"\r\n").ok_or("no end of the trailers")?;
        let is_last = line == at;
        let trailer = &wire[at..line];
        at = line + 2;
        if is_last {
            return Ok((payload, at));
        }
        let (name, _) = field(trailer)?;
        if ends_here(&name) {
            return Err(format!("trailer {name}"));
        }
    }
}

/// The length that the fields state; never in two ways.
fn stated(fields: &[Field]) -> Result<Option<Length>, String> {
    match (&all(fields, "content-length")[..], &all(fields, "transfer-encoding")[..]) {
        ([], []) => Ok(None),
        ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Some(Length::Chunked)),
        ([digits], []) if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {
            let number: i64 = String::from_utf8_lossy(digits).parse().map_err(|error| format!("length: {error}"))?;
            Ok(Some(Length::Bytes(number as u64)))
        }
        (lengths, codings) => {
            Err(format!("{} lengths and {} codings, or malformed ones", lengths.len(), codings.len()))
        }
    }
}

fn all<'a>(fields: &'a [Field], wanted: &str) -> Vec<&'a [u8]> {
    fields.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.as_slice()).collect()
}

/// The start line and the fields of a head.
fn lines(head: &[u8]) -> Result<(&[u8], Vec<Field>), String> {
    let head = head.strip_suffix(b"\r\n\r\n").ok_or("no empty line at the end")?;
    let mut lines = Vec::new();
    let mut rest = head;
    while let Some(end) = find(rest, b"\r\n") {
        lines.push(&rest[..end]);
        rest = &rest[end + 2..];
    }
    lines.push(rest);
    if lines.iter().any(|line| line.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))) {
        return Err("a bare CR, LF or NUL".to_owned());
    }
    let fields = lines[1..].iter().map(|line| field(line)).collect::<Result<_, _>>()?;
    Ok((lines[0], fields))
}

fn field(line: &[u8]) -> Result<Field, String> {
    let colon = line.iter().position(|byte| *byte == b':').ok_or("a field without a colon")?;
    let name = &line[..colon];
    if name.is_empty() || !name.iter().all(|byte| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(byte)) {
        return Err(format!("field name {:?}", name.escape_ascii().to_string()));
    }
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let value = &line[colon + 1..];
    let start = value.iter().position(|byte| !is_space(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
    Ok((String::from_utf8_lossy(name).to_ascii_lowercase(), value[start..end].to_vec()))
}

fn find(wire: &[u8], what: &[u8]) -> Option<usize> {
    wire.windows(what.len()).position(|window| window == what)
}
