//! HTTP/2 that the test itself speaks, on both ends: frames are the `h2` crate's, what they say is the test's.

use std::future::Future;
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use h2::client::SendRequest;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};

use crate::place::Place;
use crate::server::Server;

/// Longer than any exchange of a test takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// What all streams of a connection together may send to a client that reads nothing.
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;

/// A request as an application of a test gets it, with what answers it.
pub type Http2Request = (Request<RecvStream>, SendResponse<Bytes>);

/// An answer, whole.
#[derive(Debug)]
pub struct Http2Answer {
    /// Status and headers.
    pub head: Response<()>,
    /// Body.
    pub body: Bytes,
    /// What followed it.
    pub trailers: Option<HeaderMap>,
}

impl Http2Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// `grpc-status`, of the trailers or of a head that is all there is.
    pub fn grpc_status(&self) -> Option<&str> {
        let of = |headers: &'_ HeaderMap| headers.get("grpc-status").map(|value| value.len());
        let headers = self.trailers.as_ref().filter(|trailers| of(trailers).is_some()).unwrap_or(self.head.headers());
        headers.get("grpc-status").and_then(|value| value.to_str().ok())
    }
}

/// Runs a client of a test; nothing it waits for takes longer than 20 s.
pub fn http2<T>(client: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { tokio::time::timeout(PATIENCE * 3, client).await.context("the test waits for ever")? })
}

impl Place {
    /// Listens on `port` here, and gives each stream of each connection to `handle`.
    pub fn serve_http2<H, F>(&self, port: u16, handle: H) -> Result<Server>
    where
        H: Fn(Http2Request) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Result<()>> + Send + 'static,
    {
        self.serve(port, move |stream, _| {
            let handle = handle.clone();
            let served = http2(async move {
                let mut connection = h2::server::Builder::new()
                    .max_concurrent_streams(1000)
                    .enable_connect_protocol()
                    .handshake(into_tokio(stream)?)
                    .await?;
                while let Some(accepted) = connection.accept().await {
                    tokio::spawn(handle(accepted?));
                }
                Ok(())
            });
            // How a connection ends is seen at its other end.
            drop(served);
        })
    }

    /// Opens a connection that speaks HTTP/2 from the first byte.
    pub async fn connect_http2(&self, address: &str) -> Result<SendRequest<Bytes>> {
        let mut builder = h2::client::Builder::new();
        // Streams of which a test reads nothing must not stop the others at the test's own end.
        builder.initial_connection_window_size(CONNECTION_WINDOW_BYTES);
        let (sender, connection) = builder.handshake(into_tokio(self.connect(address)?)?).await?;
        tokio::spawn(async move {
            // Its streams tell.
            let _ = connection.await;
        });
        Ok(sender)
    }
}

fn into_tokio(stream: TcpStream) -> Result<tokio::net::TcpStream> {
    stream.set_nonblocking(true)?;
    Ok(tokio::net::TcpStream::from_std(stream)?)
}

/// Sends a whole request and waits for the whole answer.
pub async fn ask(sender: &SendRequest<Bytes>, request: Request<()>, body: &[u8]) -> Result<Http2Answer> {
    let asking = async {
        let mut sender = sender.clone().ready().await?;
        let (response, mut sink) = sender.send_request(request, body.is_empty())?;
        if !body.is_empty() {
            send_body(&mut sink, Bytes::copy_from_slice(body), true).await?;
        }
        read_answer(response.await?).await
    };
    tokio::time::timeout(PATIENCE, asking).await.context("no answer in time")?
}

/// Reads an answer to its end.
pub async fn read_answer(response: Response<RecvStream>) -> Result<Http2Answer> {
    let (parts, mut stream) = response.into_parts();
    let body = read_body(&mut stream).await?;
    let trailers = stream.trailers().await?;
    Ok(Http2Answer { head: Response::from_parts(parts, ()), body, trailers })
}

/// Reads a body, and gives its sender room for more all the time.
pub async fn read_body(stream: &mut RecvStream) -> Result<Bytes> {
    let mut body = Vec::new();
    while let Some(piece) = stream.data().await {
        let piece = piece?;
        stream.flow_control().release_capacity(piece.len())?;
        body.extend_from_slice(&piece);
    }
    Ok(body.into())
}

/// Sends a body as its receiver gives room.
pub async fn send_body(sink: &mut SendStream<Bytes>, mut body: Bytes, last: bool) -> Result<()> {
    while !body.is_empty() {
        sink.reserve_capacity(body.len());
        while sink.capacity() == 0 {
            std::future::poll_fn(|cx| sink.poll_capacity(cx)).await.context("nobody reads any more")??;
        }
        let piece = body.split_to(sink.capacity().min(body.len()));
        sink.send_data(piece, last && body.is_empty())?;
    }
    Ok(())
}
