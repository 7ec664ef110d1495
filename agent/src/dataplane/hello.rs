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
        let mut reader = Reader::default();
        loop {
            if let Some(accepted) = reader.advance(buffer)? {
                return Some(accepted);
            }
            if !matches!(fill(stream, buffer).await, Ok(1..)) {
                return None;
            }
        }
    };
    mesh_protocol(tokio::time::timeout(wait, reading).await.ok()??)
}

fn mesh_protocol(accepted: rustls::server::Accepted) -> Option<MeshHello> {
    let (is_mesh, sni) = {
        let hello = accepted.client_hello();
        let mut offered = hello.alpn().into_iter().flatten();
        (offered.any(|name| identity::ALPN_SERVER.contains(&name)), hello.server_name().map(Arc::from))
    };
    is_mesh.then_some(MeshHello { accepted, sni })
}

/// Looks for a ClientHello in a buffer that grows.
#[derive(Default)]
struct Reader {
    acceptor: Acceptor,
    given: usize,
}

impl Reader {
    /// Reads what is new in `buffer`: a whole ClientHello, nothing yet, or `None` when it will never be one.
    fn advance(&mut self, buffer: &[u8]) -> Option<Option<rustls::server::Accepted>> {
        let mut unread = &buffer[self.given..];
        while !unread.is_empty() {
            let read = self.acceptor.read_tls(&mut unread).ok()?;
            self.given += read;
            if read == 0 {
                break;
            }
        }
        match self.acceptor.accept() {
            Ok(Some(accepted)) => Some(Some(accepted)),
            Ok(None) if buffer.len() < CLIENT_HELLO_BYTES_MAX => Some(None),
            _ => None,
        }
    }
}

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
