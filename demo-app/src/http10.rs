//! HTTP/1.0 with close-delimited bodies: the form the exercises' old image answers in.
//!
//! Used by [`crate::sentences`] when SENTENCE_HTTP10 is true, so that a mesh can be tested against upstreams that send
//! no Content-Length and mark the end of the body by closing (RFC 9112 section 6.3, last rule). One request per
//! connection, whatever the client asks for. What is answered is the handler's business.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::wire::{Head, Reader, WireError};
use crate::{log, serve};

/// How long we wait, after the answer, for the client to close: closing first with unread bytes would send a reset that
/// can overtake the answer.
const LINGER: Duration = Duration::from_millis(500);

/// Serves `handler` over HTTP/1.0. Access lines are the handler's.
pub async fn http10<H, F>(listener: TcpListener, handler: H) -> Infallible
where
    H: Fn(Parts, SocketAddr) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Bytes>> + Send + 'static,
{
    serve::accept_loop(listener, move |stream, peer| {
        let handler = handler.clone();
        async move {
            if let Err(error) = connection(stream, peer, handler).await {
                log::line(format_args!("connection from {peer} ended early: {error}"));
            }
        }
    })
    .await
}

async fn connection<H, F>(stream: TcpStream, peer: SocketAddr, handler: H) -> Result<(), WireError>
where
    H: Fn(Parts, SocketAddr) -> F,
    F: Future<Output = Response<Bytes>>,
{
    let mut reader = Reader::new(stream);
    let head = match reader.head().await {
        Ok(None) => return Ok(()),
        Ok(Some(head)) => head,
        Err(WireError::Io(error)) => return Err(error.into()),
        Err(error) => {
            finish(&mut reader, &bad_request(&error)).await?;
            return Err(error);
        }
    };
    let response = match parts(&head) {
        Err(error) => bad_request(&error),
        Ok(parts) => {
            reader.drain_body(&head).await?;
            handler(parts, peer).await
        }
    };
    let without_body = if head.method == "HEAD" { response.map(|_| Bytes::new()) } else { response };
    finish(&mut reader, &without_body).await
}

fn bad_request(error: &dyn std::error::Error) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(format!("{error}\n")));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}

fn parts(head: &Head) -> Result<Parts, http::Error> {
    let mut request = Request::builder()
        .method(head.method.as_bytes())
        .uri(head.target.as_str())
        .version(if head.minor_version == 0 { Version::HTTP_10 } else { Version::HTTP_11 });
    for (name, value) in &head.headers {
        request = request.header(name.as_str(), value.as_slice());
    }
    Ok(request.body(())?.into_parts().0)
}

/// Writes the response, closes our direction, and waits briefly for the client to close its own.
async fn finish(reader: &mut Reader<TcpStream>, response: &Response<Bytes>) -> Result<(), WireError> {
    let stream = reader.stream();
    stream.write_all(&encode(response)).await?;
    stream.shutdown().await?;
    let mut rest = [0; 1024];
    let _ = tokio::time::timeout(LINGER, async { while matches!(stream.read(&mut rest).await, Ok(1..)) {} }).await;
    Ok(())
}

/// The bytes of a response: status line, headers without any length, `Connection: close`, body.
fn encode(response: &Response<Bytes>) -> Vec<u8> {
    let status = response.status();
    let mut bytes = format!("HTTP/1.0 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or("Unknown"));
    for (name, value) in response.headers() {
        bytes.push_str(&format!("{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes())));
    }
    bytes.push_str("connection: close\r\n\r\n");
    let mut bytes = bytes.into_bytes();
    bytes.extend_from_slice(response.body());
    bytes
}

#[cfg(test)]
mod tests;
