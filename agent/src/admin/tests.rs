//! The pages of an agent, asked as `cli` and Prometheus ask them.

use std::{os::unix::fs::PermissionsExt, sync::Arc};

use http::{Method, StatusCode};
use weft_model::{snapshot::Snapshot, workload::Enrolment};

use super::{
    BindError, Front, ON_ANOTHER_NODE, Trust, answers,
    fixture::{Desk, proven, sentences},
    route::{Reply, answer},
    socket::BoundSocket,
    status::{Capture, Severity, Status},
};
use crate::{
    discovery::{Problem, Report},
    ebpf::manager::CaptureState,
};

fn get(desk: &Desk, path: &str) -> Reply {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    answer(&desk.admin, false, &Method::GET, path, query)
}

fn status(desk: &Desk) -> Status {
    serde_json::from_str(&get(desk, "/status").body).unwrap()
}

async fn ready_desk() -> Desk {
    let desk = Desk::new(&sentences());
    for name in ["a", "name-v1"] {
        desk.captured(name, proven());
    }
    for workload in desk.snapshot.borrow().clone().workloads.values() {
        desk.issue(&workload.identity).await;
    }
    desk
}

#[tokio::test]
async fn ready_means_that_pods_are_captured_and_have_certificates() {
    let desk = Desk::new(&sentences());
    let reply = get(&desk, "/ready");
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(reply.body, "pod default/a is not captured yet\npod default/name-v1 is not captured yet\n");
    desk.captured("a", proven());
    desk.captured("name-v1", CaptureState::Unproven { reason: "slow".to_owned() });
    let reply = get(&desk, "/ready");
    assert_eq!(
        reply.body,
        "spiffe://cluster.local/ns/default/sa/a has no valid certificate\n\
         spiffe://cluster.local/ns/default/sa/name has no valid certificate\n",
        "pods of other nodes are not waited for"
    );
    for service_account in ["a", "name"] {
        let id = format!("spiffe://cluster.local/ns/default/sa/{service_account}");
        desk.issue(&id.parse().unwrap()).await;
    }
    assert_eq!(get(&desk, "/ready").status, StatusCode::OK);
    assert_eq!(desk.admin.metrics.ready.get(), 1);
    let ending = answer(&desk.admin, true, &Method::GET, "/ready", "");
    assert_eq!((ending.status, &*ending.body), (StatusCode::SERVICE_UNAVAILABLE, "the agent is ending\n"));
    assert_eq!(desk.admin.metrics.ready.get(), 0);
}

#[tokio::test]
async fn a_pod_that_cannot_be_captured_does_not_hold_up_the_others() {
    let desk = ready_desk().await;
    desk.captured("a", CaptureState::Failed { reason: "its namespace is gone".to_owned() });
    assert_eq!(get(&desk, "/ready").status, StatusCode::OK);
    let metrics = get(&desk, "/metrics").body;
    assert!(metrics.contains("weft_captured_pods 1\n"), "a failed pod is not captured: {metrics}");
    assert!(metrics.contains("weft_ready 1\n"), "{metrics}");
}

#[tokio::test]
async fn nothing_read_yet_is_not_ready_and_the_reason_is_given() {
    let desk = ready_desk().await;
    desk.snapshot.send_replace(Arc::new(Snapshot::default()));
    assert_eq!(get(&desk, "/ready").body, "nothing was read yet\n");
    desk.report.send_replace(Arc::new(unread()));
    let reply = get(&desk, "/ready");
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(reply.body, "not read yet: the manifests\nname.yaml:7: no such directory\n");
    assert_eq!(get(&desk, "/live").status, StatusCode::OK);
}

fn unread() -> Report {
    let errors = vec![problem("no such directory")];
    Report { awaited: vec!["the manifests".to_owned()], errors, ..Report::empty() }
}

#[tokio::test]
async fn an_agent_without_a_world_says_what_it_waits_for_until_the_whole_answers() {
    let (report, read) = tokio::sync::watch::channel(Arc::new(unread()));
    let front = Front::new("node-a".into(), read);
    let get = |path: &str| front.answer(false, &Method::GET, path, "");
    assert_eq!(get("/live").status, StatusCode::OK);
    for page in ["/ready", "/metrics", "/snapshot", "/logs?pod=default/a"] {
        let reply = get(page);
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{page}");
        assert_eq!(reply.body, "not read yet: the manifests\nname.yaml:7: no such directory\n");
    }
    let status: Status = serde_json::from_str(&get("/status").body).unwrap();
    assert_eq!((&*status.node, status.ready, status.snapshot.version), ("node-a", false, 0));
    assert_eq!((status.missing.len(), status.problems.len()), (2, 1));
    assert_eq!(front.answer(false, &Method::POST, "/status", "").status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(front.answer(true, &Method::GET, "/ready", "").body, "the agent is ending\n");
    drop(report);

    let desk = ready_desk().await;
    front.open(desk.admin.clone());
    assert_eq!(front.answer(false, &Method::GET, "/ready", "").status, StatusCode::OK);
}

#[tokio::test]
async fn the_age_of_what_the_world_was_read_from_is_a_metric() {
    let desk = ready_desk().await;
    let read_at = std::time::SystemTime::now() - std::time::Duration::from_secs(100);
    desk.report.send_replace(Arc::new(Report { read_at: Some(read_at), ..Report::empty() }));
    let page = get(&desk, "/metrics").body;
    let age = page.lines().find_map(|line| line.strip_prefix("weft_source_age_seconds ")).unwrap();
    assert!((100.0..160.0).contains(&age.parse::<f64>().unwrap()), "{age}");
    assert!(status(&desk).snapshot.read_seconds_ago.unwrap() >= 100.0);
}

fn problem(message: &str) -> Problem {
    Problem {
        file: "name.yaml".into(),
        line: Some(7),
        object: None,
        field: None,
        message: message.to_owned(),
        next_step: String::new(),
    }
}

#[tokio::test]
async fn status_tells_of_this_nodes_pods_and_of_all_problems() {
    let mut world = sentences();
    world.pod("default", "alone", "10.1.0.8", &[]).enrolment = Enrolment::NotEnrolled("it is a test");
    let desk = Desk::new(&world);
    desk.captured("a", proven());
    desk.captured("name-v1", CaptureState::Failed { reason: "no namespace".to_owned() });
    desk.issue(&"spiffe://cluster.local/ns/default/sa/a".parse().unwrap()).await;
    let report = Report { warnings: vec![problem("odd")], errors: vec![problem("wrong")], ..Report::empty() };
    desk.report.send_replace(Arc::new(report));
    let status = status(&desk);
    assert_eq!((&*status.node, status.ready, status.snapshot.version), ("node-a", true, 1));
    let names: Vec<_> = status.pods.iter().map(|pod| &*pod.name).collect();
    assert_eq!(names, ["a", "alone", "name-v1"], "name-v2 is on another node");
    let [a, alone, name] = &*status.pods else { panic!("three pods") };
    assert!(matches!(a.capture, Some(Capture::Proven { seconds_ago }) if seconds_ago < 60.0), "{a:?}");
    let left = a.certificate.as_ref().and_then(|certificate| certificate.expires_in_seconds).unwrap();
    assert!(left > 60.0, "{left}");
    assert_eq!((alone.enrolled, alone.not_enrolled_because.as_deref()), (false, Some("it is a test")));
    assert_eq!(alone.capture, None);
    assert_eq!(name.capture, Some(Capture::Failed { reason: "no namespace".to_owned() }));
    assert_eq!(name.certificate, None, "none was asked for");
    let problems: Vec<_> = status.problems.iter().map(|problem| (problem.severity, &*problem.message)).collect();
    assert_eq!(problems, [(Severity::Error, "wrong"), (Severity::Warning, "odd")]);
}

#[tokio::test]
async fn questions_about_pods_are_answered_on_their_node_only() {
    let desk = Desk::new(&sentences());
    for page in ["/logs", "/stats"] {
        let here = get(&desk, &format!("{page}?pod=default%2Fa"));
        assert_eq!(here.status, StatusCode::OK, "{page}: {}", here.body);
        let there = get(&desk, &format!("{page}?pod=default/name-v2"));
        assert_eq!(there.status, ON_ANOTHER_NODE);
        assert_eq!(there.body, "pod default/name-v2 runs on node node-b, this is node-a\n");
        assert_eq!(get(&desk, &format!("{page}?pod=default/b")).status, StatusCode::NOT_FOUND);
        assert_eq!(get(&desk, &format!("{page}?pod=a")).status, StatusCode::BAD_REQUEST);
        assert_eq!(get(&desk, page).body, "the query lacks pod=\n");
    }
    assert_eq!(get(&desk, "/logs?pod=default/a&after=x").status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn explanations_are_decoded_from_the_query() {
    let desk = Desk::new(&sentences());
    let reply =
        get(&desk, "/explain?from=default/a&to=http%3A%2F%2Fname%3A5000%2F&header=x-test%3A+use-v2&method=POST");
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    let it: super::explain::Explanation = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(it.asked, "POST http://name:5000/");
    assert_eq!(it.headers, ["x-test: use-v2"]);
    assert_eq!(it.answered_by, "node-a");
    assert_eq!(get(&desk, "/explain?from=default/a&to=x&header=nonsense").status, StatusCode::BAD_REQUEST);
    assert_eq!(get(&desk, "/explain?from=default/a&to=http://nobody/").status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn nothing_is_changed_and_nothing_else_is_there() {
    let desk = Desk::new(&sentences());
    let post = answer(&desk.admin, false, &Method::POST, "/status", "");
    assert_eq!(post.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(get(&desk, "/nothing").status, StatusCode::NOT_FOUND);
    let summary: serde_json::Value = serde_json::from_str(&get(&desk, "/snapshot").body).unwrap();
    assert_eq!(summary["services"][0]["host"], "name.default.svc.cluster.local");
    assert_eq!(summary["pods"][0]["pod"], "default/a");
}

#[tokio::test]
async fn the_socket_is_private_and_goes_with_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run/node-a.sock");
    let socket = BoundSocket::bind(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    // The next agent has the name as soon as it owns the node; the first one's end does not take it away.
    let next = BoundSocket::bind(&path).unwrap();
    drop(socket);
    assert!(answers(&path));
    drop(next);
    assert!(!path.exists());
    // An agent that was killed leaves a socket that nobody answers on.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists() && !answers(&path));
    let socket = BoundSocket::bind(&path).unwrap();
    assert!(answers(&path));
    // A file that is not ours any more stays.
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "").unwrap();
    drop(socket);
    assert!(path.exists());
    assert!(matches!(BoundSocket::bind(&path), Err(BindError::NotASocket(_))));
}

#[tokio::test]
async fn whom_a_node_believes_is_told_by_fingerprints() {
    let desk = Desk::new(&sentences());
    assert_eq!(serde_json::from_str::<Trust>(&get(&desk, "/trust").body).unwrap().roots.len(), 0, "nobody yet");
    desk.issue(&"spiffe://cluster.local/ns/default/sa/a".parse().unwrap()).await;
    let trust: Trust = serde_json::from_str(&get(&desk, "/trust").body).unwrap();
    let bundle = desk.admin.identities.roots().unwrap();
    assert_eq!(trust.roots.into_iter().collect::<Vec<_>>(), bundle.fingerprints());
}
