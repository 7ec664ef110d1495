//! Whether a peer that has ended can have seen what it was sent.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

/// Waits until something has come in, and leaves it there.
async fn arrives(stream: &Stream) {
    let Stream::Plain(stream) = stream else { panic!("in the clear") };
    stream.inner.readable().await.unwrap();
}

async fn pair() -> (Stream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (Stream::plain(client), listener.accept().await.unwrap().0)
}

/// Reads to the end of what the peer says.
async fn end(stream: &mut Stream) -> io::Result<usize> {
    stream.read_to_end(&mut Vec::new()).await
}

#[tokio::test]
async fn who_ended_before_it_was_asked_has_seen_nothing() {
    let (mut client, server) = pair().await;
    client.write_all(b"first").await.unwrap();
    let mut server = server;
    server.read_exact(&mut [0; 5]).await.unwrap();
    drop(server);
    // Its end is here, and has not been looked at yet when the next request is written.
    arrives(&client).await;
    client.write_all(b"second").await.unwrap();
    assert_eq!(end(&mut client).await.unwrap(), 0);
    assert!(client.ended_before(6, None), "only its kernel saw it, and answered with a reset");
    assert!(!client.ended_before(7, None), "of seven bytes one would have been seen");
}

#[tokio::test]
async fn who_read_and_ended_has_seen_it() {
    let (mut client, mut server) = pair().await;
    client.write_all(b"request").await.unwrap();
    server.read_exact(&mut [0; 7]).await.unwrap();
    drop(server);
    assert_eq!(end(&mut client).await.unwrap(), 0);
    assert!(!client.ended_before(7, None));
    // Also when the last byte came too late.
    let (mut client, mut server) = pair().await;
    client.write_all(b"reques").await.unwrap();
    server.read_exact(&mut [0; 6]).await.unwrap();
    drop(server);
    arrives(&client).await;
    client.write_all(b"t").await.unwrap();
    assert_eq!(end(&mut client).await.unwrap(), 0);
    assert!(!client.ended_before(7, None));
}
