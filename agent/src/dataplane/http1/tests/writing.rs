//! What is written for the other hop.

use super::super::*;
use super::{forwarded, returned};

const GET: AnswerTo = AnswerTo { is_head: false, is_connect: false, wants_upgrade: false };

#[test]
fn a_plain_request_goes_on_unchanged() {
    let text = "POST /a?b HTTP/1.1\r\nHost: shop\r\nUser-Agent: x\r\ncontent-LENGTH: 5\r\nx-a: 1\r\nX-A: 2\r\nExpect: 100-continue\r\n\r\n";
    assert_eq!(forwarded(text.as_bytes(), &RequestEdits::default()), text);
}

#[test]
fn hop_by_hop_fields_end_here() {
    let text = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Drop, te\r\nKeep-Alive: 5\r\nProxy-Connection: close\r\n\
        TE: trailers, deflate\r\nUpgrade: websocket\r\nHTTP2-Settings: AAM\r\nX-Drop: 1\r\nTrailer: x\r\nX-Keep:  2\t\r\nx-drop: 3\r\n\r\n";
    let expected = "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nX-Keep: 2\r\nconnection: te\r\n\r\n";
    assert_eq!(forwarded(text, &RequestEdits::default()), expected);
}

#[test]
fn odd_white_space_is_not_passed_on() {
    assert_eq!(
        forwarded(
            b"GET / HTTP/1.1\r\nHost:a\r\nA:\t1\r\nB:  2\r\nC: 3 \r\nD: 4\r\nE:\r\nF: \r\n\r\n",
            &RequestEdits::default()
        ),
        "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: \r\nF: \r\n\r\n"
    );
}

#[test]
fn the_framing_is_stated_once_and_canonically() {
    let chunked = b"POST / HTTP/1.1\r\nHost: a\r\nTRANSFER-encoding:\tCHUNKED\r\nTrailer: x\r\n\r\n";
    let keep = RequestEdits::default();
    assert_eq!(
        forwarded(chunked, &keep),
        "POST / HTTP/1.1\r\nHost: a\r\nTRANSFER-encoding: chunked\r\nTrailer: x\r\n\r\n"
    );
    assert_eq!(
        forwarded(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:   005 \r\n\r\n", &keep),
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
    );
    let buffered = RequestEdits { body: Some(BodyLength::Length(7)), ..Default::default() };
    assert_eq!(forwarded(chunked, &buffered), "POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 7\r\n\r\n");
    let streamed = RequestEdits { body: Some(BodyLength::Chunked), ..Default::default() };
    assert_eq!(
        forwarded(b"POST / HTTP/1.1\r\nContent-Length: 5\r\nHost: a\r\n\r\n", &streamed),
        "POST / HTTP/1.1\r\nHost: a\r\ntransfer-encoding: chunked\r\n\r\n"
    );
}

#[test]
fn the_target_wins_over_host() {
    let keep = RequestEdits::default();
    assert_eq!(
        forwarded(b"GET http://real:81?q HTTP/1.1\r\nHost: fake\r\n\r\n", &keep),
        "GET /?q HTTP/1.1\r\nHost: real:81\r\n\r\n"
    );
    assert_eq!(
        forwarded(b"OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n", &keep),
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"
    );
    assert_eq!(
        forwarded(b"CONNECT b:443 HTTP/1.1\r\nHost: fake\r\nContent-Length: 0\r\n\r\n", &keep),
        "CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n"
    );
}

#[test]
fn old_requests_become_new_ones() {
    let keep = RequestEdits::default();
    assert_eq!(
        forwarded(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", &keep),
        "GET / HTTP/1.1\r\nhost: \r\n\r\n"
    );
    let mut edits = RequestEdits { close: true, ..Default::default() };
    edits.set_authority("a:80").expect("valid");
    assert_eq!(
        forwarded(b"GET /x HTTP/1.0\r\n\r\n", &edits),
        "GET /x HTTP/1.1\r\nhost: a:80\r\nconnection: close\r\n\r\n"
    );
}

#[test]
fn edits_apply_in_order() {
    let mut edits = RequestEdits::default();
    edits.set_path("/v2?x").expect("valid");
    edits.set_authority("other").expect("valid");
    edits.set_method("PUT").expect("valid");
    let headers = &mut edits.headers;
    headers.append("x-a", "gone").expect("valid");
    headers.set("X-A", "one").expect("valid");
    headers.append("x-a", "two".to_owned()).expect("valid");
    headers.remove("x-b").expect("valid");
    headers.append("x-c", "more").expect("valid");
    headers.append("x-d", "gone").expect("valid");
    headers.remove("X-D").expect("valid");
    headers.append("x-d", "back").expect("valid");
    assert_eq!(
        forwarded(
            b"GET / HTTP/1.1\r\nx-A: old\r\nHost: a\r\nX-B: 1\r\nx-b: 2\r\nX-C: kept\r\nx-d: old\r\n\r\n",
            &edits
        ),
        "PUT /v2?x HTTP/1.1\r\nHost: other\r\nX-C: kept\r\nX-A: one\r\nx-a: two\r\nx-c: more\r\nx-d: back\r\n\r\n"
    );
}

#[test]
fn the_client_cannot_drop_what_the_proxy_adds() {
    let mut edits = RequestEdits::default();
    edits.headers.set("x-identity", "proxy").expect("valid");
    assert_eq!(
        forwarded(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x-identity\r\nX-Identity: forged\r\n\r\n", &edits),
        "GET / HTTP/1.1\r\nHost: a\r\nx-identity: proxy\r\n\r\n"
    );
}

#[test]
fn edits_cannot_break_the_message() {
    let mut edits = RequestEdits::default();
    let headers = &mut edits.headers;
    assert_eq!(headers.set("x", "a\r\nb: c"), Err(InvalidEdit::Value("x".into())));
    assert_eq!(headers.append("x y", "a"), Err(InvalidEdit::Name("x y".into())));
    assert_eq!(headers.remove(""), Err(InvalidEdit::Name(String::new())));
    for name in ["Host", "content-length", "Transfer-Encoding", "connection", "Upgrade", "TE", "content_length"] {
        assert_eq!(headers.set(name, "1"), Err(InvalidEdit::Reserved(name.into())));
        assert_eq!(headers.remove(name), Err(InvalidEdit::Reserved(name.into())));
    }
    assert!(headers.is_empty());
    assert!(edits.set_path("x").is_err() && edits.set_path("/ x").is_err() && edits.set_path("/#").is_err());
    assert!(edits.set_authority("a/b").is_err() && edits.set_authority("").is_err());
    assert!(edits.set_method("A B").is_err() && edits.set_method("CONNECT").is_err());
}

#[test]
fn upgrades_go_on_only_when_wanted() {
    let text = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let edits = RequestEdits { upgrade: true, ..Default::default() };
    assert_eq!(
        forwarded(text, &edits),
        "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nconnection: upgrade\r\n\r\n"
    );
    assert_eq!(
        forwarded(text, &RequestEdits::default()),
        "GET /ws HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    let h2c = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n\r\n";
    assert_eq!(forwarded(h2c, &edits), "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
}

#[test]
fn responses() {
    let with = |persistence| ResponseEdits { persistence, ..Default::default() };
    let counted = b"HTTP/1.0 200 Fine\r\nServer: x\r\nConnection: close, X-Drop\r\nX-Drop: 1\r\nContent-Length: 5\r\nUpgrade: h2\r\n\r\n";
    assert_eq!(
        returned(counted, GET, &with(Persistence::Implied)),
        "HTTP/1.1 200 Fine\r\nServer: x\r\nContent-Length: 5\r\n\r\n"
    );
    assert_eq!(
        returned(counted, GET, &with(Persistence::for_client(Version::Http10, true))),
        "HTTP/1.1 200 Fine\r\nServer: x\r\nContent-Length: 5\r\nconnection: keep-alive\r\n\r\n"
    );
    assert_eq!(
        returned(counted, GET, &with(Persistence::for_client(Version::Http11, false))),
        "HTTP/1.1 200 Fine\r\nServer: x\r\nContent-Length: 5\r\nconnection: close\r\n\r\n"
    );
    assert_eq!(
        returned(b"HTTP/1.1 200\r\n\r\n", GET, &with(Persistence::KeepAlive)),
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n",
        "a body that ends with the connection closes it"
    );
    let rechunked = ResponseEdits { body: Some(BodyLength::Chunked), ..Default::default() };
    assert_eq!(
        returned(b"HTTP/1.1 200 OK\r\n\r\n", GET, &rechunked),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    let dechunked = ResponseEdits { body: Some(BodyLength::UntilClose), ..Default::default() };
    assert_eq!(
        returned(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n", GET, &dechunked),
        "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"
    );
}

#[test]
fn responses_without_a_body() {
    let keep = ResponseEdits::default();
    let head = AnswerTo { is_head: true, ..GET };
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    assert_eq!(returned(length.as_bytes(), head, &keep), length);
    assert_eq!(
        returned(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", head, &keep),
        "HTTP/1.1 200 OK\r\n\r\n"
    );
    let close = ResponseEdits { persistence: Persistence::Close, ..Default::default() };
    assert_eq!(
        returned(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", GET, &close),
        "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"
    );
    assert_eq!(returned(b"HTTP/1.1 100 Continue\r\n\r\n", GET, &close).as_bytes(), CONTINUE);
    let connect = AnswerTo { is_connect: true, ..GET };
    assert_eq!(returned(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", connect, &close), "HTTP/1.1 200 OK\r\n\r\n");
    let upgrade = AnswerTo { wants_upgrade: true, ..GET };
    assert_eq!(
        returned(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            upgrade,
            &close
        ),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nconnection: upgrade\r\n\r\n"
    );
}

#[test]
fn local_replies() {
    let mut headers = HeaderEdits::default();
    headers.set("server", "envoy").expect("valid");
    let reply = |status, body: &'static [u8], persistence, is_head, headers: &HeaderEdits<'_>| {
        let mut out = Vec::new();
        LocalReply { status, body, headers, persistence, is_head }.write(&mut out);
        String::from_utf8(out).expect("text")
    };
    assert_eq!(
        reply(403, b"RBAC: access denied", Persistence::Implied, false, &headers),
        "HTTP/1.1 403 Forbidden\r\ncontent-length: 19\r\ncontent-type: text/plain\r\nserver: envoy\r\n\r\nRBAC: access denied"
    );
    assert_eq!(
        reply(403, b"RBAC: access denied", Persistence::KeepAlive, true, &headers),
        "HTTP/1.1 403 Forbidden\r\ncontent-length: 19\r\ncontent-type: text/plain\r\nconnection: keep-alive\r\nserver: envoy\r\n\r\n"
    );
    assert_eq!(
        reply(404, b"", Persistence::Close, false, &headers),
        "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\nserver: envoy\r\n\r\n"
    );
    assert_eq!(
        reply(204, b"x", Persistence::Implied, false, &headers),
        "HTTP/1.1 204 No Content\r\nserver: envoy\r\n\r\n"
    );
    headers.set("Content-Type", "application/json").expect("valid");
    assert_eq!(
        reply(599, b"{}", Persistence::Implied, false, &headers),
        "HTTP/1.1 599 \r\ncontent-length: 2\r\nserver: envoy\r\nContent-Type: application/json\r\n\r\n{}"
    );
}
