//! Taking an answer apart.

use super::*;

#[test]
fn status_and_body_are_told_apart() {
    let answer = b"HTTP/1.0 404 Not Found\r\nContent-Type: text/plain\r\n\r\na\r\n\r\nb";
    assert_eq!(split(answer), Some((404, &b"a\r\n\r\nb"[..])));
    assert_eq!(split(b"HTTP/1.0 200 OK\r\n"), None);
}
