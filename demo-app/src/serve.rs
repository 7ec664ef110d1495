//! Listening sockets and the HTTP/1.1 accept loop shared by the servers of this crate.
//!
//! [`listen`] opens one dual-stack socket where the host has IPv6, [`http1`] serves a handler on it with hyper. The
//! HTTP/1.0 form lives in [`crate::http10`]; what is answered is the business of the handlers.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::log;

/// The body of every response a handler gives: it may stream, it cannot fail.
pub type Body = BoxBody<Bytes, Infallible>;

/// Connections the kernel may hold ready before we accept them.
const BACKLOG: i32 = 1024;

/// Pause after a failed accept (out of descriptors, mostly), so that the loop does not spin until one is free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Opens a listening socket on `port` (0 = chosen by the kernel).
///
/// Without an address it is `[::]` for both address families, or `0.0.0.0` on a host without IPv6.
///
/// # Errors
/// The error of the failing system call, with the address in its text.
pub fn listen(address: Option<IpAddr>, port: u16) -> io::Result<TcpListener> {
    match address {
        Some(ip) => open(SocketAddr::new(ip, port)),
        None => match open((Ipv6Addr::UNSPECIFIED, port).into()) {
            Err(error) if !matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied) => {
                open((Ipv4Addr::UNSPECIFIED, port).into())
            }
            outcome => outcome,
        },
    }
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    bind(address).map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accepts for ever; each connection runs `connection` in a task of its own.
pub async fn accept_loop<F, C>(listener: TcpListener, connection: F) -> Infallible
where
    F: Fn(TcpStream, SocketAddr) -> C,
    C: Future<Output = ()> + Send + 'static,
{
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Small answers must not wait for the acknowledgement of the previous one; failing costs only time.
                let _ = stream.set_nodelay(true);
                tokio::spawn(connection(stream, peer));
            }
            Err(error) => {
                log::line(format_args!("accept failed: {error}"));
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves `handler` over HTTP/1.1, inside TLS when an acceptor is given. Access lines are the handler's.
pub async fn http1<H, F>(listener: TcpListener, tls: Option<TlsAcceptor>, handler: H) -> Infallible
where
    H: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    accept_loop(listener, move |stream, peer| {
        let (tls, handler) = (tls.clone(), handler.clone());
        async move {
            match tls {
                None => http1_connection(stream, peer, handler).await,
                Some(acceptor) => match acceptor.accept(stream).await {
                    Ok(stream) => http1_connection(stream, peer, handler).await,
                    Err(error) => log::line(format_args!("TLS handshake with {peer} failed: {error}")),
                },
            }
        }
    })
    .await
}

async fn http1_connection<S, H, F>(stream: S, peer: SocketAddr, handler: H)
where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Fn(Request<Incoming>, SocketAddr) -> F,
    F: Future<Output = Response<Body>>,
{
    let service = service_fn(|request: Request<Incoming>| {
        let answer = handler(request, peer);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await {
        log::line(format_args!("connection from {peer} ended early: {error}"));
    }
}
