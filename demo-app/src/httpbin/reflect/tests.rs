use http::Request;
use serde_json::json;

use super::Echo;

fn echo(request: http::request::Builder) -> Echo {
    Echo::head(&request.body(()).unwrap(), "[::ffff:10.0.0.7]:4711".parse().unwrap(), "http")
}

#[test]
fn get_shows_arguments_capitalised_headers_origin_and_url() {
    let request = Request::get("/get?a=1&b=x%20y&a=2")
        .header("host", "httpbin:8000")
        .header("x-b3-traceid", "7")
        .header("x-twice", "1")
        .header("x-twice", "2");
    let expected = json!({
        "args": {"a": ["1", "2"], "b": "x y"},
        "headers": {"Host": "httpbin:8000", "X-B3-Traceid": "7", "X-Twice": "1,2"},
        "origin": "10.0.0.7",
        "url": "http://httpbin:8000/get?a=1&b=x%20y&a=2",
    });
    assert_eq!(echo(request).get(), expected);
}

#[test]
fn proxies_speak_for_their_client() {
    let request = Request::get("/ip").header("x-forwarded-for", "1.2.3.4, 10.0.0.9");
    assert_eq!(echo(request).origin_only(), json!({"origin": "1.2.3.4, 10.0.0.9"}));
}

#[test]
fn bodies_are_form_json_text_or_base64() {
    let form = echo(Request::post("/post").header("content-type", "application/x-www-form-urlencoded")).full(b"a=1&b=");
    assert_eq!((&form["form"], &form["data"]), (&json!({"a": "1", "b": ""}), &json!("")));
    let parsed = echo(Request::post("/post")).full(b"{\"n\": 1}");
    assert_eq!((&parsed["json"], &parsed["data"]), (&json!({"n": 1}), &json!("{\"n\": 1}")));
    let binary = echo(Request::put("/anything")).anything(&[0xff, 0x00]);
    assert_eq!(binary["data"], json!("data:application/octet-stream;base64,/wA="));
    assert_eq!((&binary["method"], &binary["json"]), (&json!("PUT"), &json!(null)));
}
