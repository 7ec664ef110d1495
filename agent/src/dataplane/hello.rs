//! The first TLS message of a client that reached a pod: does it mean the mesh, or the application?
//!
//! Called by `inbound` before any certificate is shown; it leaves the handshake to it.

use std::{sync::Arc, time::Duration};

use bytes::BytesMut;
use rustls::server::Acceptor;

use super::sniff::fill;
use crate::{identity, net::stream::Stream};

/// Most bytes that are read to find a whole ClientHello.
const CLIENT_HELLO_BYTES_MAX: usize = 64 * 1024;

/// A ClientHello that offers a mesh protocol.
pub struct MeshHello {
    /// The handshake, to be gone on with.
    pub accepted: rustls::server::Accepted,
    /// Server name.
    pub sni: Option<Arc<str>>,
}

/// Reads a whole ClientHello; `None` when it offers no mesh protocol, with all bytes still in `buffer`.
pub async fn mesh_hello(stream: &mut Stream, buffer: &mut BytesMut, wait: Duration) -> Option<MeshHello> {
    let reading = async {
        let mut acceptor = Acceptor::default();
        let mut given = 0;
        loop {
            let mut unread = &buffer[given..];
            while !unread.is_empty() {
                let read = acceptor.read_tls(&mut unread).ok()?;
                given += read;
                if read == 0 {
                    break;
                }
            }
            match acceptor.accept() {
                Ok(Some(accepted)) => return Some(accepted),
                Ok(None) if buffer.len() < CLIENT_HELLO_BYTES_MAX => {}
                _ => return None,
            }
            if !matches!(fill(stream, buffer).await, Ok(1..)) {
                return None;
            }
        }
    };
    let accepted = tokio::time::timeout(wait, reading).await.ok()??;
    let (is_mesh, sni) = {
        let hello = accepted.client_hello();
        let mut offered = hello.alpn().into_iter().flatten();
        (offered.any(|name| identity::ALPN_SERVER.contains(&name)), hello.server_name().map(Arc::from))
    };
    is_mesh.then_some(MeshHello { accepted, sni })
}
