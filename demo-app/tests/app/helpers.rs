//! The helpers as processes on loopback: httpbin-lite, echo, and the get loop.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::support::{Server, demo_app, exchange, get};

#[test]
fn httpbin_answers_its_paths() {
    let httpbin = Server::helper(&["httpbin-lite"]);
    let ask = |path: &str| get(httpbin.address(), path);
    let echoed = ask("/get?a=1");
    assert!(echoed.head.contains("content-type: application/json"), "{}", echoed.head);
    assert!(echoed.body.starts_with("{\n  \"args\": {\n    \"a\": \"1\"\n  },\n  \"headers\": {"), "{}", echoed.body);
    assert!(
        echoed.body.ends_with("\"origin\": \"127.0.0.1\",\n  \"url\": \"http://h/get?a=1\"\n}\n"),
        "{}",
        echoed.body
    );
    assert_eq!(ask("/status/418").status(), 418);
    assert_eq!(ask("/status/100").status(), 400);
    assert_eq!(ask("/post").status(), 405);
    assert_eq!(ask("/nothing").status(), 404);
    let started = Instant::now();
    assert_eq!(ask("/delay/0.3").status(), 200);
    assert!(started.elapsed() >= Duration::from_millis(300));
    let known = ask("/bytes/100000");
    assert!(known.head.contains("content-length: 100000"), "{}", known.head);
    let streamed = ask("/stream-bytes/70000");
    assert!(streamed.head.contains("transfer-encoding: chunked"), "{}", streamed.head);
    assert!(streamed.body.starts_with("10000\r\n") && streamed.body.ends_with("\r\n0\r\n\r\n"));
}

#[test]
fn uploads_are_counted_in_both_framings() {
    let httpbin = Server::helper(&["httpbin-lite"]);
    let size = 40_000_000;
    let mut stream = TcpStream::connect(httpbin.address()).unwrap();
    write!(stream, "POST /upload HTTP/1.1\r\nHost: h\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n").unwrap();
    let block = [7; 100_000];
    for _ in 0..size / block.len() {
        stream.write_all(&block).unwrap();
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with(&format!("\r\n\r\n{size}\n")), "{answer}");

    let chunked = b"PUT /upload HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    assert_eq!(exchange(httpbin.address(), chunked).body, "3\n");
}

#[test]
fn echo_keeps_the_spelling_and_order_of_headers_and_the_connection() {
    let echo = Server::helper(&["echo"]);
    let mut stream = TcpStream::connect(echo.address()).unwrap();
    let port = stream.local_addr().unwrap().port();
    stream
        .write_all(
            b"POST /first HTTP/1.1\r\nX-B: 1\r\nhOsT: h\r\nX-B: 2\r\nContent-Length: 3\r\n\r\nabc\
              GET /second HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        )
        .unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).unwrap();
    let objects: Vec<_> = answers.lines().filter(|line| line.starts_with('{')).collect();
    assert_eq!(objects.len(), 2, "{answers}");
    let first = r#""headers":[["X-B","1"],["hOsT","h"],["X-B","2"],["Content-Length","3"]],"body_length":3}"#;
    assert!(objects[0].ends_with(first), "{}", objects[0]);
    assert!(objects[0].contains(&format!("\"peer_address\":\"127.0.0.1\",\"peer_port\":{port},")), "{}", objects[0]);
    assert!(objects[1].contains("\"method\":\"GET\",\"path\":\"/second\",\"version\":\"HTTP/1.1\""), "{}", objects[1]);
}

#[test]
fn tcp_echo_greets_only_when_told_and_returns_every_byte() {
    for server_first in [false, true] {
        let arguments: &[&str] = if server_first { &["echo", "--tcp", "--server-first"] } else { &["echo", "--tcp"] };
        let echo = Server::helper(arguments);
        let mut stream = BufReader::new(TcpStream::connect(echo.address()).unwrap());
        if server_first {
            let mut greeting = String::new();
            stream.read_line(&mut greeting).unwrap();
            assert!(greeting.starts_with("220 ") && greeting.ends_with(" ready\r\n"), "{greeting:?}");
        }
        stream.get_mut().write_all(b"ping\0pong").unwrap();
        stream.get_mut().shutdown(Shutdown::Write).unwrap();
        let mut echoed = Vec::new();
        stream.read_to_end(&mut echoed).unwrap();
        assert_eq!(echoed, b"ping\0pong");
    }
}

#[test]
fn get_prints_bodies_and_a_tally_and_fails_only_without_an_answer() {
    let name = Server::role("name", &[("SENTENCE_NAMES", "Ray")]);
    for options in [&["-n", "4"][..], &["-n", "4", "--keep-alive", "-H", "X-Test: 1"]] {
        let output = demo_app().arg("get").args(options).arg(name.url("/")).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "Ray\nRay\nRay\nRay\n");
        let tally = String::from_utf8_lossy(&output.stderr);
        assert_eq!(tally, "4 requests, 0 without an answer\n       4 100.0%  200 Ray\n");
    }
    assert_eq!(name.counted("name"), 8.0);

    let missing = demo_app().args(["get", &name.url("/missing")]).output().unwrap();
    assert_eq!(missing.status.code(), Some(0), "a 404 is an answer");

    let slow = Server::role("name", &[("SENTENCE_SVC_DELAY_MIN", "5"), ("SENTENCE_SVC_DELAY_MAX", "5")]);
    let output = demo_app().args(["get", "--timeout", "0.2", &slow.url("/")]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "error: no answer within 200ms\n");
}
