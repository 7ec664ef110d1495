//! The life of a connection that a pod made: identify, look, decide, connect, relay, report.

use std::{io, net::SocketAddr, rc::Rc, time::Duration};

use bytes::BytesMut;
use tokio::{io::AsyncWriteExt, net::TcpStream};
use weft_model::{
    address::{OriginalDst, canonical},
    decision::{Cluster, Decision, Forward, Refusal, UpstreamTls, decide_connection, outbound_protocol},
    outcome::ResponseFlag,
    service::AppProtocol,
};

use super::{
    dial::Attempts,
    event::{ConnectionInfo, Party, Reporter},
    http::{self, Wire, outbound::OutboundHop},
    http2,
    pod::{PodContext, View},
    probe::{ANSWER, PROBE_ADDRESS},
    sniff::{First, Sniffed, fill, first_bytes},
    tcp::{self, Ending, TcpRecord},
};
use crate::{
    identity::Purpose,
    net::{relay::Relay, socket::reset_on_close, stream::Stream},
};

/// A connection on its way through.
struct Outbound {
    pod: Rc<PodContext>,
    destination: OriginalDst,
    client: SocketAddr,
}

/// Serves a connection that `pod` made, until it ends.
pub async fn serve(pod: Rc<PodContext>, socket: TcpStream, client: SocketAddr) {
    let Ok(destination) = socket.local_addr() else { return };
    let destination = OriginalDst(canonical(destination));
    let _ = socket.set_nodelay(true);
    let mut stream = Stream::plain(socket);
    if destination.0 == PROBE_ADDRESS {
        // Who probes reads to the end; a failed write is a failed probe.
        let _ = stream.write_all(ANSWER).await;
        return;
    }
    let Some(view) = pod.view() else { return reset_on_close(&stream) };
    if dials_listener(&pod, &view, destination) {
        return reset_on_close(&stream);
    }
    let protocol = outbound_protocol(&view.snapshot, destination);
    let outbound = Outbound { pod, destination, client: canonical(client) };
    match protocol {
        AppProtocol::Http | AppProtocol::Http2 | AppProtocol::Grpc => outbound.declared_http(stream).await,
        AppProtocol::Undeclared => outbound.undeclared(stream).await,
        AppProtocol::Tcp | AppProtocol::Tls | AppProtocol::ServerFirst => {
            outbound.opaque(stream, BytesMut::new()).await;
        }
    }
}

/// A pod that dials the agent's own listener would have the agent talk to itself for ever.
fn dials_listener(pod: &PodContext, view: &View, destination: OriginalDst) -> bool {
    let ip = destination.0.ip();
    (ip.is_loopback() || ip.is_unspecified() || pod.is_own_address(view, ip))
        && matches!(destination.0.port(), 15001 | 15006)
}

impl Outbound {
    /// The port is declared to be HTTP; what is plainly something else passes as bytes all the same.
    async fn declared_http(self, mut stream: Stream) {
        let mut buffer = BytesMut::new();
        match first_bytes(&mut stream, &mut buffer, self.idle_timeout()).await {
            Ok(First::Bytes(Sniffed::Tls)) => self.opaque(stream, buffer).await,
            Ok(First::Bytes(Sniffed::Http2)) => self.http2(stream, buffer).await,
            Ok(First::Bytes(_)) => self.http(stream, buffer).await,
            Ok(First::Ended) if !buffer.is_empty() => self.http(stream, buffer).await,
            _ => {}
        }
    }

    async fn undeclared(self, mut stream: Stream) {
        let mut buffer = BytesMut::new();
        let wait = self.pod.worker.shared.limits.sniff_wait;
        match first_bytes(&mut stream, &mut buffer, wait).await {
            Ok(First::Bytes(Sniffed::Http1)) => self.http(stream, buffer).await,
            Ok(First::Bytes(Sniffed::Http2)) => self.http2(stream, buffer).await,
            Ok(First::Bytes(_) | First::Ended) => self.opaque(stream, buffer).await,
            Ok(First::Silent) if !buffer.is_empty() => self.opaque(stream, buffer).await,
            Ok(First::Silent) => self.silent(stream).await,
            Err(_gone) => {}
        }
    }

    /// The client says nothing: perhaps the server speaks first. Dials, and whoever speaks first tells
    /// what it is.
    async fn silent(self, mut stream: Stream) {
        let Some((view, forward, mut upstream)) = self.dial_or_refuse(&stream).await else { return };
        let (mut up, mut down) = (BytesMut::new(), BytesMut::new());
        let spoken = tokio::select! {
            told = first_bytes(&mut stream, &mut up, self.idle_timeout()) => Some(told),
            read = fill(&mut upstream, &mut down) => {
                if read.is_err() {
                    reset_on_close(&stream);
                }
                None
            }
        };
        match spoken {
            Some(Ok(First::Bytes(Sniffed::Http1))) => {
                drop(upstream);
                self.http(stream, up).await;
            }
            Some(Ok(First::Bytes(Sniffed::Http2))) => {
                drop(upstream);
                self.http2(stream, up).await;
            }
            Some(Ok(First::Silent) | Err(_)) => {}
            Some(Ok(First::Bytes(_) | First::Ended)) | None => {
                let connection = self.connection(&view, Some(&forward), forward.cluster.clone(), &upstream);
                self.relay(connection, Relay::new(stream, upstream, up, down)).await;
            }
        }
    }

    async fn http(self, stream: Stream, buffer: BytesMut) {
        let pod = self.pod.clone();
        let mut hop = OutboundHop::new(self.pod, self.destination, self.client);
        http::serve(Wire::new(stream, buffer), &mut hop, &pod.worker.shared).await;
    }

    async fn http2(self, stream: Stream, buffer: BytesMut) {
        let hop = || OutboundHop::new(self.pod.clone(), self.destination, self.client);
        http2::serve(&self.pod, stream, buffer, hop).await;
    }

    async fn opaque(self, stream: Stream, buffer: BytesMut) {
        let Some((view, forward, upstream)) = self.dial_or_refuse(&stream).await else { return };
        let connection = self.connection(&view, Some(&forward), forward.cluster.clone(), &upstream);
        self.relay(connection, Relay::new(stream, upstream, buffer, BytesMut::new())).await;
    }

    async fn relay(self, connection: ConnectionInfo, relay: Relay) {
        let shared = &self.pod.worker.shared;
        let record = TcpRecord::open(shared, connection);
        tcp::relay(shared, relay, record, std::future::pending()).await;
    }

    /// Decides and dials; a refusal or failure reaches the client as a reset, and is reported.
    async fn dial_or_refuse(&self, stream: &Stream) -> Option<(Rc<View>, Forward, Stream)> {
        let mut attempts = Attempts::default();
        let (view, forward, error) = loop {
            let view = self.pod.view()?;
            let decision =
                self.pod.with_dice(|dice| decide_connection(&view.snapshot, &view.workload, self.destination, dice));
            match decision {
                Decision::Forward(forward) => match self.pod.dial(&view, &forward, Purpose::Tcp).await {
                    Ok(upstream) => return Some((view, forward, upstream)),
                    Err(error) => {
                        if !attempts.go_on(&error, forward.is_in_mesh()).await {
                            break (view, forward, error);
                        }
                    }
                },
                Decision::Refuse { reason, cluster, .. } => {
                    self.report_refusal(stream, &view, None, cluster, refusal_ending(reason));
                    return None;
                }
                Decision::Answer { answer, cluster, .. } => {
                    let ending = Ending { flags: answer.flag.into_iter().collect(), ..Ending::default() };
                    self.report_refusal(stream, &view, None, cluster, ending);
                    return None;
                }
            }
        };
        let ending = Ending {
            flags: vec![ResponseFlag::UpstreamConnectionFailure],
            details: String::new(),
            upstream_failure: error.transport_failure(),
        };
        tracing::debug!(pod = %self.pod.name, destination = %self.destination.0, %error, "cannot connect upstream");
        let cluster = forward.cluster.clone();
        self.report_refusal(stream, &view, Some(&forward), cluster, ending);
        None
    }

    fn report_refusal(
        &self,
        stream: &Stream,
        view: &View,
        forward: Option<&Forward>,
        cluster: Cluster,
        ending: Ending,
    ) {
        reset_on_close(stream);
        let mut connection = self.connection(view, forward, cluster, stream);
        connection.upstream_local = None;
        let shared = &self.pod.worker.shared;
        TcpRecord::open(shared, connection).close(shared, (0, 0), ending);
    }

    fn connection(
        &self,
        view: &View,
        forward: Option<&Forward>,
        cluster: Cluster,
        upstream: &Stream,
    ) -> ConnectionInfo {
        let expected = forward.and_then(|forward| match &forward.tls {
            UpstreamTls::Mutual(id) => Some(id.clone()),
            UpstreamTls::Plaintext => None,
        });
        let mutual_tls = expected.is_some();
        ConnectionInfo {
            reporter: Reporter::Source,
            owner: view.workload.clone(),
            source: Party {
                workload: Some(view.workload.clone()),
                principal: mutual_tls.then(|| view.workload.identity.clone()),
            },
            destination: Party { workload: forward.and_then(|forward| forward.workload.clone()), principal: expected },
            cluster: Some(cluster),
            mutual_tls,
            sni: None,
            downstream_remote: self.client,
            downstream_local: self.destination.0,
            upstream_remote: forward.map(|forward| forward.address),
            upstream_local: upstream.local_addr(),
        }
    }

    fn idle_timeout(&self) -> Duration {
        self.pod.worker.shared.limits.idle_timeout
    }
}

fn refusal_ending(reason: Refusal) -> Ending {
    let flag = match reason {
        Refusal::NoRoute => Some(ResponseFlag::NoRoute),
        Refusal::NoCluster => Some(ResponseFlag::NoCluster),
        Refusal::NoHealthyUpstream => Some(ResponseFlag::NoHealthyUpstream),
        Refusal::BlackHole => None,
    };
    Ending { flags: flag.into_iter().collect(), ..Ending::default() }
}

/// Errors that accepting may bring and that are the connection's, not the listener's.
pub fn is_connection_error(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}
