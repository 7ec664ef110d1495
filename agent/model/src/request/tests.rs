//! Where the path begins and ends, and headers that come twice.

use super::Headers;
use crate::testing::{get, headers};

#[test]
fn the_path_is_between_the_authority_and_the_query() {
    let none = headers(&[]);
    for (target, path, query) in [
        ("/a/b?c=d", "/a/b", "c=d"),
        ("/a#f", "/a", ""),
        ("/a?u=http://x/y", "/a", "u=http://x/y"),
        ("http://name:5000/admin?q", "/admin", "q"),
        ("http://name", "/", ""),
        ("http://name?q", "/", "q"),
        ("*", "*", ""),
        ("name:443", "name:443", ""),
    ] {
        let request = get("name", target, &none);
        assert_eq!((request.path(), request.query()), (path, query), "{target}");
    }
}

#[test]
fn values_of_one_header_are_joined() {
    let some = headers(&[("X-A", "1"), ("x-b", "2"), ("x-a", "3")]);
    assert_eq!(some.value("x-a").as_deref(), Some("1,3"));
    assert_eq!(some.value("x-b").as_deref(), Some("2"));
    assert_eq!(some.value("x-c"), None);
}
