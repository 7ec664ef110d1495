//! Fuzz targets of the codec: pieces make no difference, nothing grows, and what is forwarded is read by an independent
//! reader ([`strict`]) as the very messages that we decided about.

mod strict;

use super::*;
use crate::fuzzing::cuts;

/// Messages of one connection that are followed.
const MESSAGES_MAX: usize = 8;

/// A message as it was understood.
#[derive(Debug, PartialEq)]
pub(super) struct Message {
    start: Vec<String>,
    /// Names in lower case, without those that end at this hop.
    fields: Vec<(String, Vec<u8>)>,
    payload: Vec<u8>,
}

/// What a client sends on a connection, forwarded request by request.
pub fn request(data: &[u8]) {
    let whole = forward(data, &[data.len()]);
    let pieces = forward(data, &cuts(data));
    assert_eq!(whole, pieces, "pieces make a difference");
    let (messages, forwarded, _) = whole;
    match strict::requests(&forwarded) {
        Ok(seen) => assert_eq!(seen, messages, "the next hop sees other requests in {:?}", shown(&forwarded)),
        Err(error) => panic!("the next hop refuses what we forward: {error}: {:?}", shown(&forwarded)),
    }
    // What we wrote we accept, and write again as it is.
    let again = forward(&forwarded, &[forwarded.len()]);
    assert_eq!(shown(&again.1), shown(&forwarded), "forwarding twice makes a difference");
}

/// Why reading a connection stopped.
type End = Option<String>;

fn forward(data: &[u8], cuts: &[usize]) -> (Vec<Message>, Vec<u8>, End) {
    let (mut messages, mut out, mut rest) = (Vec::new(), Vec::new(), data);
    while messages.len() < MESSAGES_MAX {
        let base = data.len() - rest.len();
        let (head, consumed) = match request_head(rest, cuts.iter().filter_map(|cut| cut.checked_sub(base))) {
            Ok(Some(complete)) => complete,
            Ok(None) => return (messages, out, None),
            Err(error) => return (messages, out, Some(error.to_string())),
        };
        check_request(&head, &rest[..consumed]);
        let Some(authority) = head.authority() else {
            // HTTP/1.0 without a host, which an HTTP/1.1 hop does not accept: the relay answers it.
            return (messages, out, Some("no host".to_owned()));
        };
        let body_at = base + consumed;
        let wire = &data[body_at..];
        let (payload, taken) = match follow(head.body(), wire, cuts.iter().filter_map(|cut| cut.checked_sub(body_at))) {
            Ok((payload, taken, true)) => (payload, taken),
            Ok(_incomplete) => return (messages, out, Some("truncated".to_owned())),
            Err(error) => return (messages, out, Some(error.to_string())),
        };
        let before = out.len();
        write_request_head(&mut out, &head, &RequestEdits::default());
        assert!(
            out.len() - before <= 2 * consumed + 512,
            "the head grew from {consumed} to {} bytes",
            out.len() - before
        );
        out.extend_from_slice(&wire[..taken]);
        let start = [head.method(), head.path(), authority];
        messages.push(Message {
            start: start.map(str::to_owned).to_vec(),
            fields: end_to_end(head.headers()),
            payload,
        });
        if head.target_form() == TargetForm::Authority {
            // What follows is another protocol's.
            return (messages, out, Some("tunnel".to_owned()));
        }
        rest = &wire[taken..];
    }
    (messages, out, None)
}

/// Feeds a head as it grows, up to each of `ends`.
fn request_head(input: &[u8], ends: impl Iterator<Item = usize>) -> Result<Option<(RequestHead, usize)>, HeadError> {
    let mut parser = RequestParser::default();
    for end in ends {
        match parser.parse(&input[..end])? {
            Parse::Partial => assert!(end < MAX_HEAD_BYTES, "a head is waited for beyond its limit"),
            Parse::Complete { head, consumed } => return Ok(Some((head, consumed))),
        }
    }
    Ok(None)
}

fn check_request(head: &RequestHead, bytes: &[u8]) {
    assert!(bytes.len() <= MAX_HEAD_BYTES && bytes.ends_with(b"\r\n\r\n"));
    assert!(head.headers().len() <= MAX_HEADERS);
    let strict = strict::request_length(bytes).unwrap_or_else(|error| {
        panic!("we accept what a strict reader refuses: {error}: {:?}", shown(bytes));
    });
    let ours = match head.body() {
        BodyLength::Empty => strict::Length::Bytes(0),
        BodyLength::Length(length) => strict::Length::Bytes(length),
        BodyLength::Chunked => strict::Length::Chunked,
        other => panic!("no request has a body of the kind {other:?}"),
    };
    assert_eq!(ours, strict, "framing differs for {:?}", shown(bytes));
    check_path(head.path().split(['?', '#']).next().unwrap_or_default());
    // What decides is ASCII without anything that could end a line.
    for part in [Some(head.method()), Some(head.path()), head.authority(), head.scheme()].into_iter().flatten() {
        assert!(!part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic()), "{part:?}");
    }
}

/// A policy compares this path: nothing is left in it by which an application could read another one.
fn check_path(path: &str) {
    let normal = weft_model::policy::normalize_path(path);
    if normal.starts_with('/') {
        let has_dots = normal.split('/').any(|segment| matches!(segment, "." | ".."));
        assert!(!has_dots && !normal.contains('\\'), "{path:?} is compared as {normal:?}");
    }
    assert!(normal.len() <= path.len() + 1, "{path:?} grew to {normal:?}");
}

/// Reads a body in pieces: its payload, the bytes it has on the wire, and whether it is complete.
fn follow(
    length: BodyLength,
    wire: &[u8],
    ends: impl Iterator<Item = usize>,
) -> Result<(Vec<u8>, usize, bool), BodyError> {
    let mut reader = BodyReader::new(length);
    let (mut payload, mut at) = (Vec::new(), 0);
    for end in ends {
        if reader.is_complete() {
            break;
        }
        let piece = &wire[at..end.max(at)];
        let mut expected = 0;
        let progress = reader.decode(piece, |range| {
            assert!(range.start >= expected && range.end <= piece.len(), "payload out of order: {range:?}");
            expected = range.end;
            payload.extend_from_slice(&piece[range]);
        })?;
        assert!(progress.taken <= piece.len() && (progress.complete || progress.taken == piece.len()));
        assert_eq!(progress.complete, reader.is_complete());
        at += progress.taken;
    }
    assert_eq!(reader.payload_bytes(), payload.len() as u64);
    Ok((payload, at, reader.is_complete()))
}

/// What an upstream answers, for each kind of request that changes how it is read.
pub fn response(data: &[u8]) {
    let kinds = [
        AnswerTo::default(),
        AnswerTo { is_head: true, ..AnswerTo::default() },
        AnswerTo { is_connect: true, ..AnswerTo::default() },
        AnswerTo { wants_upgrade: true, ..AnswerTo::default() },
    ];
    for answer_to in kinds {
        let whole = response_head(data, &[data.len()], answer_to);
        let pieces = response_head(data, &cuts(data), answer_to);
        match (whole, pieces) {
            (Ok(None), Ok(None)) => {}
            (Err(one), Err(other)) => assert_eq!(one, other),
            (Ok(Some((head, consumed))), Ok(Some((other, also)))) => {
                assert_eq!((consumed, written(&head)), (also, written(&other)));
                check_response(&head, &data[..consumed], answer_to);
            }
            (one, other) => panic!("pieces make a difference: {one:?} and {other:?}"),
        }
    }
}

fn response_head(
    input: &[u8],
    cuts: &[usize],
    answer_to: AnswerTo,
) -> Result<Option<(ResponseHead, usize)>, HeadError> {
    let mut parser = ResponseParser::default();
    for &end in cuts {
        if let Parse::Complete { head, consumed } = parser.parse(&input[..end], answer_to)? {
            return Ok(Some((head, consumed)));
        }
    }
    Ok(None)
}

fn written(head: &ResponseHead) -> Vec<u8> {
    let mut out = Vec::new();
    write_response_head(&mut out, head, &ResponseEdits::default());
    out
}

fn check_response(head: &ResponseHead, bytes: &[u8], answer_to: AnswerTo) {
    assert!(bytes.len() <= MAX_HEAD_BYTES && head.headers().len() <= MAX_HEADERS);
    assert!((100..1000).contains(&head.status()));
    let length = match head.body() {
        BodyLength::Empty => strict::Length::Bytes(0),
        BodyLength::Length(length) => strict::Length::Bytes(length),
        BodyLength::Chunked => strict::Length::Chunked,
        BodyLength::UntilClose => strict::Length::UntilClose,
        BodyLength::Tunnel => strict::Length::Tunnel,
    };
    for wire in [bytes, &written(head)] {
        let strict = strict::response_length(wire, answer_to).unwrap_or_else(|error| {
            panic!("a strict reader refuses: {error}: {:?}", shown(wire));
        });
        assert_eq!(length, strict, "framing differs for {:?}", shown(wire));
    }
    let again = written(head);
    let Ok(Some((reread, consumed))) = response_head(&again, &[again.len()], answer_to) else {
        panic!("we refuse what we write: {:?}", shown(&again));
    };
    assert_eq!((consumed, reread.body(), shown(&written(&reread))), (again.len(), head.body(), shown(&again)));
}

/// A body: chunked, and of a stated length.
pub fn body(data: &[u8]) {
    let whole = follow(BodyLength::Chunked, data, [data.len()].into_iter());
    let pieces = follow(BodyLength::Chunked, data, cuts(data).into_iter());
    assert_eq!(whole, pieces, "pieces make a difference");
    if let Ok((payload, taken, true)) = whole {
        let (strict, end) = strict::dechunk(&data[..taken]).unwrap_or_else(|error| {
            panic!("we accept what a strict reader refuses: {error}: {:?}", shown(data));
        });
        assert_eq!((strict, end), (payload.clone(), taken));
        // Encoded anew it means the same.
        let mut encoded = Vec::new();
        encode_chunk(&mut encoded, &payload);
        encoded.extend_from_slice(LAST_CHUNK);
        let end = encoded.len();
        assert_eq!(follow(BodyLength::Chunked, &encoded, [end].into_iter()), Ok((payload, end, true)));
    }
    for length in [0, data.len() / 2, data.len(), data.len() + 1] {
        let read = follow(BodyLength::Length(length as u64), data, cuts(data).into_iter());
        let taken = length.min(data.len());
        assert_eq!(read, Ok((data[..taken].to_vec(), taken, length <= data.len())));
    }
}

/// Fields that a next hop may see as they are; the others are this hop's business, or say what `Connection` took away.
fn end_to_end(headers: &Headers) -> Vec<(String, Vec<u8>)> {
    let nominated = |name: &str| headers.has_token("connection", name);
    let fields = headers.iter().filter(|(name, _)| !strict::ends_here(name) && !nominated(name));
    fields.map(|(name, value)| (name.to_ascii_lowercase(), value.to_vec())).collect()
}

fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
