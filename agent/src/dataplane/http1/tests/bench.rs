//! Prints what reading and writing heads costs: `cargo test --release -- --ignored --nocapture nanoseconds`.

use std::hint::black_box;
use std::time::Instant;

use super::super::*;

const REQUEST: &[u8] = b"GET /api/v1/sentences/42?lang=en HTTP/1.1\r\nHost: sentences.shop.svc.cluster.local:8080\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\nAccept: application/json\r\n\
    Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\nReferer: http://sentences.shop/\r\n\
    Connection: keep-alive\r\nCookie: session=0123456789abcdef0123456789abcdef\r\n\
    traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nX-Request-Id: 7d1f1b6e-33c7-4d0a-9a35-1f6b7b7d9c11\r\n\
    Cache-Control: no-cache\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: nginx/1.26.0\r\nDate: Sun, 22 Nov 2026 12:00:00 GMT\r\n\
    Content-Type: application/json\r\nContent-Length: 1024\r\nLast-Modified: Sun, 22 Nov 2026 11:00:00 GMT\r\n\
    Connection: keep-alive\r\nETag: \"6560-400\"\r\nAccept-Ranges: bytes\r\n\r\n";

fn print_cost(name: &str, mut work: impl FnMut()) {
    const ROUNDS: u32 = 200_000;
    for _ in 0..ROUNDS / 10 {
        work();
    }
    let started = Instant::now();
    for _ in 0..ROUNDS {
        work();
    }
    println!("{name}: {} ns", started.elapsed().as_nanos() / u128::from(ROUNDS));
}

#[test]
#[ignore = "prints figures for a person to judge"]
fn nanoseconds_per_head() {
    let mut out = Vec::with_capacity(4096);
    let mut requests = RequestParser::default();
    let mut responses = ResponseParser::default();
    print_cost("parse request", || {
        black_box(requests.parse(black_box(REQUEST)).is_ok());
    });
    print_cost("parse request with httparse, without any decision", || {
        let mut headers = [httparse::EMPTY_HEADER; 100];
        let mut request = httparse::Request::new(&mut headers);
        black_box(request.parse(black_box(REQUEST)).is_ok());
    });
    print_cost("parse and write request with five edits", || {
        let Ok(Parse::Complete { head, .. }) = requests.parse(black_box(REQUEST)) else { panic!("complete") };
        let mut edits = RequestEdits::default();
        for name in
            ["x-forwarded-proto", "x-request-id", "x-forwarded-client-cert", "traceparent", "x-envoy-attempt-count"]
        {
            edits.headers.set(name, "spiffe://cluster.local/ns/shop/sa/web").expect("valid");
        }
        out.clear();
        write_request_head(&mut out, &head, &edits);
        black_box(&out);
    });
    print_cost("parse and write response", || {
        let Ok(Parse::Complete { head, .. }) = responses.parse(black_box(RESPONSE), AnswerTo::default()) else {
            panic!("complete")
        };
        out.clear();
        write_response_head(&mut out, &head, &ResponseEdits::default());
        black_box(&out);
    });
    let mut body = b"400\r\n".to_vec();
    body.extend_from_slice(&[b'x'; 1024]);
    body.extend_from_slice(b"\r\n0\r\n\r\n");
    print_cost("follow a chunked body of 1 KiB", || {
        let mut reader = BodyReader::new(BodyLength::Chunked);
        black_box(reader.advance(black_box(&body)).is_ok());
    });
}
