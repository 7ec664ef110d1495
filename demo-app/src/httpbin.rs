//! httpbin-lite: the paths of httpbin that the exercises ask, plus /stream-bytes and /upload for volume.
//!
//! Owns routing, the responses and the options; the JSON echo is in [`reflect`], response bodies of any size in
//! [`source`], sockets in [`crate::serve`]. Streams in both directions run in constant memory.

mod reflect;
mod source;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, SERVER};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde_json::Value;
use tokio_rustls::TlsAcceptor;

use self::reflect::Echo;
use self::source::ByteSource;
use crate::serve::{self, Body};
use crate::{log, tls};

/// The largest body that is echoed back (/upload takes any size).
const MAX_ECHO_BYTES: usize = 16 * 1024 * 1024;

/// The longest /delay, in seconds: httpbin's own limit.
const MAX_DELAY_SECONDS: f64 = 10.0;

/// Options of httpbin-lite.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Port to listen on (0: chosen by the kernel and printed).
    #[arg(long, env = "PORT", default_value_t = 8000)]
    port: u16,
    /// Address to listen on [default: all, IPv4 and IPv6].
    #[arg(long, env = "LISTEN")]
    listen: Option<IpAddr>,
    /// Serve TLS with this certificate chain (PEM).
    #[arg(long, requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The key of the certificate (PEM).
    #[arg(long, requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

/// Serves until the process ends.
///
/// # Errors
/// A port that is taken or TLS files that are not usable.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let acceptor = match (&args.tls_cert, &args.tls_key) {
        (Some(chain), Some(key)) => Some(TlsAcceptor::from(tls::server_config(chain, key)?)),
        _ => None,
    };
    let listener = serve::listen(args.listen, args.port)?;
    log::line(format_args!("httpbin-lite listens on {}", listener.local_addr()?));
    let scheme = if acceptor.is_some() { "https" } else { "http" };
    serve::http1(listener, acceptor, move |request, peer| answer(request, peer, scheme)).await;
    Ok(())
}

async fn answer(request: Request<Incoming>, peer: SocketAddr, scheme: &'static str) -> Response<Body> {
    let (method, uri, version) = (request.method().clone(), request.uri().clone(), request.version());
    let mut response = route(request, peer, scheme).await;
    response.headers_mut().insert(SERVER, HeaderValue::from_static("httpbin-lite"));
    log::access(peer, &method, uri, version, response.status());
    response
}

async fn route(request: Request<Incoming>, peer: SocketAddr, scheme: &'static str) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let (first, rest) = path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""));
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let writes = matches!(*request.method(), Method::POST | Method::PUT);
    match first {
        "" if reads => text(
            StatusCode::OK,
            "httpbin-lite: /get /headers /ip /delay/n /status/n /bytes/n \
             /stream-bytes/n /post /put /patch /delete /anything /upload\n",
        ),
        "get" if reads => json(Echo::head(&request, peer, scheme).get()),
        "headers" if reads => json(Echo::head(&request, peer, scheme).headers_only()),
        "ip" if reads => json(Echo::head(&request, peer, scheme).origin_only()),
        "bytes" if reads => bytes(rest, true),
        "stream-bytes" if reads => bytes(rest, false),
        "status" => status(rest),
        "upload" if writes => upload(request.into_body()).await,
        "delay" => match pause(rest) {
            None => text(StatusCode::BAD_REQUEST, "/delay/n: n is a number of seconds\n"),
            Some(pause) => {
                tokio::time::sleep(pause).await;
                with_body(request, peer, scheme, Echo::full).await
            }
        },
        "anything" => with_body(request, peer, scheme, Echo::anything).await,
        verb @ ("post" | "put" | "patch" | "delete") if request.method().as_str().eq_ignore_ascii_case(verb) => {
            with_body(request, peer, scheme, Echo::full).await
        }
        "" | "get" | "headers" | "ip" | "bytes" | "stream-bytes" | "upload" | "post" | "put" | "patch" | "delete" => {
            text(StatusCode::METHOD_NOT_ALLOWED, "The method is not allowed for this path\n")
        }
        _ => text(StatusCode::NOT_FOUND, "Not Found\n"),
    }
}

/// Reads the whole body (up to the limit) and answers with an echo that includes it.
async fn with_body(
    request: Request<Incoming>,
    peer: SocketAddr,
    scheme: &'static str,
    shape: fn(Echo, &[u8]) -> Value,
) -> Response<Body> {
    let echo = Echo::head(&request, peer, scheme);
    match Limited::new(request.into_body(), MAX_ECHO_BYTES).collect().await {
        Ok(body) => json(shape(echo, &body.to_bytes())),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            text(StatusCode::PAYLOAD_TOO_LARGE, "Larger than 16 MiB: use /upload, which only counts\n")
        }
        Err(error) => text(StatusCode::BAD_REQUEST, format!("The body broke off: {error}\n")),
    }
}

/// Counts the bytes of a body of any size.
async fn upload(mut body: Incoming) -> Response<Body> {
    let mut count = 0_u64;
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => count += frame.data_ref().map_or(0, |data| data.len() as u64),
            Err(error) => {
                return text(StatusCode::BAD_REQUEST, format!("The body broke off after {count} bytes: {error}\n"));
            }
        }
    }
    text(StatusCode::OK, format!("{count}\n"))
}

fn bytes(count: &str, with_length: bool) -> Response<Body> {
    let Ok(count) = count.parse() else {
        return text(StatusCode::BAD_REQUEST, "/bytes/n: n is a number of bytes\n");
    };
    let mut response = Response::new(ByteSource::new(count, with_length).boxed());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    response
}

/// One code, or a comma-separated list to choose from; 1xx codes cannot be final answers.
fn status(codes: &str) -> Response<Body> {
    let parsed: Option<Vec<StatusCode>> = codes
        .split(',')
        .map(|code| StatusCode::from_bytes(code.as_bytes()).ok().filter(|code| !code.is_informational()))
        .collect();
    match parsed.as_deref().and_then(fastrand::choice) {
        Some(code) => text(*code, ""),
        None => text(StatusCode::BAD_REQUEST, "/status/n: n is an HTTP status from 200 on (or a,b,c)\n"),
    }
}

fn pause(seconds: &str) -> Option<Duration> {
    let seconds: f64 = seconds.parse().ok()?;
    Duration::try_from_secs_f64(seconds.min(MAX_DELAY_SECONDS)).ok()
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(text.into()).boxed());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn json(value: Value) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{value:#}\n"))).boxed());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
