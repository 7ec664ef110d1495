//! The desk with worlds of the test's, and the test's own namespace in the place of a pod's where one has to be opened.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    sync::watch,
};
use weft_model::{
    snapshot::Snapshot,
    testing::TestWorld,
    workload::{Enrolment, Named},
};

use super::{Ability, PodLookup, Server};
use crate::{
    cni::{
        message::{Answer, Request, Sandbox, line, parse},
        registry::Registry,
        scan::Scanner,
        verdict::Verdict,
    },
    ebpf::manager::{CaptureState, Standing, States},
    lifecycle,
    net::PodPlaces,
    telemetry::agent::AgentMetrics,
};

struct Desk {
    server: Arc<Server>,
    _snapshot: watch::Sender<Arc<Snapshot>>,
    states: watch::Sender<States>,
    _drainer: lifecycle::Drainer,
}

fn desk(world: &TestWorld, ability: Ability, lookup: Option<Arc<dyn PodLookup>>) -> Desk {
    let (snapshot, snapshot_here) = watch::channel(Arc::new(world.snapshot()));
    let (states, states_here) = watch::channel(States::new());
    let (drainer, drain) = lifecycle::drain();
    let server = Server {
        standing: watch::channel(Standing::Owner).1,
        node: "node-a".into(),
        registry: Registry::new(PodPlaces::default()),
        snapshot: snapshot_here,
        states: states_here,
        lookup,
        ability,
        scanner: Scanner::default(),
        metrics: Arc::new(AgentMetrics::new("0.0.0").unwrap()),
        drain,
    };
    Desk { server: Arc::new(server), _snapshot: snapshot, states, _drainer: drainer }
}

fn sandbox(name: &str) -> Sandbox {
    Sandbox {
        namespace: "default".into(),
        name: name.into(),
        uid: "u1".into(),
        container: "c1".into(),
        ..Sandbox::default()
    }
}

fn world() -> TestWorld {
    let mut world = TestWorld::new();
    world.pod("default", "a", "10.1.0.1", &[]).uid = "u1".into();
    world
}

#[tokio::test]
async fn a_namespace_that_is_not_there_refuses_the_pod_and_names_it() {
    let desk = desk(&world(), Ability::Captures, None);
    let lost = Sandbox { netns: "/var/run/netns/weft-never-made".into(), ..sandbox("a") };
    let Answer::Refuse { reason } = desk.server.answer(&Request::Add(lost)).await else { panic!("nothing to capture") };
    assert!(reason.contains("/var/run/netns/weft-never-made of pod default/a"), "{reason}");
}

#[tokio::test]
async fn on_a_machine_that_cannot_capture_enrolled_pods_are_refused_or_skipped() {
    let refuses = desk(&world(), Ability::Refuses("no eBPF".to_owned()), None);
    assert_eq!(refuses.server.verdict(&sandbox("a"), 1), Verdict::Pending("no eBPF".to_owned()));
    let skips = desk(&world(), Ability::Skips("no eBPF".to_owned()), None);
    assert!(matches!(skips.server.verdict(&sandbox("a"), 1), Verdict::Pass(reason) if reason.contains("no eBPF")));
    assert_eq!(skips.server.verdict(&sandbox("unknown"), 1), Verdict::Unknown);
}

#[tokio::test]
async fn the_end_of_patience_says_what_was_waited_for() {
    let desk = desk(&world(), Ability::Captures, None);
    let failed = CaptureState::Failed { reason: "no cgroup2".to_owned() };
    desk.states.send_modify(|states| states.extend([(Named::new("default", "a"), failed)]));
    let found = desk.server.verdict(&sandbox("a"), 1);
    let Answer::Refuse { reason } = desk.server.end(&sandbox("a"), found) else { panic!("not captured") };
    assert_eq!(reason, "weft holds pod default/a: it is not captured yet: no cgroup2");
}

struct Says(Result<Option<Enrolment>, String>, AtomicUsize);

#[async_trait]
impl PodLookup for Says {
    async fn enrolment(&self, _pod: &Named, uid: &str) -> Result<Option<Enrolment>, String> {
        assert_eq!(uid, "u1");
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.clone()
    }
}

#[tokio::test]
async fn the_api_server_settles_only_that_a_pod_is_outside_the_mesh() {
    for (says, settles) in [
        (Ok(Some(Enrolment::NotEnrolled("a test"))), true),
        (Ok(Some(Enrolment::Enrolled)), false),
        (Ok(None), false),
        (Err("away".to_owned()), false),
    ] {
        let lookup = Arc::new(Says(says.clone(), AtomicUsize::new(0)));
        let desk = desk(&TestWorld::new(), Ability::Captures, Some(lookup.clone()));
        assert_eq!(desk.server.ask(&sandbox("a")).await.is_some(), settles, "{says:?}");
        assert_eq!(lookup.1.load(Ordering::Relaxed), 1);
    }
}

#[tokio::test]
async fn a_later_agent_takes_over_the_socket_and_nonsense_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let socket: PathBuf = folder.path().join("cni.sock");
    let first = desk(&world(), Ability::Captures, None);
    let second = desk(&world(), Ability::Captures, None);
    for desk in [first, second] {
        let server = Arc::into_inner(desk.server).unwrap();
        server.serve(&socket).await.unwrap();
        assert!(matches!(ask(&socket, &line(&Request::Delete(sandbox("a"))).unwrap()).await, Answer::Pass { .. }));
        let Answer::Refuse { reason } = ask(&socket, b"{\"command\":\"dance\"}\n").await else { panic!("no command") };
        assert!(reason.contains("does not understand"), "{reason}");
    }
}

async fn ask(socket: &PathBuf, request: &[u8]) -> Answer {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    parse(&answer).unwrap()
}
