//! A client's connection: accepts its streams, each served in a task of its own, and says GOAWAY when the agent leaves.

use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use h2::{Reason, RecvStream, ext::Protocol, server::SendResponse};
use http::Request;

use super::{call, server_builder, transport::Transport};
use crate::{
    dataplane::{http::Hop, pod::PodContext, worker::Open},
    net::stream::Stream,
};

/// Serves a client until it leaves, breaks the protocol, or the agent drains. `first` was read from `stream` already; each
/// stream has a hop of its own.
pub async fn serve<H: Hop + 'static>(pod: &Rc<PodContext>, stream: Stream, first: BytesMut, hop: impl Fn() -> H) {
    let shared = &pod.worker.shared;
    let handshake = server_builder().handshake::<_, Bytes>(Transport::new(stream, first.freeze()));
    let Ok(Ok(mut connection)) = tokio::time::timeout(shared.limits.head_timeout, handshake).await else { return };
    let mut drain = shared.drain.clone();
    let mut is_draining = false;
    loop {
        let accepted = tokio::select! {
            accepted = connection.accept() => accepted,
            () = drain.retired(), if !is_draining => {
                // Says GOAWAY twice, so that what the client sends meanwhile is served, too.
                connection.graceful_shutdown();
                is_draining = true;
                continue;
            }
            () = tokio::time::sleep(shared.limits.idle_timeout), if !is_draining => {
                if !connection.has_streams() {
                    connection.graceful_shutdown();
                    is_draining = true;
                }
                continue;
            }
        };
        match accepted {
            Some(Ok((request, respond))) => {
                let is_tunnel = request.extensions().get::<Protocol>().is_some();
                let watch = is_tunnel.then(&hop);
                let mut hop = hop();
                if hop.is_welcome() {
                    begin(pod, request, respond, hop, watch);
                } else {
                    // What the stream asked for was not looked at: the client may ask by another connection.
                    connection.abrupt_shutdown(Reason::REFUSED_STREAM);
                }
            }
            Some(Err(error)) => {
                tracing::debug!(pod = %pod.name, %error, "an HTTP/2 connection ended");
                return;
            }
            None => return,
        }
    }
}

fn begin<H: Hop + 'static>(
    pod: &Rc<PodContext>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    hop: H,
    watch: Option<H>,
) {
    let Some(open) = Open::admit(pod) else { return respond.send_reset(Reason::REFUSED_STREAM) };
    tokio::task::spawn_local(async move {
        call::serve(request, respond, hop, watch).await;
        drop(open);
    });
}
