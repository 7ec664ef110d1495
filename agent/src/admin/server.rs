//! Accepting, and HTTP around [`super::route`].

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
};

use super::{BindError, Front, route, socket::OwnersSocket};
use crate::{ebpf::manager::Standing, lifecycle::Drain};

/// Connections served at once, per listener; further ones wait.
const CONNECTIONS_MAX: usize = 64;

/// How long a client may take to say what it wants.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Wait after a failed accept: when descriptors run out, trying at once would only burn the processor.
const PAUSE: Duration = Duration::from_millis(50);

impl Front {
    /// Answers on a unix socket, in tasks of the caller's runtime, until that ends; then the socket's file goes. From
    /// the beginning of draining on the answers say that the agent is ending. To be called by the owner of the node;
    /// `standing` says when it becomes that again.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn serve_unix(
        self: Arc<Self>,
        path: &Path,
        standing: watch::Receiver<Standing>,
        drain: Drain,
    ) -> Result<(), BindError> {
        let mut socket = OwnersSocket::bind(path, standing)?;
        let desk = Arc::new(Desk::new(self, drain));
        tokio::spawn(async move {
            loop {
                let Some(place) = desk.place().await else { return };
                match socket.accept().await {
                    Ok(stream) => drop(tokio::spawn(desk.clone().serve(stream, place))),
                    Err(error) => pause("unix socket", &error).await,
                }
            }
        });
        Ok(())
    }

    /// Answers on a TCP address, as above. Returns the address with its real port.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn serve_tcp(self: Arc<Self>, address: SocketAddr, drain: Drain) -> Result<SocketAddr, BindError> {
        let failed = |source| BindError::Address { address, source };
        let listener = listen(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let desk = Arc::new(Desk::new(self, drain));
        tokio::spawn(async move {
            loop {
                let Some(place) = desk.place().await else { return };
                match listener.accept().await {
                    Ok((stream, _)) => drop(tokio::spawn(desk.clone().serve(stream, place))),
                    Err(error) => pause("TCP address", &error).await,
                }
            }
        });
        Ok(bound)
    }
}

/// `[::]` means every address of both families; a kernel without IPv6 has those of one.
async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error)
            if error.raw_os_error() == Some(libc::EAFNOSUPPORT)
                && address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) =>
        {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        bound => bound,
    }
}

/// Where connections of one listener are served.
struct Desk {
    front: Arc<Front>,
    drain: Drain,
    places: Arc<Semaphore>,
}

impl Desk {
    fn new(front: Arc<Front>, drain: Drain) -> Self {
        Self { front, drain, places: Arc::new(Semaphore::new(CONNECTIONS_MAX)) }
    }

    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.places.clone().acquire_owned().await.ok()
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
        let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
        let route::Reply { status, media_type, body } =
            self.front.answer(self.drain.has_begun(), request.method(), path, query);
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
