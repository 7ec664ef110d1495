//! What is understood of requests that are accepted.

use super::super::*;
use super::request;

#[track_caller]
fn accepted(text: &str) -> RequestHead {
    request(text.as_bytes()).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

#[test]
fn a_plain_get() {
    let head = accepted("GET /a?b=c HTTP/1.1\r\nHost: shop:8080\r\nX-A: 1\r\nx-a:\t2 \r\n\r\n");
    assert_eq!((head.method(), head.path(), head.authority()), ("GET", "/a?b=c", Some("shop:8080")));
    assert_eq!((head.version(), head.target_form()), (Version::Http11, TargetForm::Origin));
    assert_eq!((head.body(), head.keep_alive(), head.upgrade()), (BodyLength::Empty, true, None));
    assert_eq!(head.headers().all("X-a").collect::<Vec<_>>(), [b"1", b"2"]);
    assert_eq!(head.headers().joined("x-A").as_deref(), Some(&b"1,2"[..]));
    assert_eq!(head.headers().text("host"), Some("shop:8080"));
    assert_eq!(head.headers().get("x-b"), None);
    assert_eq!(head.headers().iter().map(|(name, _)| name).collect::<Vec<_>>(), ["Host", "X-A", "x-a"]);
}

#[test]
fn heads_follow_each_other() {
    let input = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: b\r\n\r\nGET";
    let mut parser = RequestParser::default();
    let mut at = 0;
    let mut paths = Vec::new();
    while let Parse::Complete { head, consumed } = parser.parse(&input[at..]).expect("accepted") {
        paths.push(format!("{}{}", head.authority().unwrap_or_default(), head.path()));
        at += consumed;
    }
    assert_eq!((paths.as_slice(), &input[at..]), (&["a/1".to_owned(), "b/2".to_owned()][..], &b"GET"[..]));
}

#[test]
fn target_forms() {
    let cases = [
        ("OPTIONS *", "*", Some("own"), TargetForm::Asterisk, None),
        ("GET http://a:81/b?c", "/b?c", Some("a:81"), TargetForm::Absolute, Some("http")),
        ("GET HTTPS://a?c", "/?c", Some("a"), TargetForm::Absolute, Some("HTTPS")),
        ("GET http://a", "/", Some("a"), TargetForm::Absolute, Some("http")),
        ("OPTIONS http://a", "*", Some("a"), TargetForm::Absolute, Some("http")),
        ("OPTIONS http://a?b", "/?b", Some("a"), TargetForm::Absolute, Some("http")),
        ("GET http://[::1]:80/", "/", Some("[::1]:80"), TargetForm::Absolute, Some("http")),
        ("CONNECT b:443", "b:443", Some("b:443"), TargetForm::Authority, None),
        ("connect /x", "/x", Some("own"), TargetForm::Origin, None),
        ("GET //b/c", "//b/c", Some("own"), TargetForm::Origin, None),
    ];
    for (line, path, authority, form, scheme) in cases {
        let head = accepted(&format!("{line} HTTP/1.1\r\nHost: own\r\n\r\n"));
        let seen = (head.path(), head.authority(), head.target_form(), head.scheme());
        assert_eq!(seen, (path, authority, form, scheme), "{line}");
    }
}

#[test]
fn hosts() {
    for host in ["a", "a.b-c_d", "A.example:8080", "10.0.0.1:80", "[2001:db8::1]", "[::1]:443", "a:", "xn--bcher-kva"] {
        assert_eq!(accepted(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).authority(), Some(host));
    }
    assert_eq!(accepted("GET / HTTP/1.0\r\n\r\n").authority(), None);
    assert_eq!(accepted("GET / HTTP/1.0\r\nHost:\r\n\r\n").authority(), None);
    assert_eq!(accepted("GET http://a/ HTTP/1.1\r\nHost:\r\n\r\n").authority(), Some("a"));
}

#[test]
fn lengths() {
    let body = |lines: &str| accepted(&format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")).body();
    assert_eq!(body(""), BodyLength::Empty);
    assert_eq!(body("Content-Length: 0\r\n"), BodyLength::Length(0));
    assert_eq!(body("content-length:  0012 \r\n"), BodyLength::Length(12));
    assert_eq!(body("Content-Length: 9223372036854775807\r\n"), BodyLength::Length(i64::MAX as u64));
    assert_eq!(body("Transfer-Encoding: Chunked\r\n"), BodyLength::Chunked);
    assert_eq!(accepted("CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").body(), BodyLength::Length(0));
}

#[test]
fn persistence() {
    let cases = [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: keep-alive, CLOSE\r\n", false),
        ("1.1", "Connection: foo\r\nConnection: bar, close\r\n", false),
        ("1.1", "Connection: closed\r\n", true),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
        ("1.0", "Keep-Alive: timeout=5\r\n", false),
    ];
    for (version, lines, keep_alive) in cases {
        let head = accepted(&format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n"));
        assert_eq!(head.keep_alive(), keep_alive, "{version} {lines:?}");
    }
}

#[test]
fn upgrades() {
    let cases = [
        ("1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\n", Some("websocket")),
        ("1.1", "Upgrade: websocket\r\nConnection: keep-alive, upgrade\r\nContent-Length: 0\r\n", Some("websocket")),
        ("1.1", "Upgrade: websocket\r\n", None),
        ("1.1", "Connection: upgrade\r\n", None),
        ("1.1", "Connection: upgrade\r\nUpgrade:\r\n", None),
        ("1.0", "Connection: upgrade\r\nUpgrade: websocket\r\n", None),
        ("1.1", "Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n", None),
        ("1.1", "Connection: upgrade\r\nUpgrade: websocket, H2C\r\n", None),
        ("1.1", "Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: x\r\n", None),
        ("1.1", "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n", None),
        ("1.1", "Connection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n", None),
    ];
    for (version, lines, upgrade) in cases {
        let head = accepted(&format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n"));
        assert_eq!(head.upgrade(), upgrade, "{version} {lines:?}");
        assert_eq!(head.answer_to(true).wants_upgrade, upgrade.is_some());
        assert!(!head.answer_to(false).wants_upgrade);
    }
    let connect = accepted("CONNECT a:1 HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!((connect.upgrade(), connect.answer_to(true).is_connect), (None, true));
}

#[test]
fn expectations() {
    let expects = |version: &str, lines: &str| {
        accepted(&format!("PUT / HTTP/{version}\r\nHost: a\r\n{lines}\r\n")).expect_continue()
    };
    assert!(expects("1.1", "Expect: 100-Continue\r\nContent-Length: 1\r\n"));
    assert!(!expects("1.1", "Expect: 100-continue\r\nContent-Length: 0\r\n"));
    assert!(!expects("1.1", "Expect: other\r\nContent-Length: 1\r\n"));
    assert!(!expects("1.0", "Expect: 100-continue\r\nContent-Length: 1\r\n"));
}

#[test]
fn list_tokens() {
    let head = accepted("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: br , gzip\r\naccept-encoding: zstd\r\n\r\n");
    assert!(head.headers().has_token("Accept-Encoding", "GZIP"));
    assert!(head.headers().has_token("Accept-Encoding", "zstd"));
    assert!(!head.headers().has_token("Accept-Encoding", "zip"));
}
