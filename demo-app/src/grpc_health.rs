//! `grpc-health`: the standard health service of gRPC (`grpc.health.v1.Health/Check`) and nothing else.
//!
//! What kubelets ask in gRPC probes, so that a mesh can be tested between the two. HTTP/2 without TLS, as a kubelet speaks it.
//! The two messages are so small that they are written here by hand.

use std::convert::Infallible;
use std::net::IpAddr;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::{log, serve};

/// The one method.
const CHECK: &str = "/grpc.health.v1.Health/Check";

/// One message, not compressed, of two bytes: field 1 (`status`) is 1 (`SERVING`).
const SERVING: &[u8] = &[0, 0, 0, 0, 2, 0x08, 0x01];

/// gRPC's status for a call that worked.
const OK: &str = "0";

/// gRPC's status for a method that the server does not have.
const UNIMPLEMENTED: &str = "12";

/// Options of the health server.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Port to listen on (0: chosen by the kernel and printed).
    #[arg(long, env = "PORT", default_value_t = 9090)]
    port: u16,
    /// Address to listen on [default: all, IPv4 and IPv6].
    #[arg(long, env = "LISTEN")]
    listen: Option<IpAddr>,
}

/// Serves until the process ends.
///
/// # Errors
/// A port that is taken.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let listener = serve::listen(args.listen, args.port)?;
    log::line(format_args!("grpc-health listens on {}", listener.local_addr()?));
    serve::accept_loop(listener, |stream, peer| async move {
        let service = service_fn(move |request: Request<Incoming>| async move {
            let response = answer(request.uri().path());
            log::access(peer, request.method(), request.uri().path(), request.version(), response.status());
            Ok::<_, Infallible>(response)
        });
        let served = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        if let Err(error) = served {
            log::line(format_args!("connection from {peer} ended early: {error}"));
        }
    })
    .await;
    Ok(())
}

/// gRPC says how a call went in the trailers, whatever the HTTP status.
fn answer(path: &str) -> Response<BoxBody<Bytes, Infallible>> {
    let (message, status) = if path == CHECK { (SERVING, OK) } else { (&[][..], UNIMPLEMENTED) };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    let body = Full::new(Bytes::from_static(message)).with_trailers(async move { Some(Ok(trailers)) });
    let mut response = Response::new(BodyExt::boxed(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

#[cfg(test)]
mod tests;
