use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::{forwarded, python_dict, python_list, with_authorization};

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

#[test]
fn only_the_listed_headers_travel_on() {
    let listed = [
        ("x-request-id", "1"),
        ("x-b3-traceid", "2"),
        ("x-b3-spanid", "3"),
        ("x-b3-parentspanid", "4"),
        ("x-b3-sampled", "5"),
        ("x-b3-flags", "6"),
        ("b3", "7"),
        ("x-client-trace-id", "8"),
        ("x-envoy-force-trace", "9"),
        ("x-test", "use-v2"),
        ("authorization", "Bearer t"),
    ];
    let mut received = headers(&listed);
    received.extend(headers(&[
        ("traceparent", "00-1-2-01"),
        ("tracestate", "a=b"),
        ("user-agent", "curl"),
        ("x-version", "v2"),
        ("host", "sentences"),
    ]));
    assert_eq!(forwarded(&received), headers(&listed));
}

#[test]
fn the_sentence_overwrites_the_users_credentials() {
    let received = headers(&[("authorization", "Bearer t"), ("x-test", "1")]);
    let sent = with_authorization(&received, false);
    assert_eq!(sent, headers(&[("x-test", "1"), ("authorization", "something-valid")]));
    assert_eq!(with_authorization(&HeaderMap::new(), true), headers(&[("authorization", "12345")]));
}

#[test]
fn lists_and_dictionaries_look_like_python() {
    let list = |items: &[&str]| python_list(&items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>());
    assert_eq!(list(&["Peter", "Ray", "Egon"]), "['Peter', 'Ray', 'Egon']");
    assert_eq!(list(&["d'Artagnan (v2)"]), "[\"d'Artagnan (v2)\"]");
    assert_eq!(list(&["a'b\"c", "x\\y\n\u{1}"]), r#"['a\'b"c', 'x\\y\n\x01']"#);
    assert_eq!(list(&[""]), "['']");
    assert_eq!(python_dict(&headers(&[("x-test", "use-v2")])), "{'x-test': 'use-v2'}");
}
