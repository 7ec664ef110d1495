//! What a head may say, and what of it goes on.

use http::header::{CONNECTION, COOKIE};

use super::*;

fn parts(uri: &str, headers: &[(&str, &str)]) -> request::Parts {
    let request = headers.iter().fold(Request::get(uri), |request, (name, value)| request.header(*name, *value));
    request.body(()).unwrap().into_parts().0
}

fn refused(uri: &str, headers: &[(&str, &str)]) -> u16 {
    RequestHead::check(parts(uri, headers)).map_err(|refused| refused.status).unwrap_err()
}

#[test]
fn the_authority_decides_and_a_host_beside_it_does_not_go_on() {
    let head = RequestHead::check(parts("http://name:80/a?b", &[("host", "other")])).unwrap();
    assert_eq!((head.authority(), head.target()), ("name:80", "/a?b"));
    let request = head.for_http2(&RequestEdits::default()).unwrap();
    assert_eq!(request.uri(), "http://name:80/a?b");
    assert!(!request.headers().contains_key(HOST));
}

#[test]
fn a_host_alone_is_an_authority() {
    let head = RequestHead::check(parts("/a", &[("host", "name")])).unwrap();
    assert_eq!(head.for_http2(&RequestEdits::default()).unwrap().uri(), "http://name/a");
}

#[test]
fn a_destination_that_could_be_read_in_two_ways_is_refused() {
    assert_eq!(refused("/", &[]), 400);
    assert_eq!(refused("/", &[("host", "one"), ("host", "two")]), 400);
    assert_eq!(refused("http://user@name/", &[]), 400);
    assert_eq!(refused("/", &[("host", "name, other")]), 400);
    let mut connect = parts("http://name/", &[]);
    connect.method = Method::CONNECT;
    assert_eq!(RequestHead::check(connect).unwrap_err().status, 501);
    let many: Vec<_> = (0..=MAX_HEADERS).map(|number| format!("x-{number}")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), "1")).collect();
    assert_eq!(refused("http://name/", &many), 431);
}

#[test]
fn changes_replace_add_and_remove() {
    let head = RequestHead::check(parts("http://name/", &[("x-a", "1"), ("x-a", "2"), ("x-b", "3")])).unwrap();
    let mut edits = RequestEdits::default();
    edits.headers.set("x-a", "4").unwrap();
    edits.headers.remove("x-b").unwrap();
    edits.headers.append("x-c", "5").unwrap();
    let request = head.for_http2(&edits).unwrap();
    let told: Vec<_> = request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    assert_eq!(told, [("x-a", "4"), ("x-c", "5")]);
}

#[test]
fn what_belongs_to_one_connection_ends_there() {
    let mut headers = HeaderMap::new();
    for (name, value) in [("connection", "x"), ("te", "Trailers"), ("transfer-encoding", "chunked"), ("cookie", "a")] {
        headers.insert(name, value.parse().unwrap());
    }
    strip(&mut headers);
    assert_eq!(
        (headers.len(), &headers[TE], headers.get(CONNECTION)),
        (2, &HeaderValue::from_static("trailers"), None)
    );
    assert!(headers.contains_key(COOKIE));
    headers.insert(TE, HeaderValue::from_static("gzip"));
    strip(&mut headers);
    assert!(!headers.contains_key(TE));
}
