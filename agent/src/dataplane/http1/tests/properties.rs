//! What holds for any bytes: nothing panics, pieces make no difference, and what is written means what was read.

use std::panic::catch_unwind;

use proptest::prelude::*;

use super::super::*;

/// What a parser made of some bytes, comparable.
#[derive(Debug, PartialEq)]
enum Seen {
    Partial,
    Refused(HeadError),
    Head { consumed: usize, written: Vec<u8>, body: BodyLength, keep_alive: bool },
}

/// Feeds a request in pieces of `step` bytes.
fn request_in_pieces(input: &[u8], step: usize) -> Seen {
    let mut parser = RequestParser::default();
    for end in ends(input.len(), step) {
        match parser.parse(&input[..end]) {
            Ok(Parse::Partial) => {}
            Err(error) => return Seen::Refused(error),
            Ok(Parse::Complete { head, consumed }) => {
                let mut written = Vec::new();
                write_request_head(&mut written, &head, &RequestEdits::default());
                return Seen::Head { consumed, written, body: head.body(), keep_alive: head.keep_alive() };
            }
        }
    }
    Seen::Partial
}

/// Feeds a response in pieces of `step` bytes.
fn response_in_pieces(input: &[u8], step: usize, answer_to: AnswerTo) -> Seen {
    let mut parser = ResponseParser::default();
    for end in ends(input.len(), step) {
        match parser.parse(&input[..end], answer_to) {
            Ok(Parse::Partial) => {}
            Err(error) => return Seen::Refused(error),
            Ok(Parse::Complete { head, consumed }) => {
                let mut written = Vec::new();
                write_response_head(&mut written, &head, &ResponseEdits::default());
                return Seen::Head { consumed, written, body: head.body(), keep_alive: head.keep_alive() };
            }
        }
    }
    Seen::Partial
}

/// What a body reader made of some bytes: the error, or how much it took, whether it was complete, and the payload.
type BodySeen = (Result<(usize, bool), BodyError>, Vec<u8>);

fn body_in_pieces(length: BodyLength, input: &[u8], step: usize) -> BodySeen {
    let mut reader = BodyReader::new(length);
    let mut payload = Vec::new();
    let mut taken = 0;
    for piece in input.chunks(step) {
        match reader.decode(piece, |range| payload.extend_from_slice(&piece[range])) {
            Ok(progress) => taken += progress.taken,
            Err(error) => return (Err(error), payload),
        }
        if reader.is_complete() {
            break;
        }
    }
    assert_eq!(reader.payload_bytes(), payload.len() as u64);
    (Ok((taken, reader.is_complete())), payload)
}

fn ends(len: usize, step: usize) -> impl Iterator<Item = usize> {
    (1..=len.div_ceil(step)).map(move |piece| (piece * step).min(len))
}

/// Lines that real messages are made of.
const LINES: [&[u8]; 16] = [
    b"Content-Length: 5\r\n",
    b"content-length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"transfer-encoding:\tCHUNKED \r\n",
    b"Connection: close\r\n",
    b"Connection: upgrade, x-a\r\n",
    b"Connection: keep-alive\r\n",
    b"Upgrade: websocket\r\n",
    b"TE: trailers\r\n",
    b"X-A: 1\r\n",
    b"x-b:\t2 \r\n",
    b"Keep-Alive: 5\r\n",
    b"Expect: 100-continue\r\n",
    b"Trailer: x\r\n",
    b"X-Empty:\r\n",
    b"x-c: \xe9\r\n",
];

/// What hostile messages are made of besides.
const JUNK: [&[u8]; 16] = [
    b"Host: b:1\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: +5\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b" folded\r\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b" ",
    b":",
    b"\0",
    b"\xff",
    b"GET / HTTP/1.1\r\n",
    b"HTTP/1.1 200 OK\r\n",
];

/// A head of real lines; into about every second one junk is mixed, and in as many a byte is changed.
fn mutated_head(starts: &'static [&'static [u8]]) -> impl Strategy<Value = Vec<u8>> {
    let lines = prop::collection::vec(proptest::sample::select(&LINES[..]), 0..5);
    let junk = prop::option::of((any::<prop::sample::Index>(), proptest::sample::select(&JUNK[..])));
    let change = prop::option::of((any::<prop::sample::Index>(), any::<u8>()));
    (proptest::sample::select(starts), lines, junk, change).prop_map(|(start, mut lines, junk, change)| {
        if let Some((index, junk)) = junk {
            lines.insert(index.index(lines.len() + 1), junk);
        }
        let mut bytes = [start, &lines.concat(), b"\r\n"].concat();
        if let Some((index, byte)) = change {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    })
}

fn request_head() -> impl Strategy<Value = Vec<u8>> {
    mutated_head(&[
        b"GET /x HTTP/1.1\r\nHost: a\r\n",
        b"POST http://a?b HTTP/1.1\r\nHost: b\r\n",
        b"HEAD /x HTTP/1.0\r\n",
        b"CONNECT a:1 HTTP/1.1\r\nHost: b\r\n",
        b"OPTIONS * HTTP/1.1\r\nhost:\ta:1\r\n",
    ])
}

fn response_head() -> impl Strategy<Value = Vec<u8>> {
    mutated_head(&[
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 200\r\n",
        b"HTTP/1.1 204 No Content\r\n",
        b"HTTP/1.1 304 Not Modified\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n",
        b"HTTP/1.1 100 Continue\r\n",
    ])
}

fn mutated_chunks() -> impl Strategy<Value = Vec<u8>> {
    let fragments: Vec<&'static [u8]> = vec![
        b"5\r\nhello\r\n",
        b"a;x=y\r\n0123456789\r\n",
        b"0\r\n\r\n",
        b"0\r\nX: y\r\n\r\n",
        b"0\r\nHost: y\r\n\r\n",
        b"1\r\n",
        b"FFFFFFFFFFFFFFFF\r\n",
        b"7fffffffffffffff\r\n",
        b"\r\n",
        b"\n",
        b"g",
        b";",
        b"\0",
    ];
    prop::collection::vec(proptest::sample::select(fragments), 0..8).prop_map(|fragments| fragments.concat())
}

fn answer_to() -> impl Strategy<Value = AnswerTo> {
    any::<(bool, bool, bool)>().prop_map(|(is_head, is_connect, wants_upgrade)| AnswerTo {
        is_head,
        is_connect,
        wants_upgrade,
    })
}

/// The names and values an independent parser sees, if it accepts the bytes.
fn oracle(written: &[u8], is_request: bool) -> Option<Vec<(String, Vec<u8>)>> {
    let mut headers = [httparse::EMPTY_HEADER; 128];
    let parsed = if is_request {
        let mut request = httparse::Request::new(&mut headers);
        (request.parse(written).ok()?, request.headers.to_vec())
    } else {
        let mut response = httparse::Response::new(&mut headers);
        (response.parse(written).ok()?, response.headers.to_vec())
    };
    assert_eq!(parsed.0, httparse::Status::Complete(written.len()), "the oracle ends the head elsewhere");
    Some(parsed.1.iter().map(|header| (header.name.to_ascii_lowercase(), header.value.to_vec())).collect())
}

/// How often the framing is stated in a written head.
fn framing_fields(fields: &[(String, Vec<u8>)]) -> Vec<(&str, &[u8])> {
    let is_framing = |name: &str| matches!(name, "content-length" | "transfer-encoding");
    fields.iter().filter(|(name, _)| is_framing(name)).map(|(name, value)| (name.as_str(), value.as_slice())).collect()
}

fn check_pieces(bytes: &[u8], answer_to: AnswerTo) {
    let whole = request_in_pieces(bytes, bytes.len().max(1));
    let whole_response = response_in_pieces(bytes, bytes.len().max(1), answer_to);
    for step in [1, 2, 3, 7, 16] {
        assert_eq!(request_in_pieces(bytes, step), whole, "in pieces of {step}");
        assert_eq!(response_in_pieces(bytes, step, answer_to), whole_response, "in pieces of {step}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_in_any_pieces(bytes in prop::collection::vec(any::<u8>(), 0..300), answer_to in answer_to()) {
        check_pieces(&bytes, answer_to);
        for length in [BodyLength::Chunked, BodyLength::Length(17), BodyLength::UntilClose] {
            prop_assert_eq!(body_in_pieces(length, &bytes, 1), body_in_pieces(length, &bytes, 1000));
        }
    }

    #[test]
    fn mutated_heads_in_any_pieces(bytes in prop_oneof![request_head(), response_head()], answer_to in answer_to()) {
        check_pieces(&bytes, answer_to);
    }

    #[test]
    fn mutated_chunks_in_any_pieces(bytes in mutated_chunks(), step in 1_usize..9) {
        prop_assert_eq!(body_in_pieces(BodyLength::Chunked, &bytes, step), body_in_pieces(BodyLength::Chunked, &bytes, 4096));
    }

    /// Whatever we accept and write is read by an independent parser with the framing that we decided on, and by ourselves
    /// with the same result again.
    #[test]
    fn written_requests_are_unambiguous(bytes in request_head()) {
        if let Seen::Head { written, body, .. } = request_in_pieces(&bytes, bytes.len()) {
            let fields = oracle(&written, true).expect("the oracle accepts what we write");
            let framing = framing_fields(&fields);
            match body {
                BodyLength::Chunked => prop_assert_eq!(framing, vec![("transfer-encoding", &b"chunked"[..])]),
                BodyLength::Length(length) if !written.starts_with(b"CONNECT ") => {
                    let digits = length.to_string();
                    prop_assert_eq!(framing, vec![("content-length", digits.as_bytes())]);
                }
                _ => prop_assert!(framing.is_empty()),
            }
            prop_assert_eq!(fields.iter().filter(|(name, _)| name == "host").count(), 1);
            if let Seen::Head { written: again, consumed, .. } = request_in_pieces(&written, written.len()) {
                prop_assert_eq!(consumed, written.len());
                prop_assert_eq!(&again, &written);
            } else {
                prop_assert!(written.windows(9).any(|bytes| bytes == b"\nhost: \r\n"), "only an empty host is refused again");
            }
        }
    }

    /// The same for responses.
    #[test]
    fn written_responses_are_unambiguous(bytes in response_head(), answer_to in answer_to()) {
        if let Seen::Head { written, body, .. } = response_in_pieces(&bytes, bytes.len(), answer_to) {
            let fields = oracle(&written, false).expect("the oracle accepts what we write");
            let framing = framing_fields(&fields);
            match body {
                BodyLength::Chunked => prop_assert_eq!(framing, vec![("transfer-encoding", &b"chunked"[..])]),
                BodyLength::Length(length) => {
                    let digits = length.to_string();
                    prop_assert_eq!(framing, vec![("content-length", digits.as_bytes())]);
                }
                BodyLength::UntilClose | BodyLength::Tunnel => prop_assert!(framing.is_empty()),
                BodyLength::Empty => prop_assert!(framing.iter().all(|(name, _)| *name == "content-length")),
            }
            prop_assert_eq!(
                matches!(response_in_pieces(&written, written.len(), answer_to), Seen::Head { body: again, .. } if again == body),
                true
            );
        }
    }

    /// An independent parser agrees on every field of a head that we accept; it may accept more than we do.
    #[test]
    fn accepted_fields_are_read_alike(bytes in request_head()) {
        if let Ok(Parse::Complete { head, consumed }) = RequestParser::default().parse(&bytes) {
            let fields = oracle(&bytes[..consumed], true).expect("the oracle accepts what we accept");
            let ours: Vec<_> =
                head.headers().iter().map(|(name, value)| (name.to_ascii_lowercase(), value.to_vec())).collect();
            prop_assert_eq!(fields, ours);
        }
    }

    /// An independent parser agrees on every chunk size that we accept.
    #[test]
    fn chunk_sizes_are_read_alike(line in "[0-9a-fA-Fx;= ]{1,18}\r\n") {
        let mut decoder = ChunkedDecoder::default();
        if decoder.decode(line.as_bytes(), |_| {}).is_ok() {
            let Ok(httparse::Status::Complete((_, size))) = httparse::parse_chunk_size(line.as_bytes()) else {
                return Err(TestCaseError::fail("the oracle refuses what we accept"));
            };
            // Exactly `size` bytes are taken for payload.
            let data = vec![b'd'; usize::try_from(size.min(64)).expect("small")];
            let mut taken = 0;
            let progress = decoder.decode(&data, |range| taken += range.len());
            prop_assert_eq!(taken, if size == 0 { 0 } else { data.len() });
            prop_assert!(progress.is_ok());
            if (1..=64).contains(&size) {
                prop_assert!(decoder.decode(b"d", |_| {}).is_err(), "one byte more is refused");
            }
        }
    }
}

#[test]
fn a_slow_sender_costs_no_more_than_a_fast_one() {
    // Nobody may change bytes that were already given; doing it anyway shows that they are not looked at again.
    let mut parser = RequestParser::default();
    assert!(matches!(parser.parse(b"GET / HTTP/1.1\r\nHost: a\r\nX: abcdef"), Ok(Parse::Partial)));
    assert!(matches!(parser.parse(b"\n\n\n \n HTTP/1.1\r\n\nost: a\r\nX: ab\ndefg"), Ok(Parse::Partial)));
    let outcome = parser.parse(b"GET / HTTP/1.1\r\nHost: a\r\nX: abcdefg\n");
    assert_eq!(outcome.err(), Some(HeadError::BareLineFeed), "what is new is looked at");
}

#[test]
fn a_parser_that_is_fed_shrinking_input_does_not_panic() {
    let outcome = catch_unwind(|| {
        let mut parser = RequestParser::default();
        let _ = parser.parse(b"GET / HTTP/1.1\r\nHost: aaaaaaaaaaaa\r\n");
        let _ = parser.parse(b"GET");
        let _ = parser.parse(b"\r\n\r\n");
        let _ = parser.parse(b"GET / HTTP/1.1\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n");
    });
    assert!(outcome.is_ok());
}
