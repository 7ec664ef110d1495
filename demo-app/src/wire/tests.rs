use tokio::io::{AsyncWriteExt, duplex};

use super::{Head, Reader, WireError};

async fn read(bytes: &[u8]) -> Result<(Option<Head>, u64), WireError> {
    let (mut client, server) = duplex(1 << 16);
    client.write_all(bytes).await.unwrap();
    drop(client);
    let mut reader = Reader::new(server);
    let head = reader.head().await?;
    let length = match &head {
        Some(head) => reader.drain_body(head).await?,
        None => 0,
    };
    Ok((head, length))
}

#[tokio::test]
async fn names_order_and_duplicates_survive() {
    let (head, _) = read(b"GET /a?b HTTP/1.1\r\nX-Zulu: 1\r\nhOST: h\r\nX-Zulu: 2\r\n\r\n").await.unwrap();
    let head = head.unwrap();
    let names: Vec<_> = head.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["X-Zulu", "hOST", "X-Zulu"]);
    assert_eq!((head.method.as_str(), head.target.as_str(), head.minor_version), ("GET", "/a?b", 1));
    assert_eq!(head.header("HOST"), Some("h"));
}

#[tokio::test]
async fn bodies_are_counted_in_both_framings() {
    let (_, length) = read(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhelloGET").await.unwrap();
    assert_eq!(length, 5);
    let chunked =
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\na;x=y\r\n0123456789\r\n0\r\nT: 1\r\n\r\n";
    let (_, length) = read(chunked).await.unwrap();
    assert_eq!(length, 15);
}

#[tokio::test]
async fn the_next_request_follows_a_chunked_body() {
    let (mut client, server) = duplex(1 << 16);
    client
        .write_all(b"POST /1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\nGET /2 HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    let mut reader = Reader::new(server);
    let first = reader.head().await.unwrap().unwrap();
    assert_eq!(reader.drain_body(&first).await.unwrap(), 2);
    assert_eq!(reader.head().await.unwrap().unwrap().target, "/2");
}

#[tokio::test]
async fn broken_requests_are_told_apart() {
    assert!(matches!(read(b"").await, Ok((None, 0))));
    assert!(matches!(read(b"GET / HT").await, Err(WireError::Truncated)));
    assert!(matches!(read(b"\x16\x03\x01\x02\x00\x01\x00").await, Err(WireError::Head(_))));
    assert!(matches!(read(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nhello").await, Err(WireError::Truncated)));
    assert!(matches!(read(b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n").await, Err(WireError::Framing(_))));
    let overlong = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n";
    assert!(matches!(read(overlong).await, Err(WireError::Framing(_))));
}

#[test]
fn reuse_follows_version_and_header() {
    let head = |minor_version, connection: Option<&str>| Head {
        method: String::new(),
        target: String::new(),
        minor_version,
        headers: connection.map(|value| ("Connection".to_owned(), value.as_bytes().to_vec())).into_iter().collect(),
    };
    assert!(head(1, None).keeps_alive());
    assert!(!head(1, Some("foo, Close")).keeps_alive());
    assert!(!head(0, None).keeps_alive());
    assert!(head(0, Some("Keep-Alive")).keeps_alive());
}
