//! How a request of HTTP/2 is written in HTTP/1.1.

use http::Request;

use super::*;

fn written(request: http::request::Builder, is_empty: bool) -> (String, bool) {
    let head = RequestHead::check(request.body(()).unwrap().into_parts().0).unwrap();
    let mut edits = RequestEdits::default();
    edits.headers.set("x-added", "1").unwrap();
    let (bytes, is_chunked) = write_head(&head, &edits, is_empty);
    (String::from_utf8(bytes).unwrap(), is_chunked)
}

#[test]
fn cookies_are_one_and_the_length_is_stated_once() {
    let request = Request::post("http://name/a?b").header("cookie", "a=1").header("cookie", "b=2");
    let (text, is_chunked) = written(request.header("content-length", "3"), false);
    assert_eq!(text, "POST /a?b HTTP/1.1\r\nhost: name\r\ncookie: a=1; b=2\r\ncontent-length: 3\r\nx-added: 1\r\n\r\n");
    assert!(!is_chunked);
}

#[test]
fn a_body_of_unknown_length_goes_in_chunks_and_trailers_may_come() {
    let (text, is_chunked) = written(Request::put("http://name/").header("te", "trailers"), false);
    assert!(is_chunked && text.ends_with("connection: te\r\ntransfer-encoding: chunked\r\n\r\n"), "{text}");
    let (text, is_chunked) = written(Request::get("http://name/"), true);
    assert!(!is_chunked && text == "GET / HTTP/1.1\r\nhost: name\r\nx-added: 1\r\n\r\n", "{text}");
}
