//! The client's hop: each request of a pod is routed, balanced and sent on its own.

use std::{net::SocketAddr, rc::Rc, time::Instant};

use weft_model::{
    address::OriginalDst,
    decision::{Cluster, Decision, Forward, RuleRef, UpstreamTls, decide_request, speaks_http2},
    outcome::{Answer, ResponseFlag},
};

use super::{
    Choice, Hop, Wire,
    exchange::AnswerHook,
    head::{Head, Seen},
    mirror::RequestCopy,
    record::Record,
    serve::Reply,
    trace,
};
use crate::{
    dataplane::{
        dial::{Attempts, DialError},
        event::{ConnectionInfo, HttpVersion, Party, Reporter},
        http1::{RequestEdits, RequestHead},
        http2,
        pod::{PodContext, View},
        pool::PoolKey,
        shared_connections::SharedConnections,
    },
    identity::Purpose,
};

/// Name in answers, as the sidecar of the client's side gives it.
const SERVER: &str = "envoy";

/// The hop of one connection that a pod made.
pub struct OutboundHop {
    pod: Rc<PodContext>,
    destination: OriginalDst,
    client: SocketAddr,
    current: Option<Current>,
    upstream: Option<(SocketAddr, Option<SocketAddr>)>,
    cluster: Option<Cluster>,
    sent_at: Instant,
}

/// Where the request at hand goes.
struct Current {
    forward: Forward,
    key: PoolKey,
    view: Rc<View>,
    http2: bool,
}

/// How a request leaves.
#[derive(Clone, Copy)]
struct Leg {
    /// In HTTP/2.
    http2: bool,
    /// By a connection that carries no other request meanwhile.
    own: bool,
    /// By one that was not used before.
    fresh: bool,
}

impl Leg {
    fn of(head: &impl Head, forward: &Forward) -> Self {
        let is_http2 = head.version() == HttpVersion::Http2;
        let http2 = match head.needs_version() {
            Some(version) => version == HttpVersion::Http2,
            // A call of gRPC cannot be said in HTTP/1.1: a port declared HTTP by mistake works all the same.
            None => speaks_http2(&forward.cluster, is_http2) || (is_http2 && head.is_grpc()),
        };
        Self { http2, own: head.wants_own_connection(), fresh: false }
    }
}

impl OutboundHop {
    /// The hop of a connection from `client` to `destination`.
    pub fn new(pod: Rc<PodContext>, destination: OriginalDst, client: SocketAddr) -> Self {
        Self { pod, destination, client, current: None, upstream: None, cluster: None, sent_at: Instant::now() }
    }

    fn decide(&self, view: &View, head: &impl Head) -> Decision {
        let (snapshot, source) = (&view.snapshot, &view.workload);
        self.pod.with_dice(|dice| decide_request(snapshot, source, self.destination, &Seen(head).request(), dice))
    }

    async fn connect(&mut self, view: Rc<View>, forward: Forward, leg: Leg) -> Result<Choice, DialError> {
        let key = PoolKey { source: self.pod.netns.cookie(), address: forward.address, tls: forward.tls.clone() };
        let (choice, local) = if leg.http2 {
            let call = http2::Connections::call(&self.pod, &view, &forward, &key).await?;
            let local = call.local;
            (Choice::Call(call), local)
        } else {
            let wire = self.wire(&view, &forward, &key, leg).await?;
            let local = wire.stream.local_addr();
            (Choice::Forward(wire), local)
        };
        self.upstream = Some((forward.address, local));
        self.current = Some(Current { forward, key, view, http2: leg.http2 });
        self.sent_at = Instant::now();
        Ok(choice)
    }

    async fn wire(&self, view: &View, forward: &Forward, key: &PoolKey, leg: Leg) -> Result<Wire, DialError> {
        let pooled = if leg.fresh || leg.own { None } else { self.pod.worker.pool.take(key) };
        match pooled {
            Some(wire) => Ok(wire),
            None if leg.own => {
                Ok(Wire::new(self.pod.dial(view, forward, Purpose::Http).await?, bytes::BytesMut::new()))
            }
            None => {
                let (stream, reused) = SharedConnections::stream(&self.pod, view, forward, key).await?;
                Ok(Wire { reused, ..Wire::new(stream, bytes::BytesMut::new()) })
            }
        }
    }

    fn reply(&mut self, answer: &Answer, cluster: Cluster, rule: &RuleRef, record: &mut Record) -> Choice {
        record.flags.extend(answer.flag);
        answer.details.clone_into(&mut record.details);
        record.route = self.route_name(rule);
        self.cluster = match answer.flag {
            // Istio's metrics name the host of the request where no route matched.
            Some(ResponseFlag::NoRoute) => None,
            _ => Some(cluster),
        };
        Choice::Reply(Reply { status: answer.status, body: answer.body.to_owned() })
    }

    fn unreachable(&mut self, error: &DialError, record: &mut Record) -> Choice {
        record.flags.push(ResponseFlag::UpstreamConnectionFailure);
        "upstream_reset_before_response_started{remote_connection_failure}".clone_into(&mut record.details);
        record.upstream_failure = error.transport_failure();
        let reason = match error {
            DialError::Timeout => "connection timeout".to_owned(),
            error => format!("remote connection failure, transport failure reason: {}", error.transport_failure()),
        };
        let body = format!("upstream connect error or disconnect/reset before headers. reset reason: {reason}");
        Choice::Reply(Reply { status: 503, body })
    }

    /// `http[].name` of the rule, Istio's `default` where nothing is configured.
    fn route_name(&self, rule: &RuleRef) -> String {
        match rule {
            RuleRef::Default => "default".to_owned(),
            RuleRef::Http { virtual_service, matched: Some((index, _)) } => self
                .pod
                .view()
                .and_then(|view| {
                    let found = view.snapshot.virtual_services.iter().find(|one| one.name == *virtual_service)?;
                    found.http.get(*index)?.name.as_deref().map(str::to_owned)
                })
                .unwrap_or_default(),
            _ => String::new(),
        }
    }

    fn connection(&self) -> Option<ConnectionInfo> {
        let view = self.current.as_ref().map(|current| current.view.clone()).or_else(|| self.pod.view())?;
        let forward = self.current.as_ref().map(|current| &current.forward);
        let expected = forward.and_then(|forward| match &forward.tls {
            UpstreamTls::Mutual(id) => Some(id.clone()),
            UpstreamTls::Plaintext => None,
        });
        let mutual_tls = expected.is_some();
        Some(ConnectionInfo {
            reporter: Reporter::Source,
            owner: view.workload.clone(),
            source: Party {
                workload: Some(view.workload.clone()),
                principal: mutual_tls.then(|| view.workload.identity.clone()),
            },
            destination: Party { workload: forward.and_then(|forward| forward.workload.clone()), principal: expected },
            cluster: self.cluster.clone(),
            mutual_tls,
            sni: None,
            downstream_remote: self.client,
            downstream_local: self.destination.0,
            upstream_remote: self.upstream.map(|(remote, _)| remote),
            upstream_local: self.upstream.and_then(|(_, local)| local),
        })
    }
}

impl AnswerHook for OutboundHop {
    fn server_name(&self) -> &'static str {
        SERVER
    }

    fn sent_at(&self) -> Instant {
        self.sent_at
    }
}

impl Hop for OutboundHop {
    async fn choose<H: Head>(&mut self, head: &H, record: &mut Record, edits: &mut RequestEdits<'static>) -> Choice {
        self.current = None;
        self.upstream = None;
        self.cluster = None;
        // Our own names and values are valid.
        if let Ok(id) = trace::complete(head, &mut edits.headers) {
            record.request_id = id;
        }
        if head.value("x-forwarded-proto").is_none() {
            let _ = edits.headers.set("x-forwarded-proto", "http");
        }
        // Who the client is, says the server's side; an application must not be able to claim it.
        let _ = edits.headers.remove("x-forwarded-client-cert");
        let mut attempts = Attempts::default();
        while let Some(view) = self.pod.view() {
            match self.decide(&view, head) {
                Decision::Forward(forward) => {
                    self.cluster = Some(forward.cluster.clone());
                    record.route = self.route_name(&forward.rule);
                    let (leg, in_mesh) = (Leg::of(head, &forward), forward.is_in_mesh());
                    match self.connect(view, forward, leg).await {
                        Ok(choice) => return choice,
                        Err(error) => {
                            if !attempts.go_on(&error, in_mesh).await {
                                return self.unreachable(&error, record);
                            }
                        }
                    }
                }
                Decision::Answer { answer, cluster, rule } => return self.reply(&answer, cluster, &rule, record),
                Decision::Refuse { reason, cluster, rule } => {
                    return self.reply(&reason.answer(), cluster, &rule, record);
                }
            }
        }
        self.reply(&Answer::NO_HEALTHY_UPSTREAM, Cluster::BlackHole, &RuleRef::Default, record)
    }

    fn copy(&self, head: &RequestHead, edits: &RequestEdits<'static>) -> Option<RequestCopy> {
        let Current { forward, view, .. } = self.current.as_ref()?;
        RequestCopy::begin(&self.pod, view, &forward.mirrors, head, edits)
    }

    fn mirrors(&self) -> Option<(&Rc<PodContext>, &Rc<View>, &[Forward])> {
        let Current { forward, view, .. } = self.current.as_ref()?;
        (!forward.mirrors.is_empty()).then_some((&self.pod, view, &forward.mirrors))
    }

    async fn choose_again(&mut self, record: &mut Record) -> Choice {
        let Some(Current { forward, view, http2, .. }) = self.current.take() else {
            return self.reply(&Answer::NO_HEALTHY_UPSTREAM, Cluster::BlackHole, &RuleRef::Default, record);
        };
        let leg = Leg { http2, own: false, fresh: true };
        match self.connect(view, forward, leg).await {
            Ok(choice) => choice,
            Err(error) => self.unreachable(&error, record),
        }
    }

    fn keep(&mut self, wire: Wire) {
        if let Some(current) = &self.current {
            let max = self.pod.worker.shared.limits.pool_idle_max;
            self.pod.worker.pool.put(current.key.clone(), wire, max);
        }
    }

    fn report(&mut self, record: Record) {
        if let Some(connection) = self.connection() {
            self.pod.worker.shared.observe.request(&record.finish(connection));
        }
    }

    fn is_welcome(&mut self) -> bool {
        self.pod.view().is_some()
    }

    async fn revoked<H: Head>(&self, _head: &H) {
        // Enforcement is the server's side.
        std::future::pending().await
    }
}
