use std::{io, sync::mpsc, time::Duration};

use prometheus::IntCounter;
use weft_model::{decision::Cluster, outcome::ResponseFlag};

use super::{
    super::{
        Config, Telemetry,
        agent::AgentMetrics,
        fixture::*,
        pods::{Pods, lock},
    },
    *,
};
use crate::dataplane::event::{ConnectionInfo, HttpVersion, Observe, Party, RequestEvent};

fn http(event: &RequestEvent) -> String {
    let mut out = String::new();
    line::http(&mut out, event);
    out
}

fn tcp(event: &crate::dataplane::event::TcpClosed) -> String {
    let mut out = String::new();
    line::tcp(&mut out, event);
    out
}

#[test]
fn an_answered_request_at_both_sides() {
    assert_eq!(
        http(&request(outbound())),
        "[2020-11-25T21:26:18.409Z] \"GET /?a=1 HTTP/1.1\" 200 - via_upstream - \"-\" 0 5 2 1 \"-\" \
         \"python-requests/2.31\" \"84961386-6d84-929d-98bd-c5aee93b5c88\" \"name:5000\" \"10.0.0.5:5000\" \
         outbound|5000|v1|name.default.svc.cluster.local 10.0.0.4:41001 10.96.0.7:5000 10.0.0.4:41000 - default"
    );
    assert_eq!(
        http(&request(inbound())),
        "[2020-11-25T21:26:18.409Z] \"GET /?a=1 HTTP/1.1\" 200 - via_upstream - \"-\" 0 5 2 1 \"-\" \
         \"python-requests/2.31\" \"84961386-6d84-929d-98bd-c5aee93b5c88\" \"name:5000\" \"10.0.0.5:5000\" \
         inbound|5000|| 127.0.0.6:50123 10.0.0.5:5000 10.0.0.4:41001 \
         outbound_.5000_.v1_.name.default.svc.cluster.local default"
    );
}

#[test]
fn no_route_has_no_cluster() {
    let mut event = answered(outbound(), 404, Some(ResponseFlag::NoRoute), "route_not_found");
    (event.route, event.body_sent) = (String::new(), 0);
    assert_eq!(
        http(&event),
        "[2020-11-25T21:26:18.409Z] \"GET /?a=1 HTTP/1.1\" 404 NR route_not_found - \"-\" 0 0 0 - \"-\" \
         \"python-requests/2.31\" \"84961386-6d84-929d-98bd-c5aee93b5c88\" \"name:5000\" \"-\" \
         - - 10.96.0.7:5000 10.0.0.4:41000 - -"
    );
}

#[test]
fn no_healthy_upstream_has_a_cluster_and_no_host() {
    let mut event = answered(outbound(), 503, Some(ResponseFlag::NoHealthyUpstream), "no_healthy_upstream");
    event.body_sent = 19;
    assert_eq!(
        http(&event),
        "[2020-11-25T21:26:18.409Z] \"GET /?a=1 HTTP/1.1\" 503 UH no_healthy_upstream - \"-\" 0 19 0 - \"-\" \
         \"python-requests/2.31\" \"84961386-6d84-929d-98bd-c5aee93b5c88\" \"name:5000\" \"-\" \
         outbound|5000|v1|name.default.svc.cluster.local - 10.96.0.7:5000 10.0.0.4:41000 - default"
    );
}

#[test]
fn a_denied_request_has_no_flag() {
    let mut event = answered(inbound(), 403, None, "rbac_access_denied_matched_policy[none]");
    (event.body_sent, event.forwarded_for) = (19, "10.0.0.9".to_owned());
    assert_eq!(
        http(&event),
        "[2020-11-25T21:26:18.409Z] \"GET /?a=1 HTTP/1.1\" 403 - rbac_access_denied_matched_policy[none] - \"-\" \
         0 19 0 - \"10.0.0.9\" \"python-requests/2.31\" \"84961386-6d84-929d-98bd-c5aee93b5c88\" \"name:5000\" \"-\" \
         inbound|5000|| - 10.0.0.5:5000 10.0.0.4:41001 \
         outbound_.5000_.v1_.name.default.svc.cluster.local default"
    );
}

#[test]
fn tcp_connections() {
    let connection = ConnectionInfo {
        cluster: Some(Cluster::Passthrough),
        destination: Party::default(),
        sni: Some("httpbin.org".into()),
        upstream_remote: Some(addr("[2001:db8::7]:443")),
        ..outbound()
    };
    assert_eq!(
        tcp(&closed(connection)),
        "[2020-11-25T21:26:18.409Z] \"- - -\" 0 - - - \"-\" 110 220 1500 - \"-\" \"-\" \"-\" \"-\" \"[2001:db8::7]:443\" \
         PassthroughCluster 10.0.0.4:41001 10.96.0.7:5000 10.0.0.4:41000 httpbin.org -"
    );
    let mut denied = closed(ConnectionInfo { upstream_remote: None, upstream_local: None, sni: None, ..inbound() });
    denied.details = "rbac_access_denied_matched_policy[none]".to_owned();
    (denied.total, denied.duration) = ((0, 0), Duration::ZERO);
    assert_eq!(
        tcp(&denied),
        "[2020-11-25T21:26:18.409Z] \"- - -\" 0 - - rbac_access_denied_matched_policy[none] \"-\" 0 0 0 - \"-\" \"-\" \
         \"-\" \"-\" \"-\" inbound|5000|| - 10.0.0.5:5000 10.0.0.4:41001 - -"
    );
}

#[test]
fn other_clusters_and_versions() {
    for (connection, cluster, shown) in [
        (outbound(), Cluster::BlackHole, " BlackHoleCluster "),
        (outbound(), Cluster::Pod(name()), " PassthroughCluster "),
        (
            outbound(),
            Cluster::Unknown("gone.default.svc.cluster.local".into()),
            " outbound|5000||gone.default.svc.cluster.local ",
        ),
        (inbound(), Cluster::Pod(name()), " InboundPassthroughCluster "),
    ] {
        let line = http(&request(ConnectionInfo { cluster: Some(cluster), ..connection }));
        assert!(line.contains(shown), "{line}");
    }
    for (version, shown) in [(HttpVersion::Http10, " HTTP/1.0\" "), (HttpVersion::Http2, " HTTP/2\" ")] {
        assert!(http(&RequestEvent { version, ..request(outbound()) }).contains(shown));
    }
    let mut failed = request(outbound());
    failed.flags = vec![ResponseFlag::UpstreamConnectionFailure, ResponseFlag::UpstreamReset];
    failed.upstream_failure = "TLS error: certificate expired".to_owned();
    assert!(http(&failed).contains(" UF,UR via_upstream - \"TLS error: certificate expired\" "));
}

#[test]
fn what_a_stranger_sends_stays_in_its_field() {
    let mut event = request(outbound());
    event.path = "/a\" 200 - \"\r\n[2020-01-01T00:00:00.000Z] forged \\".to_owned();
    event.user_agent = "\u{1b}[2J\u{202e}\u{85}ünïcode".to_owned();
    event.connection.sni = Some("a b\tc".into());
    let line = http(&event);
    assert!(line.contains(r#" "GET /a\" 200 - \"\x0d\x0a[2020-01-01T00:00:00.000Z] forged \\ HTTP/1.1" "#), "{line}");
    assert!(line.contains(r#" "\x1b[2J\u{202e}\u{85}ünïcode" "#), "{line}");
    assert!(line.ends_with(r" a\x20b\x09c default"), "{line}");
    assert_eq!(line.lines().count(), 1);
}

#[test]
fn long_fields_are_cut() {
    let event = RequestEvent { path: "/".repeat(100_000), ..request(outbound()) };
    let line = http(&event);
    assert!(line.contains(&format!("GET {}... HTTP/1.1", "/".repeat(line::MAX_FIELD_BYTES))));
}

#[test]
fn each_pod_gets_its_lines_in_order() {
    let telemetry = telemetry();
    for number in 0..3 {
        telemetry.request(&RequestEvent { path: format!("/{number}"), ..request(outbound()) });
    }
    telemetry.tcp_closed(&closed(inbound()));
    let page = telemetry.log(&sentences().pod, 0);
    let paths: Vec<&str> = page.lines.iter().map(|line| line.split(' ').nth(2).unwrap()).collect();
    assert_eq!(paths, ["/0", "/1", "/2"]);
    assert_eq!(telemetry.log(&name().pod, 0).lines.len(), 1);
    telemetry.set_access_log(false);
    telemetry.request(&request(outbound()));
    assert_eq!(telemetry.log(&sentences().pod, page.next).lines.len(), 0);
}

/// Hands each write to a test.
struct Sent(mpsc::Sender<String>);

impl Write for Sent {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(String::from_utf8_lossy(bytes).into_owned()).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_writer_gets_all_lines_also_those_of_the_last_moment() {
    let (sender, receiver) = mpsc::channel();
    let config = Config { version: "0.1.0".to_owned(), access_log: true, prefix_lines: true };
    let metrics = Arc::new(AgentMetrics::new("0.1.0").unwrap());
    let telemetry = Telemetry::spawn(config, metrics, Some(Box::new(Sent(sender)))).unwrap();
    telemetry.request(&request(outbound()));
    // Read in between: the writer must get the line nevertheless.
    assert_eq!(telemetry.log(&sentences().pod, 0).lines.len(), 1);
    telemetry.request(&request(inbound()));
    drop(telemetry);
    let written: String = receiver.iter().collect();
    let starts: Vec<&str> = written.lines().map(|line| line.split_once(" [2020-").unwrap().0).collect();
    assert_eq!(starts, ["default/sentences-6d8f-x7k2p", "default/name-6d8f-x7k2p"]);
    assert!(written.ends_with(" default\n"));
}

/// Takes nothing until the test lets go.
struct Stuck(mpsc::Receiver<()>);

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_stuck_writer_costs_lines_and_never_blocks() {
    let (release, stuck) = mpsc::channel();
    let dropped = IntCounter::new("dropped", "dropped").unwrap();
    let log = AccessLog::spawn(Some(Box::new(Stuck(stuck))), false, dropped.clone()).unwrap();
    let pod = Pods::default().find_or_insert(&sentences());
    let line = "x".repeat(1024 * 1024);
    let lines = 3 * (MAX_WAITING_BYTES + MAX_UNWRITTEN_BYTES) / line.len();
    for _ in 0..lines {
        log.add(&pod, &line);
    }
    assert!(dropped.get() > 0, "{lines} lines cannot wait all");
    assert!(lock(&log.0.waiting).text.len() <= MAX_WAITING_BYTES);
    log.flush();
    assert!(lock(&log.0.stage).unwritten.len() <= MAX_UNWRITTEN_BYTES + MAX_WAITING_BYTES);
    drop(release);
}
