//! The sentences application seen from its pods, for tests of this folder.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use weft_model::{
    decision::Cluster,
    identity::SpiffeId,
    outcome::ResponseFlag,
    service::{Resolution, Service},
    snapshot::{Snapshot, World},
    workload::{Canonical, Capture, Enrolment, Locality, Named, Workload},
};

use super::{Config, Telemetry, agent::AgentMetrics};
use crate::dataplane::event::{ConnectionInfo, HttpVersion, Party, Reporter, RequestEvent, TcpClosed};

pub(super) fn telemetry() -> Telemetry {
    telemetry_with(Arc::new(AgentMetrics::new("0.1.0").unwrap()))
}

pub(super) fn telemetry_with(metrics: Arc<AgentMetrics>) -> Telemetry {
    let config = Config { version: "0.1.0".to_owned(), access_log: true, prefix_lines: false };
    Telemetry::spawn(config, metrics, None).unwrap()
}

pub(super) fn workload(app: &str, version: &str, address: &str) -> Arc<Workload> {
    let latest = if version == "unknown" { "latest" } else { version };
    Arc::new(Workload {
        pod: Named::new("default", format!("{app}-6d8f-x7k2p")),
        uid: "".into(),
        addresses: vec![address.parse().unwrap()],
        node: "node-1".into(),
        identity: identity(app),
        labels: Arc::default(),
        canonical: Canonical {
            workload: app.into(),
            service: app.into(),
            revision: latest.into(),
            app: app.into(),
            version: version.into(),
        },
        enrolment: Enrolment::Enrolled,
        capture: Capture::default(),
        ready: true,
        locality: Locality::default(),
        scrape: None,
        host_network: false,
    })
}

pub(super) fn identity(account: &str) -> SpiffeId {
    format!("spiffe://cluster.local/ns/default/sa/{account}").parse().unwrap()
}

pub(super) fn sentences() -> Arc<Workload> {
    workload("sentences", "unknown", "10.0.0.4")
}

pub(super) fn name() -> Arc<Workload> {
    workload("name", "v1", "10.0.0.5")
}

pub(super) fn service(name: &str) -> Arc<Service> {
    Arc::new(Service {
        host: format!("{name}.default.svc.cluster.local").into(),
        name: Named::new("default", name),
        resolution: Resolution::ClusterIp,
        vips: vec!["10.96.0.7".parse().unwrap()],
        ports: Vec::new(),
        endpoints: Vec::new(),
    })
}

pub(super) fn addr(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

/// sentences -> name as the client side sees it.
pub(super) fn outbound() -> ConnectionInfo {
    ConnectionInfo {
        reporter: Reporter::Source,
        owner: sentences(),
        source: Party { workload: Some(sentences()), principal: Some(identity("sentences")) },
        destination: Party { workload: Some(name()), principal: Some(identity("name")) },
        cluster: Some(Cluster::Service { service: service("name"), port: 5000, subset: Some("v1".into()) }),
        mutual_tls: true,
        sni: None,
        downstream_remote: addr("10.0.0.4:41000"),
        downstream_local: addr("10.96.0.7:5000"),
        upstream_remote: Some(addr("10.0.0.5:5000")),
        upstream_local: Some(addr("10.0.0.4:41001")),
    }
}

/// The same connection as the server side sees it.
pub(super) fn inbound() -> ConnectionInfo {
    ConnectionInfo {
        reporter: Reporter::Destination,
        owner: name(),
        cluster: Some(Cluster::Service { service: service("name"), port: 5000, subset: None }),
        sni: Some("outbound_.5000_.v1_.name.default.svc.cluster.local".into()),
        downstream_remote: addr("10.0.0.4:41001"),
        downstream_local: addr("10.0.0.5:5000"),
        upstream_remote: Some(addr("10.0.0.5:5000")),
        upstream_local: Some(addr("127.0.0.6:50123")),
        ..outbound()
    }
}

/// 25 November 2020, 21:26:18.409 UTC.
pub(super) fn started() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(1_606_339_578_409)
}

pub(super) fn request(connection: ConnectionInfo) -> RequestEvent {
    RequestEvent {
        connection,
        started: started(),
        version: HttpVersion::Http11,
        grpc: false,
        grpc_status: None,
        method: "GET".to_owned(),
        path: "/?a=1".to_owned(),
        authority: "name:5000".to_owned(),
        user_agent: "python-requests/2.31".to_owned(),
        forwarded_for: String::new(),
        request_id: "84961386-6d84-929d-98bd-c5aee93b5c88".to_owned(),
        status: 200,
        flags: Vec::new(),
        details: "via_upstream".to_owned(),
        upstream_failure: String::new(),
        route: "default".to_owned(),
        request_bytes: 250,
        response_bytes: 400,
        body_received: 0,
        body_sent: 5,
        duration: Duration::from_micros(2_750),
        upstream_time: Some(Duration::from_micros(1_900)),
    }
}

/// `request` answered by ourselves.
pub(super) fn answered(
    connection: ConnectionInfo,
    status: u16,
    flag: Option<ResponseFlag>,
    details: &str,
) -> RequestEvent {
    RequestEvent {
        status,
        flags: flag.into_iter().collect(),
        details: details.to_owned(),
        upstream_time: None,
        duration: Duration::ZERO,
        ..request(ConnectionInfo { upstream_remote: None, upstream_local: None, ..connection })
    }
}

pub(super) fn closed(connection: ConnectionInfo) -> TcpClosed {
    TcpClosed {
        connection,
        started: started(),
        received: 10,
        sent: 20,
        total: (110, 220),
        duration: Duration::from_millis(1_500),
        flags: Vec::new(),
        details: String::new(),
        upstream_failure: String::new(),
    }
}

pub(super) fn snapshot(workloads: &[Arc<Workload>]) -> Snapshot {
    Snapshot::new(World { workloads: workloads.to_vec(), ..World::default() })
}

/// The value of the only sample of `family` whose labels contain all of `labels`.
pub(super) fn value(page: &str, family: &str, labels: &[&str]) -> Option<f64> {
    let lines: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with(&format!("{family}{{")) && labels.iter().all(|label| line.contains(label)))
        .collect();
    assert!(lines.len() < 2, "{family}{labels:?} is ambiguous: {lines:#?}");
    lines.first().map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
}
