//! The life of a connection that reached a pod: look, prove, judge, connect to the application, relay,
//! report. Enforcement is here and nowhere else: whatever dials a pod's address passes through.

use std::{net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use bytes::BytesMut;
use tokio::net::TcpStream;
use tokio_rustls::StartHandshake;
use weft_model::{
    address::canonical,
    decision::{Cluster, InboundFacts, Verdict, inbound_protocol},
    identity::SpiffeId,
    outcome::ResponseFlag,
    policy::MtlsMode,
    service::AppProtocol,
};

use super::{
    event::{ConnectionInfo, Party, Reporter},
    hello::{MeshHello, mesh_hello},
    http::{
        self, Wire,
        inbound::{InboundHop, denial_details, service_meant},
    },
    http2,
    pod::{PodContext, View},
    shared_connections,
    sniff::{First, Sniffed, fill, first_bytes},
    tcp::{self, Ending, TcpRecord},
};
use crate::{
    identity,
    net::{relay::Relay, socket::reset_on_close, stream::Stream},
};

/// Envoy's details of a connection that no filter chain takes: plain text to a STRICT port.
const NO_FILTER_CHAIN: &str = "filter_chain_not_found";

/// How long a pod of the mesh may take to begin its handshake on a PERMISSIVE port: what it says later than
/// a server that speaks first has spoken cannot be secured any more.
const MESH_PEER_WAIT: Duration = Duration::from_secs(1);

/// The other end of a connection that reached a pod.
#[derive(Debug)]
pub struct Client {
    /// Its address and port.
    pub peer: SocketAddr,
    /// What it dialled: an address and port of the pod.
    pub destination: SocketAddr,
    /// Identity it proved by mesh mTLS.
    pub principal: Option<SpiffeId>,
    /// `x-forwarded-client-cert` for the application.
    pub certificate: Option<String>,
    /// Server name of the handshake.
    pub sni: Option<Arc<str>>,
}

impl Client {
    /// Who it is, as far as it has proved it: an address alone proves nothing, so a plain-text peer
    /// stays unknown, and an mTLS peer's address must be a pod of the identity it proved.
    pub fn party(&self, view: &View) -> Party {
        let workload = self.principal.as_ref().and_then(|principal| {
            view.workload_at(self.peer.ip()).filter(|workload| workload.identity == *principal).cloned()
        });
        Party { workload, principal: self.principal.clone() }
    }
}

/// A connection on its way in.
struct Inbound {
    pod: Rc<PodContext>,
    client: Rc<Client>,
    declared: AppProtocol,
    /// It may still say that it wants to prove who it is.
    provable: bool,
}

/// Serves a connection that reached `pod`, until it ends.
pub async fn serve(pod: Rc<PodContext>, socket: TcpStream, peer: SocketAddr) {
    let Ok(destination) = socket.local_addr() else { return };
    let (peer, destination) = (canonical(peer), canonical(destination));
    let _ = socket.set_nodelay(true);
    let Some(view) = pod.view() else { return reset_on_close(&socket) };
    let declared = inbound_protocol(&view.snapshot, &view.workload, destination.port());
    let mode = view.policy.mtls_mode(destination.port());
    let plain = Client { peer, destination, principal: None, certificate: None, sni: None };
    let stream = Stream::plain(socket);
    if mode == MtlsMode::Disable {
        let inbound = Inbound { pod, client: Rc::new(plain), declared, provable: false };
        return inbound.application(stream, BytesMut::new()).await;
    }
    let limits = &pod.worker.shared.limits;
    let is_mesh_pod = view.workload_at(peer.ip()).is_some_and(|workload| workload.is_enrolled());
    let wait = match (mode == MtlsMode::Strict, is_mesh_pod) {
        (true, _) => limits.handshake_timeout,
        (false, true) => limits.sniff_wait.max(MESH_PEER_WAIT),
        (false, false) => limits.sniff_wait,
    };
    drop(view);
    prove(pod, stream, plain, declared, wait).await;
}

/// Finds out whether the client speaks mesh mTLS, and lets it prove who it is.
async fn prove(pod: Rc<PodContext>, mut stream: Stream, plain: Client, declared: AppProtocol, wait: Duration) {
    let mut buffer = BytesMut::new();
    let first = first_bytes(&mut stream, &mut buffer, wait).await;
    let inbound = Inbound { pod, client: Rc::new(plain), declared, provable: true };
    match first {
        Err(_gone) => {}
        Ok(First::Bytes(Sniffed::Tls)) => inbound.tls(stream, buffer).await,
        _ if inbound.must_prove() => inbound.refuse(&stream, NO_FILTER_CHAIN.to_owned(), Some(ResponseFlag::NoRoute)),
        Ok(First::Silent) if buffer.is_empty() && !is_declared_http(declared) => inbound.silent(stream).await,
        Ok(_) => inbound.application(stream, buffer).await,
    }
}

/// Is the port declared to speak HTTP, in whichever version? Its clients speak first.
fn is_declared_http(declared: AppProtocol) -> bool {
    matches!(declared, AppProtocol::Http | AppProtocol::Http2 | AppProtocol::Grpc)
}

async fn handshake(pod: Rc<PodContext>, stream: Stream, hello: MeshHello, plain: &Client, declared: AppProtocol) {
    let Stream::Plain(stream) = stream else { return };
    let Some(view) = pod.view() else { return reset_on_close(stream.tcp()) };
    let own = &view.workload.identity;
    let identity = match pod.worker.shared.identities.get(own).await {
        Ok(identity) => identity,
        Err(error) => {
            tracing::warn!(pod = %pod.name, %error, "cannot accept mTLS");
            return reset_on_close(stream.tcp());
        }
    };
    let accepting = StartHandshake::from_parts(hello.accepted, stream).into_stream(identity.server_config());
    let limit = pod.worker.shared.limits.handshake_timeout;
    let tls = match tokio::time::timeout(limit, accepting).await {
        Ok(Ok(tls)) => tls,
        Ok(Err(error)) => {
            tracing::debug!(pod = %pod.name, peer = %plain.peer, %error, "mTLS handshake failed");
            return;
        }
        Err(_elapsed) => return,
    };
    let connection = tls.get_ref().1;
    let peer = match identity::peer_id(connection) {
        Ok(peer) => peer,
        Err(error) => {
            tracing::warn!(pod = %pod.name, peer = %plain.peer, %error, "peer has no usable identity");
            return reset_on_close(tls.get_ref().0.tcp());
        }
    };
    let certificate = connection
        .peer_certificates()
        .and_then(|chain| chain.first())
        .map(|certificate| identity::xfcc(own, certificate, &peer));
    let is_shared = connection.alpn_protocol() == Some(identity::ALPN_MUX);
    let is_http =
        connection.alpn_protocol().is_some_and(|name| name == b"istio-h2" || name.starts_with(b"istio-http/"));
    let declared = if is_http { AppProtocol::Http } else { declared };
    let (peer_address, destination) = (plain.peer, plain.destination);
    let client = Client { peer: peer_address, destination, principal: Some(peer), certificate, sni: hello.sni };
    drop(view);
    if is_shared {
        return shared_connections::serve(pod, Rc::new(client), Stream::Server(Box::new(tls))).await;
    }
    let inbound = Inbound { pod, client: Rc::new(client), declared, provable: false };
    inbound.application(Stream::Server(Box::new(tls)), BytesMut::new()).await;
}

impl Inbound {
    /// Does the port take nobody who has not proved who it is?
    fn must_prove(&self) -> bool {
        self.client.principal.is_none()
            && self
                .pod
                .view()
                .is_none_or(|view| view.policy.mtls_mode(self.client.destination.port()) == MtlsMode::Strict)
    }

    /// The client begins a TLS handshake: the mesh's, or one of the application's own, which is opaque
    /// whatever the port is declared to speak.
    async fn tls(self, mut stream: Stream, mut buffer: BytesMut) {
        let limit = self.pod.worker.shared.limits.handshake_timeout;
        if self.provable
            && let Some(hello) = mesh_hello(&mut stream, &mut buffer, limit).await
        {
            // Boxed: what follows the handshake may come here again.
            return Box::pin(handshake(self.pod, stream, hello, &self.client, self.declared)).await;
        }
        if self.provable && self.must_prove() {
            return self.refuse(&stream, NO_FILTER_CHAIN.to_owned(), Some(ResponseFlag::NoRoute));
        }
        self.opaque(stream, buffer).await;
    }

    /// Finds out what the client speaks, now that it has proved who it is or need not.
    async fn application(self, mut stream: Stream, mut buffer: BytesMut) {
        let limits = &self.pod.worker.shared.limits;
        let (idle, sniff) = (limits.idle_timeout, limits.sniff_wait);
        match self.declared {
            AppProtocol::Http | AppProtocol::Http2 | AppProtocol::Grpc => {
                match first_bytes(&mut stream, &mut buffer, idle).await {
                    Ok(First::Bytes(Sniffed::Tls)) => self.tls(stream, buffer).await,
                    Ok(First::Bytes(Sniffed::Http2)) => self.http2(stream, buffer).await,
                    Ok(First::Bytes(_)) => self.http(stream, buffer, None).await,
                    Ok(First::Ended) if !buffer.is_empty() => self.http(stream, buffer, None).await,
                    _ => {}
                }
            }
            AppProtocol::Undeclared => match first_bytes(&mut stream, &mut buffer, sniff).await {
                Ok(First::Bytes(Sniffed::Http1)) => self.http(stream, buffer, None).await,
                Ok(First::Bytes(Sniffed::Http2)) => self.http2(stream, buffer).await,
                Ok(First::Silent) if buffer.is_empty() => self.silent(stream).await,
                Ok(First::Bytes(Sniffed::Tls)) => self.tls(stream, buffer).await,
                Ok(_) => self.opaque(stream, buffer).await,
                Err(_gone) => {}
            },
            AppProtocol::Tcp | AppProtocol::Tls | AppProtocol::ServerFirst => {
                self.opaque(stream, buffer).await;
            }
        }
    }

    /// The client says nothing: perhaps the application speaks first. What it says reaches only a client
    /// that opaque TCP is allowed to.
    async fn silent(self, mut stream: Stream) {
        let idle = self.pod.worker.shared.limits.idle_timeout;
        let (mut from_client, mut from_application) = (BytesMut::new(), BytesMut::new());
        if !self.pod.view().is_some_and(|view| self.judge(&view).access.is_allowed()) {
            if self.declared != AppProtocol::Undeclared {
                return self.opaque(stream, from_client).await;
            }
            return match first_bytes(&mut stream, &mut from_client, idle).await {
                Ok(First::Bytes(told)) => self.told(told, stream, from_client, None).await,
                _ => self.opaque(stream, from_client).await,
            };
        }
        let Some(mut application) = self.dial(&stream).await else { return };
        let spoken = tokio::select! {
            told = first_bytes(&mut stream, &mut from_client, idle) => Some(told),
            read = fill(&mut application, &mut from_application) => {
                if read.is_err() {
                    reset_on_close(&stream);
                }
                None
            }
        };
        match spoken {
            Some(Ok(First::Bytes(told))) => {
                self.told(told, stream, from_client, Some(Wire::new(application, from_application))).await;
            }
            Some(Ok(First::Silent) | Err(_)) => {}
            Some(Ok(First::Ended)) | None => self.relay(stream, application, from_client, from_application).await,
        }
    }

    /// A client that was silent has told what it speaks.
    async fn told(self, told: Sniffed, stream: Stream, buffer: BytesMut, application: Option<Wire>) {
        match (told, self.declared, application) {
            (Sniffed::Http1, AppProtocol::Undeclared, application) => self.http(stream, buffer, application).await,
            (Sniffed::Http2, AppProtocol::Undeclared, _) => self.http2(stream, buffer).await,
            (Sniffed::Tls, _, _) if self.provable => self.tls(stream, buffer).await,
            (_, _, Some(wire)) => self.relay(stream, wire.stream, buffer, wire.buffer).await,
            (_, _, None) => self.opaque(stream, buffer).await,
        }
    }

    async fn http(self, stream: Stream, buffer: BytesMut, application: Option<Wire>) {
        let pod = self.pod.clone();
        let mut hop = InboundHop::new(self.pod, self.client, application);
        http::serve(Wire::new(stream, buffer), &mut hop, &pod.worker.shared).await;
    }

    async fn http2(self, stream: Stream, buffer: BytesMut) {
        let calls = Rc::new(http2::Peer::default());
        let hop = || InboundHop::of_stream(self.pod.clone(), self.client.clone(), calls.clone());
        http2::serve(&self.pod, stream, buffer, hop).await;
    }

    async fn opaque(self, stream: Stream, buffer: BytesMut) {
        let Some(view) = self.pod.view() else { return reset_on_close(&stream) };
        let verdict = self.judge(&view);
        if !verdict.access.is_allowed() {
            tracing::debug!(pod = %self.pod.name, peer = %self.client.peer, access = ?verdict.access, "connection denied");
            return self.refuse(&stream, denial_details(&verdict.access), None);
        }
        let Some(application) = self.dial(&stream).await else { return };
        self.relay(stream, application, buffer, BytesMut::new()).await;
    }

    async fn relay(self, stream: Stream, application: Stream, to_application: BytesMut, to_client: BytesMut) {
        let Some(view) = self.pod.view() else { return reset_on_close(&stream) };
        let connection = self.connection(&view, application.local_addr());
        let shared = self.pod.worker.shared.clone();
        let record = TcpRecord::open(&shared, connection);
        let forbidden = self.forbidden();
        tcp::relay(&shared, Relay::new(stream, application, to_application, to_client), record, forbidden).await;
    }

    /// Resolves, with the reason, when a change of the world no longer allows this connection.
    async fn forbidden(&self) -> String {
        let mut snapshots = self.pod.worker.shared.snapshot.clone();
        loop {
            if snapshots.changed().await.is_err() {
                return std::future::pending().await;
            }
            let Some(view) = self.pod.view() else { continue };
            if self.must_prove() {
                return NO_FILTER_CHAIN.to_owned();
            }
            let verdict = self.judge(&view);
            if !verdict.access.is_allowed() {
                return denial_details(&verdict.access);
            }
        }
    }

    fn judge(&self, view: &View) -> Verdict {
        view.policy.authorize(&InboundFacts {
            peer: self.client.peer.ip(),
            principal: self.client.principal.as_ref(),
            destination: self.client.destination,
            sni: self.client.sni.as_deref(),
            request: None,
        })
    }

    /// Connects to the application; its refusal reaches the client as a reset.
    async fn dial(&self, stream: &Stream) -> Option<Stream> {
        match self.pod.dial_application(self.client.peer.ip(), self.client.destination).await {
            Ok(application) => Some(application),
            Err(error) => {
                reset_on_close(stream);
                let ending = Ending {
                    flags: vec![ResponseFlag::UpstreamConnectionFailure],
                    upstream_failure: error.transport_failure(),
                    ..Ending::default()
                };
                self.report(ending);
                None
            }
        }
    }

    fn refuse(&self, stream: &Stream, details: String, flag: Option<ResponseFlag>) {
        reset_on_close(stream);
        self.report(Ending { flags: flag.into_iter().collect(), details, upstream_failure: String::new() });
    }

    fn report(&self, ending: Ending) {
        let Some(view) = self.pod.view() else { return };
        let shared = &self.pod.worker.shared;
        TcpRecord::open(shared, self.connection(&view, None)).close(shared, (0, 0), ending);
    }

    fn connection(&self, view: &View, upstream_local: Option<SocketAddr>) -> ConnectionInfo {
        let client = &self.client;
        let meant = service_meant(view, client.destination, "");
        ConnectionInfo {
            reporter: Reporter::Destination,
            owner: view.workload.clone(),
            source: client.party(view),
            destination: Party {
                workload: Some(view.workload.clone()),
                principal: client.principal.is_some().then(|| view.workload.identity.clone()),
            },
            cluster: meant.map(|(service, port)| Cluster::Service { service, port, subset: None }),
            mutual_tls: client.principal.is_some(),
            sni: client.sni.clone(),
            downstream_remote: client.peer,
            downstream_local: client.destination,
            upstream_remote: upstream_local.map(|_| client.destination),
            upstream_local,
        }
    }
}
