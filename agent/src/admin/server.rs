//! Accepting, and HTTP around [`super::route`].

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore},
};

use super::{Admin, BoundSocket, route};

/// Connections served at once, per listener; further ones wait.
const CONNECTIONS_MAX: usize = 64;

/// How long a client may take to say what it wants.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Wait after a failed accept: when descriptors run out, trying at once would only burn the processor.
const PAUSE: Duration = Duration::from_millis(50);

impl Admin {
    /// Answers on the unix socket until dropped; then the socket's file goes.
    pub async fn serve_unix(self: Arc<Self>, socket: BoundSocket) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            match socket.listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(self.clone().serve(stream, place))),
                Err(error) => pause("unix socket", &error).await,
            }
        }
    }

    /// Answers on a TCP listener until dropped.
    pub async fn serve_tcp(self: Arc<Self>, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(self.clone().serve(stream, place))),
                Err(error) => pause("TCP address", &error).await,
            }
        }
    }

    async fn serve(self: Arc<Self>, stream: impl AsyncRead + AsyncWrite + Unpin, _place: OwnedSemaphorePermit) {
        let service = service_fn(|request| {
            let answer = self.respond(&request);
            async move { Ok::<_, Infallible>(answer) }
        });
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service);
        if let Err(error) = serving.await {
            tracing::debug!(%error, "an admin connection ended early");
        }
    }

    fn respond(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let route::Reply { status, media_type, body } =
            route::answer(self, request.method(), request.uri().path(), request.uri().query().unwrap_or_default());
        let mut response = Response::new(Full::from(body));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(media_type));
        response
    }
}

async fn pause(listener: &str, error: &std::io::Error) {
    tracing::warn!(%error, "cannot accept a connection on the admin {listener}");
    tokio::time::sleep(PAUSE).await;
}
