//! An agent's desk without the agent: the parts that [`Admin`] asks, in the hands of a test.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Instant, SystemTime},
};

use tokio::sync::watch;
use weft_model::{identity::SpiffeId, snapshot::Snapshot, testing::TestWorld, workload::Named};

use super::{Admin, Front};
use crate::{
    discovery::Report,
    ebpf::{
        kubelet::Recognised,
        manager::{CaptureState, KeeperState, Standing, States},
    },
    identity::{Config, Identities, LocalCa, TrustDomains},
    telemetry::{self, Telemetry, agent::AgentMetrics},
};

/// The desk of node `node-a`, with the ends that a running agent would hold.
pub(crate) struct Desk {
    pub(crate) admin: Arc<Admin>,
    pub(crate) snapshot: watch::Sender<Arc<Snapshot>>,
    pub(crate) states: watch::Sender<States>,
    pub(crate) report: watch::Sender<Arc<Report>>,
    wanted: watch::Sender<BTreeSet<SpiffeId>>,
    _authority: tempfile::TempDir,
}

impl Desk {
    pub(crate) fn new(world: &TestWorld) -> Self {
        Self::of_node("node-a", world)
    }

    pub(crate) fn of_node(node: &str, world: &TestWorld) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = LocalCa::open_or_create(folder.path(), "cluster.local").unwrap();
        let (wanted, wanted_here) = watch::channel(BTreeSet::new());
        let config = Config::new(TrustDomains::new("cluster.local", []), Arc::new(|| 0.5));
        let metrics = Arc::new(AgentMetrics::new("0.0.0").unwrap());
        let telemetry_config = telemetry::Config { version: "0.0.0".to_owned(), access_log: true, prefix_lines: false };
        let (snapshot, snapshot_here) = watch::channel(Arc::new(world.snapshot()));
        let (states, states_here) = watch::channel(States::new());
        let (report, report_here) = watch::channel(Arc::new(Report::empty()));
        let admin = Admin {
            node: node.into(),
            snapshot: snapshot_here,
            states: states_here,
            standing: watch::channel(Standing::Owner).1,
            keeper: watch::channel(KeeperState::Holding).1,
            kubelet: watch::channel(Recognised { pid: Some(1), probes: 3 }).1,
            identities: Identities::new(Arc::new(authority), wanted_here, config),
            telemetry: Arc::new(Telemetry::spawn(telemetry_config, metrics.clone(), None).unwrap()),
            metrics,
            report: report_here,
            started: Instant::now(),
        };
        Self { admin: Arc::new(admin), snapshot, states, report, wanted, _authority: folder }
    }

    /// The pages of the whole agent, to be served.
    pub(crate) fn front(&self) -> Arc<Front> {
        let front = Front::new(self.admin.node.clone(), self.admin.report.clone());
        front.open(self.admin.clone());
        Arc::new(front)
    }

    /// Issues a certificate, as rotation would.
    pub(crate) async fn issue(&self, id: &SpiffeId) {
        self.wanted.send_modify(|wanted| wanted.extend([id.clone()]));
        self.admin.identities.get(id).await.unwrap();
    }

    /// Says what became of a pod.
    pub(crate) fn captured(&self, name: &str, state: CaptureState) {
        self.states.send_modify(|states| states.extend([(Named::new("default", name), state)]));
    }
}

/// Proven a moment ago.
pub(crate) fn proven() -> CaptureState {
    CaptureState::Proven { at: SystemTime::now(), netns: 1 }
}

/// Pods `a`, `name-v1` and `name-v2` (on node-b) of namespace `default`, and Service `name`, port 5000, in front of
/// the latter two.
pub(crate) fn sentences() -> TestWorld {
    let mut world = TestWorld::new();
    world.pod("default", "a", "10.1.0.1", &[("app", "a")]);
    world.pod("default", "name-v1", "10.1.0.2", &[("app", "name"), ("version", "v1")]);
    world.pod("default", "name-v2", "10.1.0.3", &[("app", "name"), ("version", "v2")]).node = "node-b".into();
    world.service("default", "name", "10.96.0.10", &[(5000, 5000)], &[("app", "name")]);
    world
}
