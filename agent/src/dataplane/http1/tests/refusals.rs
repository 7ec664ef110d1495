//! The table of shapes that two parsers could read differently, each with the error it must meet.

use super::super::HeadError::{self, *};
use super::super::{AnswerTo, MAX_HEAD_BYTES, MAX_HEADERS, Parse, RequestParser};
use super::{request, response};

#[track_caller]
fn refused(bytes: &[u8], expected: HeadError) {
    // An error may be seen before the head is complete, so the parser is asked directly.
    let outcome = RequestParser::default().parse(bytes);
    assert_eq!(outcome.err(), Some(expected), "for {}", bytes.escape_ascii());
}

/// A request whose only oddity is one header line.
fn with_line(line: &[u8]) -> Vec<u8> {
    [b"POST / HTTP/1.1\r\nHost: a\r\n", line, b"\r\n\r\n"].concat()
}

#[test]
fn line_ends() {
    refused(b"GET / HTTP/1.1\nHost: a\r\n\r\n", BareLineFeed);
    refused(b"GET / HTTP/1.1\r\nHost: a\n\r\n", BareLineFeed);
    refused(b"GET / HTTP/1.1\r\nHost: a\r\n\n", BareLineFeed);
    refused(b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", BareLineFeed);
    refused(b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", InvalidHeaderValue);
    refused(b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", InvalidRequestLine);
    refused(b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", LeadingEmptyLines);
    assert!(request(b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").is_ok(), "one empty line is tolerated");
}

#[test]
fn request_lines() {
    refused(b"\x16\x03\x01\x02\x00", NotHttp);
    refused(b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", NotHttp);
    refused(b"GET /\r\n\r\n", InvalidRequestLine);
    refused(b"GET\r\n", InvalidRequestLine);
    refused(b"G(T / HTTP/1.1\r\n", InvalidMethod);
    refused(b"GET\t/ HTTP/1.1\r\n", InvalidRequestLine);
    refused(b"GET\tx / HTTP/1.1\r\n", InvalidMethod);
    refused(b"GET  / HTTP/1.1\r\n", InvalidTarget);
    refused(b"GET /a b HTTP/1.1\r\n", InvalidTarget);
    refused(b"GET / HTTP/1.1 \r\n", InvalidRequestLine);
    refused(b"GET / HTTP/0.9\r\n", UnsupportedVersion);
    refused(b"GET / HTTP/1.2\r\n", UnsupportedVersion);
    refused(b"PRI * HTTP/2.0\r\n\r\n", UnsupportedVersion);
    refused(b"GET / http/1.1\r\n", InvalidRequestLine);
    refused(b"GET / HTTP/1.10\r\n", InvalidRequestLine);
    refused(b"GET / HTTP/+.1\r\n", InvalidRequestLine);
}

#[test]
fn targets() {
    for target in [
        "*",
        "a",
        "a:80",
        "/a#b",
        "/\x7f",
        "/\u{e9}",
        "/\0",
        "/\t",
        "ftp://a/",
        "http:/a",
        "http://",
        "http:///x",
        "http://u@a/",
        "http://a:b/",
        "http://a:65536/",
        "http://a%2f/",
        "http://[::1/",
        "http://[fe80::1%25eth0]/",
        "https:a",
        "://a/",
        "http://a\\b/",
    ] {
        refused(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes(), InvalidTarget);
    }
    for target in ["/", "*", "a", "http://a/", "a:", ":80", "a:80/", "a:80?", "u@a:80", "a:123456"] {
        refused(format!("CONNECT {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes(), InvalidTarget);
    }
}

#[test]
fn field_syntax() {
    refused(&with_line(b" folded"), ObsoleteFold);
    refused(&with_line(b"X: 1\r\n\tfolded"), ObsoleteFold);
    refused(&with_line(b"Content-Length : 5"), SpaceBeforeColon);
    refused(&with_line(b"Transfer-Encoding\t: chunked"), SpaceBeforeColon);
    refused(&with_line(b": 5"), InvalidHeaderName);
    refused(&with_line(b"no colon"), InvalidHeaderName);
    refused(&with_line(b"nocolon"), InvalidHeaderName);
    refused(&with_line(b"X\x0b: 5"), InvalidHeaderName);
    refused(&with_line(b"Transfer-Encoding\x00: chunked"), InvalidHeaderName);
    refused(&with_line("H\u{f6}st: a".as_bytes()), InvalidHeaderName);
    refused(&with_line(b"X(1): 5"), InvalidHeaderName);
    for byte in (0..0x20).chain([0x7f]).filter(|byte| !matches!(byte, b'\t' | b'\n')) {
        refused(&with_line(&[b'X', b':', b' ', b'a', byte, b'b']), InvalidHeaderValue);
    }
    assert!(request(&with_line(b"X: \xff\tb")).is_ok(), "obs-text and tab are values");
}

#[test]
fn content_lengths() {
    for value in [
        "",
        "+5",
        "-5",
        "5 5",
        "0x5",
        "5,",
        "5, 5",
        "5;",
        "5.0",
        "\"5\"",
        "5\t5",
        "9223372036854775808",
        "18446744073709551616",
        "99999999999999999999",
        "00000000000000000005",
        "\u{665}",
    ] {
        refused(&with_line(format!("Content-Length: {value}").as_bytes()), InvalidContentLength);
    }
    refused(&with_line(b"Content-Length: 5\r\nContent-Length: 5"), DuplicateContentLength);
    refused(&with_line(b"Content-Length: 5\r\ncontent-length: 6"), DuplicateContentLength);
    refused(&with_line(b"Content_Length: 5"), FramingLookalike);
    refused(b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", ContentLengthNotAllowed);
}

#[test]
fn transfer_encodings() {
    for value in ["gzip", "identity", "gzip, chunked", "xchunked", "chunked;q=1", "\"chunked\"", "chunked chunked"] {
        refused(&with_line(format!("Transfer-Encoding: {value}").as_bytes()), UnsupportedTransferEncoding);
    }
    for value in ["", ",", "chunked,", ", chunked", "chunked, chunked", "chunked, gzip", "chunked, identity"] {
        refused(&with_line(format!("Transfer-Encoding: {value}").as_bytes()), InvalidTransferEncoding);
    }
    refused(&with_line(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), InvalidTransferEncoding);
    refused(&with_line(b"Transfer-Encoding: chunked\r\nTransfer-encoding: x"), InvalidTransferEncoding);
    refused(&with_line(b"Transfer-Encoding: \x0bchunked"), InvalidHeaderValue);
    refused(&with_line(b"Transfer_Encoding: chunked"), FramingLookalike);
    refused(&with_line(b"Transfer-Encoding: chunked\r\nContent-Length: 5"), ContentLengthAndTransferEncoding);
    refused(&with_line(b"Content-Length: 0\r\nTRANSFER-ENCODING:CHUNKED"), ContentLengthAndTransferEncoding);
    refused(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", TransferEncodingNotAllowed);
    refused(b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", TransferEncodingNotAllowed);
}

#[test]
fn hosts() {
    refused(b"GET / HTTP/1.1\r\n\r\n", MissingHost);
    refused(b"GET / HTTP/1.1\r\nHost:\r\n\r\n", MissingHost);
    refused(b"GET http://a/ HTTP/1.1\r\n\r\n", MissingHost);
    refused(b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", DuplicateHost);
    refused(b"GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n", DuplicateHost);
    for host in [
        "a b", "a, b", "a,b", "a/b", "a?b", "a#b", "u@a", "a\\b", "http://a", "a:b", "a:80:80", "a:99999", "a%00",
        "[::1", "::1", "[::1]x", "[x]", "[]", ":80", "a\"b", "<a>", "\u{e9}",
    ] {
        refused(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes(), InvalidHost);
        refused(format!("GET http://ok/ HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes(), InvalidHost);
    }
}

#[test]
fn connection_may_not_drop_what_protects_the_next_hop() {
    for name in
        ["Host", "content-length", "Transfer-Encoding", "connection", "X-Forwarded-For", "x-forwarded-client-cert"]
    {
        refused(&with_line(format!("Connection: close, {name}").as_bytes()), InvalidConnection);
    }
    refused(&with_line(b"Connection: a b"), InvalidConnection);
    refused(&with_line(b"Connection: \"close\""), InvalidConnection);
    refused(&with_line(b"Connection: a,b,c,d,e,f\r\nConnection: g,h,i,j,k"), InvalidConnection);
    assert!(request(&with_line(b"Connection: a,b,c,d,e,f,close\r\nConnection: g,h,i,j")).is_ok());
}

#[test]
fn sizes() {
    let lines = |count: usize| {
        [b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec(), b"X: 1\r\n".repeat(count - 1), b"\r\n".to_vec()].concat()
    };
    assert_eq!(request(&lines(MAX_HEADERS)).expect("accepted").headers().len(), MAX_HEADERS);
    refused(&lines(MAX_HEADERS + 1), TooManyHeaders);

    let frame = b"GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n".len();
    let padded = |len: usize| {
        [b"GET / HTTP/1.1\r\nHost: a\r\nX: ".to_vec(), vec![b'x'; len - frame], b"\r\n\r\n".to_vec()].concat()
    };
    let head = request(&padded(MAX_HEAD_BYTES)).expect("exactly the limit is accepted");
    assert_eq!(head.headers().get("x").map(<[u8]>::len), Some(MAX_HEAD_BYTES - frame));
    refused(&padded(MAX_HEAD_BYTES + 1), HeadTooLarge);
    refused(&vec![b'G'; MAX_HEAD_BYTES], HeadTooLarge);
    assert!(matches!(RequestParser::default().parse(&vec![b'G'; MAX_HEAD_BYTES - 1]), Ok(Parse::Partial)));
}

#[test]
fn statuses_and_details() {
    let cases = [
        (HeadTooLarge, 431, "http1.headers_too_large"),
        (TooManyHeaders, 431, "http1.too_many_headers"),
        (UnsupportedVersion, 505, "http1.unsupported_version"),
        (UnsupportedTransferEncoding, 501, "http1.invalid_transfer_encoding"),
        (ContentLengthAndTransferEncoding, 400, "http1.content_length_and_chunked_not_allowed"),
        (MissingHost, 400, "missing_host_header"),
        (BareLineFeed, 400, "http1.codec_error"),
    ];
    for (error, status, detail) in cases {
        assert_eq!((error.status(), error.detail()), (status, detail), "{error}");
    }
}

#[test]
fn responses() {
    let get = AnswerTo::default();
    let cases: [(&[u8], HeadError); 19] = [
        (b"\x15\x03\x03\x00\x02", NotHttp),
        (b"\r\nHTTP/1.1 200 OK\r\n\r\n", NotHttp),
        (b"HTTP/1.1 200 OK\n\r\n", BareLineFeed),
        (b"HTTP/1.1  200 OK\r\n\r\n", InvalidStatusLine),
        (b"HTTP/1.1 20 OK\r\n\r\n", InvalidStatusLine),
        (b"HTTP/1.1 099 OK\r\n\r\n", InvalidStatusLine),
        (b"HTTP/1.1 2000\r\n\r\n", InvalidStatusLine),
        (b"HTTP/1.1 200 O\x00K\r\n\r\n", InvalidStatusLine),
        (b"HTTP/1.1\r\n\r\n", InvalidStatusLine),
        (b"HTTP/2.0 200 OK\r\n\r\n", UnsupportedVersion),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", DuplicateContentLength),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            ContentLengthAndTransferEncoding,
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", UnsupportedTransferEncoding),
        (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", TransferEncodingNotAllowed),
        (b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n", TransferEncodingNotAllowed),
        (b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", ContentLengthNotAllowed),
        (b"HTTP/1.1 100 Go\r\nContent-Length: 5\r\n\r\n", ContentLengthNotAllowed),
        (b"HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", UnexpectedUpgrade),
        (b"HTTP/1.1 200 OK\r\nX: 1\r\n folded\r\n\r\n", ObsoleteFold),
    ];
    for (bytes, expected) in cases {
        assert_eq!(response(bytes, get).err(), Some(expected), "for {}", bytes.escape_ascii());
    }
}
