use std::net::Ipv4Addr;

use bytes::Bytes;
use http::Response;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::http10;
use crate::serve;

/// Starts a server that answers with method and path, sends `request`, and returns all it gets until the close.
async fn exchange(request: &[u8]) -> String {
    let listener = serve::listen(Some(Ipv4Addr::LOCALHOST.into()), 0).unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(http10(listener, |parts, _| async move {
        let mut response = Response::new(Bytes::from(format!("{} {}", parts.method, parts.uri)));
        response.headers_mut().insert("x-one", "1".parse().unwrap());
        response
    }));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn the_answer_ends_with_the_connection_and_has_no_length() {
    let answer = exchange(b"GET /x HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\n\r\n").await;
    assert_eq!(answer, "HTTP/1.0 200 OK\r\nx-one: 1\r\nconnection: close\r\n\r\nGET /x");
}

#[tokio::test]
async fn a_body_is_read_before_the_answer() {
    let answer = exchange(b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc").await;
    assert!(answer.ends_with("\r\n\r\nPOST /x"), "{answer}");
}

#[tokio::test]
async fn head_has_no_body_and_nonsense_gets_400() {
    assert!(exchange(b"HEAD / HTTP/1.0\r\n\r\n").await.ends_with("\r\n\r\n"));
    assert!(exchange(b"\x16\x03\x01\r\n\r\n").await.starts_with("HTTP/1.0 400 "));
}
