//! What is understood of responses that are accepted.

use super::super::*;
use super::response;

const GET: AnswerTo = AnswerTo { is_head: false, is_connect: false, wants_upgrade: false };
const HEAD: AnswerTo = AnswerTo { is_head: true, ..GET };
const CONNECT: AnswerTo = AnswerTo { is_connect: true, ..GET };
const UPGRADE: AnswerTo = AnswerTo { wants_upgrade: true, ..GET };

#[track_caller]
fn accepted(text: &str, answer_to: AnswerTo) -> ResponseHead {
    response(text.as_bytes(), answer_to).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

#[test]
fn lengths_and_persistence() {
    use BodyLength::*;
    let cases = [
        (GET, "1.1 200 OK\r\nContent-Length: 5\r\n", Length(5), true),
        (GET, "1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", Chunked, true),
        (GET, "1.1 200 OK\r\n", UntilClose, false),
        (GET, "1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n", Length(5), false),
        (GET, "1.0 200 OK\r\nContent-Length: 5\r\n", Length(5), false),
        (GET, "1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n", Length(5), true),
        (GET, "1.1 204 No Content\r\nContent-Length: 0\r\n", Empty, true),
        (GET, "1.1 304 Not Modified\r\nContent-Length: 5\r\n", Empty, true),
        (GET, "1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n", Empty, true),
        (GET, "1.1 103 Early Hints\r\n", Empty, true),
        (HEAD, "1.1 200 OK\r\nContent-Length: 5\r\n", Empty, true),
        (HEAD, "1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", Empty, true),
        (HEAD, "1.1 200 OK\r\n", Empty, true),
        (CONNECT, "1.1 200 OK\r\nContent-Length: 5\r\n", Tunnel, false),
        (CONNECT, "1.1 407 No\r\nContent-Length: 5\r\n", Length(5), true),
        (UPGRADE, "1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: websocket\r\n", Tunnel, false),
        (UPGRADE, "1.1 200 OK\r\nContent-Length: 5\r\n", Length(5), true),
    ];
    for (answer_to, text, body, keep_alive) in cases {
        let head = accepted(&format!("HTTP/{text}\r\n"), answer_to);
        assert_eq!((head.body(), head.keep_alive()), (body, keep_alive), "{text:?}");
    }
}

#[test]
fn status_lines() {
    let cases: [(&str, u16, &[u8]); 4] = [
        ("HTTP/1.1 200 OK", 200, b"OK"),
        ("HTTP/1.1 503 Service  Unavailable\u{e9}", 503, "Service  Unavailable\u{e9}".as_bytes()),
        ("HTTP/1.1 299 ", 299, b""),
        ("HTTP/1.1 999", 999, b""),
    ];
    for (line, status, reason) in cases {
        let head = accepted(&format!("{line}\r\nContent-Length: 0\r\n\r\n"), GET);
        assert_eq!((head.status(), head.reason()), (status, reason), "{line:?}");
    }
}

#[test]
fn interim_responses_come_before_the_final_one() {
    let input = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let mut parser = ResponseParser::default();
    let Ok(Parse::Complete { head, consumed }) = parser.parse(input, GET) else { panic!("the first head is complete") };
    assert!(head.is_interim());
    let Ok(Parse::Complete { head, .. }) = parser.parse(&input[consumed..], GET) else { panic!("the second too") };
    assert_eq!((head.is_interim(), head.status()), (false, 200));
    assert!(!accepted("HTTP/1.1 101 Go\r\n\r\n", UPGRADE).is_interim());
}

#[test]
fn old_clients_get_no_chunks() {
    let chunked = accepted("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", GET);
    assert_eq!(chunked.body_for(Version::Http10), BodyLength::UntilClose);
    assert_eq!(chunked.body_for(Version::Http11), BodyLength::Chunked);
    let counted = accepted("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", GET);
    assert_eq!(counted.body_for(Version::Http10), BodyLength::Length(5));
    let closing = accepted("HTTP/1.0 200 OK\r\n\r\n", GET);
    assert_eq!(closing.body_for(Version::Http10), BodyLength::UntilClose);
    assert_eq!(closing.body_for(Version::Http11), BodyLength::Chunked, "its end is seen, and the connection stays");
}
