//! The echo server: HTTP requests come back as one JSON object, or (--tcp) bytes come back as they are.
//!
//! It reads requests with [`crate::wire`], not hyper, so that header names and their order are those of the wire. With
//! --server-first it greets before the client speaks, as mail and database servers do: a mesh that waits for the client
//! to learn the protocol hangs on it.

use std::io;
use std::net::{IpAddr, SocketAddr};

use http::{Method, StatusCode, Version};
use serde::Serialize;
use tokio::io::{AsyncWriteExt, copy};
use tokio::net::TcpStream;

use crate::wire::{Head, Reader, WireError};
use crate::{log, serve};

/// Options of the echo server.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Port to listen on (0: chosen by the kernel and printed).
    #[arg(long, env = "PORT", default_value_t = 8080)]
    port: u16,
    /// Address to listen on [default: all, IPv4 and IPv6].
    #[arg(long, env = "LISTEN")]
    listen: Option<IpAddr>,
    /// Echo bytes instead of answering HTTP.
    #[arg(long)]
    tcp: bool,
    /// Send `220 <hostname> ready` before the client speaks.
    #[arg(long, requires = "tcp")]
    server_first: bool,
}

/// What the client learns about its request.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    hostname: &'a str,
    peer_address: IpAddr,
    peer_port: u16,
    local_address: IpAddr,
    local_port: u16,
    method: &'a str,
    path: &'a str,
    version: &'static str,
    headers: Vec<(&'a str, String)>,
    body_length: u64,
}

/// Serves until the process ends.
///
/// # Errors
/// A port that is taken.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let listener = serve::listen(args.listen, args.port)?;
    log::line(format_args!("echo listens on {}", listener.local_addr()?));
    let (tcp, server_first) = (args.tcp, args.server_first);
    serve::accept_loop(listener, move |stream, peer| async move {
        let outcome = if tcp { echo_tcp(stream, peer, server_first).await } else { echo_http(stream, peer).await };
        if let Err(error) = outcome {
            log::line(format_args!("connection from {peer} ended early: {error}"));
        }
    })
    .await;
    Ok(())
}

/// Sends everything back until the client has finished, then finishes too.
async fn echo_tcp(mut stream: TcpStream, peer: SocketAddr, server_first: bool) -> Result<(), WireError> {
    if server_first {
        stream.write_all(format!("220 {} ready\r\n", hostname()).as_bytes()).await?;
    }
    let (mut reading, mut writing) = stream.split();
    let count = copy(&mut reading, &mut writing).await?;
    writing.shutdown().await?;
    log::line(format_args!("echoed {count} bytes to {peer}"));
    Ok(())
}

/// Answers requests on one connection for as long as the client keeps it.
async fn echo_http(stream: TcpStream, peer: SocketAddr) -> Result<(), WireError> {
    let local = stream.local_addr()?;
    let mut reader = Reader::new(stream);
    loop {
        let head = match reader.head().await {
            Ok(None) => return Ok(()),
            Ok(Some(head)) => head,
            Err(WireError::Io(error)) => return Err(error.into()),
            Err(error) => {
                write(reader.stream(), StatusCode::BAD_REQUEST, "text/plain", &format!("{error}\n"), false, false)
                    .await?;
                return Err(error);
            }
        };
        let body_length = reader.drain_body(&head).await?;
        let answer = describe(&head, body_length, &hostname(), peer, local);
        let keep = head.keeps_alive();
        write(reader.stream(), StatusCode::OK, "application/json", &answer, keep, head.method == "HEAD").await?;
        let method = Method::from_bytes(head.method.as_bytes()).unwrap_or_default();
        let version = if head.minor_version == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
        log::access(peer, &method, &head.target, version, StatusCode::OK);
        if !keep {
            return Ok(());
        }
    }
}

fn describe(head: &Head, body_length: u64, hostname: &str, peer: SocketAddr, local: SocketAddr) -> String {
    let answer = Answer {
        hostname,
        peer_address: peer.ip().to_canonical(),
        peer_port: peer.port(),
        local_address: local.ip().to_canonical(),
        local_port: local.port(),
        method: &head.method,
        path: &head.target,
        version: if head.minor_version == 0 { "HTTP/1.0" } else { "HTTP/1.1" },
        headers: head
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value).into_owned()))
            .collect(),
        body_length,
    };
    // Texts and numbers always serialize; were it to fail, the client sees an empty object.
    let mut text = serde_json::to_string(&answer).unwrap_or_else(|_| "{}".to_owned());
    text.push('\n');
    text
}

async fn write(
    stream: &mut TcpStream,
    status: StatusCode,
    content_type: &str,
    body: &str,
    keep: bool,
    head_only: bool,
) -> io::Result<()> {
    let connection = if keep { "keep-alive" } else { "close" };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\nserver: echo\r\n\
         connection: {connection}\r\n\r\n",
        body.len()
    );
    let body = if head_only { "" } else { body };
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await
}

/// The name of this host (in a pod: the pod's name).
fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "unknown".to_owned(), |name| name.trim().to_owned())
}

#[cfg(test)]
mod tests;
