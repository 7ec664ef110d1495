//! The server's hop: each request that reaches a pod is judged, then handed to its application.

use std::{net::SocketAddr, rc::Rc, sync::Arc, time::Instant};

use weft_model::{
    decision::{Access, Cluster, Forward, InboundFacts, Verdict},
    outcome::{Answer, ResponseFlag},
    policy::MtlsMode,
    service::Service,
    workload::Named,
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
use crate::dataplane::{
    dial::DialError,
    event::{ConnectionInfo, HttpVersion, Party, Reporter},
    http1::{RequestEdits, RequestHead},
    http2::{Call, Peer},
    inbound::Client,
    pod::{PodContext, View},
};

/// Name in answers, as the sidecar of the server's side gives it.
const SERVER: &str = "istio-envoy";

/// The hop of one connection that reached a pod.
pub struct InboundHop {
    pod: Rc<PodContext>,
    client: Rc<Client>,
    idle: Option<Wire>,
    /// Where requests in HTTP/2 go.
    calls: Option<Rc<Peer>>,
    http2: bool,
    view: Option<Rc<View>>,
    cluster: Option<Cluster>,
    upstream_local: Option<SocketAddr>,
    sent_at: Instant,
}

impl InboundHop {
    /// The hop of `client`'s connection; `application` is a connection made already, if there is one.
    pub fn new(pod: Rc<PodContext>, client: Rc<Client>, application: Option<Wire>) -> Self {
        Self {
            pod,
            client,
            idle: application,
            calls: None,
            http2: false,
            view: None,
            cluster: None,
            upstream_local: None,
            sent_at: Instant::now(),
        }
    }

    /// The hop of one stream of a connection; those share what leads to the application.
    pub fn of_stream(pod: Rc<PodContext>, client: Rc<Client>, calls: Rc<Peer>) -> Self {
        Self { calls: Some(calls), ..Self::new(pod, client, None) }
    }

    fn judge(&self, view: &View, head: &impl Head) -> Verdict {
        view.policy.authorize(&InboundFacts {
            peer: self.client.peer.ip(),
            principal: self.client.principal.as_ref(),
            destination: self.client.destination,
            sni: self.client.sni.as_deref(),
            request: Some(&Seen(head).request()),
        })
    }

    /// Has the client proved who it is, where it must?
    fn is_proved(&self, view: &View) -> bool {
        self.client.principal.is_some() || view.policy.mtls_mode(self.client.destination.port()) != MtlsMode::Strict
    }

    async fn connect(&mut self, fresh: bool) -> Result<Wire, DialError> {
        let kept = if fresh { None } else { self.idle.take() };
        let wire = match kept.and_then(|mut wire| wire.is_quiet().then_some(wire)) {
            Some(wire) => wire,
            None => {
                let stream = self.pod.dial_application(self.client.peer.ip(), self.client.destination).await?;
                Wire::new(stream, bytes::BytesMut::new())
            }
        };
        self.upstream_local = wire.stream.local_addr();
        self.sent_at = Instant::now();
        Ok(wire)
    }

    async fn call(&mut self, calls: &Peer) -> Result<Call, DialError> {
        let dial = async || self.pod.dial_application(self.client.peer.ip(), self.client.destination).await;
        let call = calls.call(dial).await?;
        self.upstream_local = call.local;
        self.sent_at = Instant::now();
        Ok(call)
    }

    async fn forward(&mut self, fresh: bool, record: &mut Record) -> Choice {
        // As the client spoke, so is it spoken to: Envoy's `use_downstream_protocol_config`.
        let connected = match self.calls.clone().filter(|_| self.http2) {
            Some(calls) => self.call(&calls).await.map(Choice::Call),
            None => self.connect(fresh).await.map(Choice::Forward),
        };
        match connected {
            Ok(choice) => choice,
            Err(error) => {
                record.flags.push(ResponseFlag::UpstreamConnectionFailure);
                "upstream_reset_before_response_started{remote_connection_failure}".clone_into(&mut record.details);
                record.upstream_failure = error.transport_failure();
                let body = format!(
                    "upstream connect error or disconnect/reset before headers. reset reason: remote connection \
                     failure, transport failure reason: {}",
                    error.transport_failure()
                );
                Choice::Reply(Reply { status: 503, body })
            }
        }
    }
}

/// Envoy's response code details of a denial, Istio's policy name inside.
pub fn denial_details(access: &Access) -> String {
    let matched = match access {
        Access::DeniedBy(policy, rule) => policy_name(policy, *rule),
        _ => "none".to_owned(),
    };
    format!("rbac_access_denied_matched_policy[{matched}]")
}

fn policy_name(policy: &Named, rule: usize) -> String {
    format!("ns[{}]-policy[{}]-rule[{rule}]", policy.namespace, policy.name)
}

/// The Service that a request means: the one that its Host names among those that lead here, else the
/// first of them by host.
pub fn service_meant(view: &View, destination: SocketAddr, authority: &str) -> Option<(Arc<Service>, u16)> {
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host).to_ascii_lowercase();
    let means = |service: &Service| {
        host == *service.host || service.host.strip_prefix(&*host).is_some_and(|rest| rest.starts_with('.'))
    };
    let mut leading: Vec<_> = view.snapshot.services_at(destination).collect();
    leading.sort_by(|a, b| (!means(a.0), &a.0.host).cmp(&(!means(b.0), &b.0.host)));
    leading.first().map(|(service, port)| (Arc::clone(service), port.number))
}

impl AnswerHook for InboundHop {
    fn server_name(&self) -> &'static str {
        SERVER
    }

    fn sent_at(&self) -> Instant {
        self.sent_at
    }
}

impl Hop for InboundHop {
    async fn choose<H: Head>(&mut self, head: &H, record: &mut Record, edits: &mut RequestEdits<'static>) -> Choice {
        self.http2 = head.version() == HttpVersion::Http2;
        self.upstream_local = None;
        let Some(view) = self.pod.view() else {
            return Choice::Reply(Reply { status: 503, body: String::new() });
        };
        let meant = service_meant(&view, self.client.destination, head.authority());
        self.cluster = meant.map(|(service, port)| Cluster::Service { service, port, subset: None });
        let verdict = self.judge(&view, head);
        self.view = Some(view);
        if !verdict.access.is_allowed() {
            record.details = denial_details(&verdict.access);
            let answer = Answer::RBAC_DENIED;
            tracing::debug!(pod = %self.pod.name, peer = %self.client.peer, access = ?verdict.access, "request denied");
            return Choice::Reply(Reply { status: answer.status, body: answer.body.to_owned() });
        }
        if head.is_plain_connect() {
            // What follows it would be judged by nobody; a proxy in the mesh declares its port to be TCP.
            "connect_not_supported".clone_into(&mut record.details);
            return Choice::Reply(Reply { status: 501, body: String::new() });
        }
        // Our own names and values are valid.
        if let Ok(id) = trace::complete(head, &mut edits.headers) {
            record.request_id = id;
        }
        if head.value("x-forwarded-proto").is_none() {
            let _ = edits.headers.set("x-forwarded-proto", "http");
        }
        let _ = match &self.client.certificate {
            Some(certificate) => edits.headers.set("x-forwarded-client-cert", certificate.clone()),
            None => edits.headers.remove("x-forwarded-client-cert"),
        };
        self.forward(false, record).await
    }

    fn copy(&self, _head: &RequestHead, _edits: &RequestEdits<'static>) -> Option<RequestCopy> {
        // Mirroring is the client's side.
        None
    }

    fn mirrors(&self) -> Option<(&Rc<PodContext>, &Rc<View>, &[Forward])> {
        None
    }

    async fn choose_again(&mut self, record: &mut Record) -> Choice {
        self.forward(true, record).await
    }

    fn keep(&mut self, wire: Wire) {
        self.idle = Some(wire);
    }

    fn report(&mut self, mut record: Record) {
        let Some(view) = self.view.take().or_else(|| self.pod.view()) else { return };
        "default".clone_into(&mut record.route);
        let connection = ConnectionInfo {
            reporter: Reporter::Destination,
            owner: view.workload.clone(),
            source: self.client.party(&view),
            destination: Party {
                workload: Some(view.workload.clone()),
                principal: self.client.principal.is_some().then(|| view.workload.identity.clone()),
            },
            cluster: self.cluster.clone(),
            mutual_tls: self.client.principal.is_some(),
            sni: self.client.sni.clone(),
            downstream_remote: self.client.peer,
            downstream_local: self.client.destination,
            upstream_remote: self.upstream_local.map(|_| self.client.destination),
            upstream_local: self.upstream_local,
        };
        self.pod.worker.shared.observe.request(&record.finish(connection));
    }

    fn is_welcome(&mut self) -> bool {
        self.pod.view().is_some_and(|view| self.is_proved(&view))
    }

    async fn revoked<H: Head>(&self, head: &H) {
        let mut snapshots = self.pod.worker.shared.snapshot.clone();
        while snapshots.changed().await.is_ok() {
            let allowed = |view: &View| self.is_proved(view) && self.judge(view, head).access.is_allowed();
            if !self.pod.view().is_some_and(|view| allowed(&view)) {
                return;
            }
        }
        std::future::pending().await
    }
}
