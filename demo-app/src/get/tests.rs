use bytes::Bytes;
use http::StatusCode;

use super::{Tally, parse_header, parse_seconds};
use crate::client::Reply;

fn reply(status: u16, body: &'static str) -> Reply {
    Reply { status: StatusCode::from_u16(status).unwrap(), body: Bytes::from_static(body.as_bytes()) }
}

#[test]
fn the_tally_counts_by_status_and_body_most_frequent_first() {
    let mut tally = Tally::default();
    assert_eq!(tally.answered(&reply(503, "no\n")), "no");
    for _ in 0..2 {
        tally.answered(&reply(200, "yes"));
    }
    assert_eq!(tally.failed("gone"), "error: gone");
    let report = tally.report();
    let lines: Vec<_> = report.lines().collect();
    assert_eq!(lines[0], "4 requests, 1 without an answer");
    assert_eq!(lines[1], "       2  50.0%  200 yes");
    assert_eq!(lines[2..], ["       1  25.0%  503 no", "       1  25.0%  error: gone"]);
}

#[test]
fn headers_and_seconds_are_parsed_or_refused() {
    let (name, value) = parse_header("X-Test: use-v2: x").unwrap();
    assert_eq!((name.as_str(), value.to_str().unwrap()), ("x-test", "use-v2: x"));
    assert!(parse_header("x-test").is_err());
    assert!(parse_header("x test: 1").is_err());
    assert_eq!(parse_seconds("0.5").unwrap().as_millis(), 500);
    assert!(parse_seconds("-1").is_err());
}
