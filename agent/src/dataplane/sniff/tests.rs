//! First bytes of many protocols.

use super::*;

#[test]
fn tells_protocols_apart() {
    for (bytes, expected) in [
        (&b"GET / HTTP/1.1\r\n"[..], Sniffed::Http1),
        (b"OPTIONS * HTTP/1.1\r\n", Sniffed::Http1),
        (b"M-SEARCH * HTTP/1.1\r\n", Sniffed::Http1),
        (b"GET http://name/ HTTP/1.1\r\n", Sniffed::Http1),
        (b"CONNECT name:443 HTTP/1.1\r\n", Sniffed::Http1),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Sniffed::Http2),
        (b"\x16\x03\x01\x02\x00\x01", Sniffed::Tls),
        (b"\x16\x02", Sniffed::Other),
        (b"SET key value\r\n", Sniffed::Other),
        (b"get hello\r\n", Sniffed::Other),
        (b"HELO host.example\r\n", Sniffed::Other),
        (b"GET /\r\n", Sniffed::Other),
        (b"GET  HTTP/1.1\r\n", Sniffed::Other),
        (b"GET / HTTP/3\r\n", Sniffed::Other),
        (b"*1\r\n$4\r\nPING\r\n", Sniffed::Other),
        (b"\x00\x00\x00\x08", Sniffed::Other),
        (b"AVERYLONGWORDTHATISNOMETHODATALL ", Sniffed::Other),
    ] {
        assert_eq!(sniff(bytes), expected, "{}", bytes.escape_ascii());
    }
}

#[test]
fn an_endless_target_is_a_request_and_is_not_waited_for() {
    let mut line = b"GET /".to_vec();
    line.resize(TARGET_BYTES_MAX, b'a');
    assert_eq!(sniff(&line), Sniffed::NeedMore);
    line.resize(2 * TARGET_BYTES_MAX, b'a');
    assert_eq!(sniff(&line), Sniffed::Http1);
}

#[test]
fn every_prefix_needs_more_or_tells_the_same() {
    for whole in [&b"GET / HTTP/1.1\r\n"[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\x00\x01"] {
        for end in 0..whole.len() {
            let part = sniff(&whole[..end]);
            assert!(part == Sniffed::NeedMore || part == sniff(whole), "{end}: {part:?}");
        }
    }
}
