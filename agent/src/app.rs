//! The only place where the parts of an agent meet, in the order in which they need each other.

mod authority;
mod conditions;
mod pods;
mod process;
mod succession;
mod unsupported;
mod world;

use std::{
    io::Write,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
pub use authority::CaSource;
use authority::open_identities;
pub use pods::CniConfig;
use process::{descriptors, keep_heaps_small, raise_descriptor_limit, trim_memory};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, oneshot, watch},
};
pub use unsupported::WhenUnsupported;
use weft_model::snapshot::Snapshot;
pub use world::WorldSource;
use world::{World, first_snapshot};

use crate::{
    admin::{self, Admin, Front},
    cni::server::Ability,
    dataplane::{Shared, shared::Limits, worker::Workers},
    discovery,
    ebpf::{
        Kernel,
        kubelet::{Kubelets, Recognised},
        leftovers::{self, Leftovers},
        manager::{
            KeeperState, Manager, Orders, Outputs, Parts, Released, Standing, States,
            keeping::{self, Keeping},
        },
    },
    handover::{Files, Ownership},
    identity::{self, RootFile},
    lifecycle, stats,
    telemetry::{Telemetry, agent::AgentMetrics},
};

/// An agent, as its flags ask for it.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of the node.
    pub node: Arc<str>,
    /// Where the world is read from.
    pub world: WorldSource,
    /// Directory for the local certificate authority and the admin socket; agents of one emulated
    /// cluster share it.
    pub state_dir: PathBuf,
    /// Who signs certificates.
    pub ca: CaSource,
    /// How long they live.
    pub certificate_ttl: Duration,
    /// Directory of pins on a bpf file system, one for each agent.
    pub bpf_dir: PathBuf,
    /// Worker threads.
    pub workers: usize,
    /// Address for the endpoints of the admin socket over TCP.
    pub http_addr: Option<SocketAddr>,
    /// Print the access log to standard output.
    pub access_log_stdout: bool,
    /// How long open connections may take to end when the agent is told to stop.
    pub drain: Duration,
    /// On a stop, leave capture in place: connections wait, and are refused later, until the next agent takes over. Not
    /// when the stop is for good ([`leftovers::for_good_path`]).
    pub keep_capture: bool,
    /// The CNI plugin, which holds new pods until they are captured.
    pub cni: Option<CniConfig>,
    /// What becomes of enrolled pods when this machine cannot capture.
    pub when_unsupported: WhenUnsupported,
    /// Take the node over from an agent that is running, instead of refusing to start beside it.
    pub takeover: bool,
    /// How long listeners are kept for the next agent when this one dies; zero for not at all.
    pub hold: Duration,
    /// Names of the process that is the node's kubelet, whose probes no policy is meant for.
    pub kubelet_names: Vec<String>,
}

/// How long clients may take to leave of their own accord before idle connections are closed.
const RETIRE: Duration = Duration::from_secs(1);

/// How long requests may take that were accepted in the last moment.
const LAST_MOMENT: Duration = Duration::from_millis(500);

/// Runs an agent until it is told to stop.
///
/// # Errors
/// What could not be set up, with the next step.
pub fn run(config: Config) -> anyhow::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!("an agent enters network namespaces and loads eBPF programs: run it as root");
    }
    raise_descriptor_limit();
    keep_heaps_small();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run_async(config))
}

async fn run_async(config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    std::fs::create_dir_all(&config.state_dir)
        .with_context(|| format!("cannot make {}", config.state_dir.display()))?;
    let socket = admin::socket_path(&config.state_dir, &config.node);
    admin::ensure_possible(&socket)?;
    let files = Files::of(&config.state_dir, &config.node);
    let ownership = succession::claim(&config, &files)?;
    let (standing, standing_here) = watch::channel(Standing::Waiting);
    let world = World::open(&config).await?;
    let (drainer, drain) = lifecycle::drain();
    let front = Arc::new(Front::new(config.node.clone(), world.reports.reports()));
    if ownership.is_some() {
        front.clone().serve_unix(&socket, standing_here, drain.clone()).await?;
    }
    if let Some(address) = config.http_addr {
        front.clone().serve_tcp(address, drain.clone()).await?;
    }
    tokio::select! {
        () = first_snapshot(world.snapshot.clone(), &world.reports) => {}
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    }
    let ability = unsupported::ability(config.when_unsupported);
    if let Ability::Refuses(lacks) | Ability::Skips(lacks) = &ability {
        let standing_by = unsupported::stand_by(&config, lacks, ability.clone(), world, &front, drain);
        return tokio::select! {
            ended = standing_by => ended,
            _ = terminate.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
        };
    }
    let claim = Claim { files, ownership, standing };
    let running = tokio::select! {
        running = Running::start(&config, world, &front, (drainer, drain), claim) => running?,
        // Nothing is this agent's as long as it waits for another one.
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    tracing::info!(node = %config.node, version = env!("CARGO_PKG_VERSION"), "agent is running");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    running.stop(config.drain).await
}

/// This agent's claim to the node.
struct Claim {
    files: Files,
    /// Absent as long as another agent has it.
    ownership: Option<Ownership>,
    standing: watch::Sender<Standing>,
}

/// The parts of a running agent.
struct Running {
    workers: Arc<Workers>,
    drainer: lifecycle::Drainer,
    drain: lifecycle::Drain,
    manager: Managed,
    _rotation: identity::Rotation,
    _roots: Option<RootFile>,
    _discovery: discovery::Handle,
}

/// The manager's thread, and how it is told to end.
struct Managed {
    stop: oneshot::Sender<()>,
    stopped: oneshot::Receiver<()>,
    end: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<Released>,
}

impl Running {
    async fn start(
        config: &Config,
        world: World,
        front: &Arc<Front>,
        (drainer, drain): (lifecycle::Drainer, lifecycle::Drain),
        claim: Claim,
    ) -> anyhow::Result<Self> {
        let World { snapshot, reports, places, cluster } = world;
        let Claim { files, ownership, standing } = claim;
        let standing_here = standing.subscribe();
        let registry = pods::find(config, places, snapshot.clone());
        let (wanted, wanted_here) = watch::channel(std::collections::BTreeSet::new());
        let (identities, roots) = open_identities(config, &snapshot.borrow().clone(), wanted_here)?;
        let rotation = identity::spawn_rotation(identities.clone());
        let (telemetry, metrics) = open_telemetry(config, &snapshot)?;
        let (states, captured) = watch::channel(States::new());
        let (keeper, keeper_here) = watch::channel(KeeperState::Off);
        let (kubelet, kubelet_here) = watch::channel(Recognised::default());
        front.open(Arc::new(Admin {
            node: config.node.clone(),
            snapshot: snapshot.clone(),
            states: captured.clone(),
            standing: standing_here.clone(),
            keeper: keeper_here,
            kubelet: kubelet_here,
            identities: identities.clone(),
            telemetry: telemetry.clone(),
            metrics: metrics.clone(),
            report: reports.reports(),
            started: front.started(),
        }));
        let (ownership, predecessor) = match ownership {
            Some(ownership) => (ownership, None),
            None => {
                let owned = succession::own(config, &files, &snapshot, &wanted, &identities).await?;
                let socket = admin::socket_path(&config.state_dir, &config.node);
                front.clone().serve_unix(&socket, standing_here.clone(), drain.clone()).await?;
                owned
            }
        };
        let kernel = Arc::new(Kernel::attach(&config.bpf_dir)?);
        let shared = Arc::new(Shared {
            snapshot: snapshot.clone(),
            identities,
            observe: telemetry.clone(),
            drain: drain.clone(),
            limits: Limits::within(descriptors(), config.workers),
        });
        let exempters = (0..config.workers.max(1)).map(|_| kernel.exempter()).collect::<Result<Vec<_>, _>>()?;
        let workers = Arc::new(Workers::spawn(&shared, exempters)?);
        let (stats, stats_pages) = mpsc::unbounded_channel();
        tokio::spawn(trim_memory());
        tokio::spawn(stats::serve(stats_pages, telemetry.clone(), snapshot.clone()));
        tokio::spawn(follow(snapshot.clone(), captured.clone(), telemetry, metrics.clone()));
        let parts = Parts {
            kernel,
            workers: workers.clone(),
            node: config.node.clone(),
            outputs: Outputs { wanted, states, stats, standing, kubelet },
            leftovers: Leftovers::open(leftovers::path(&config.state_dir, &config.node)),
            keeping: Keeping::new(keeping::Config { path: files.keeper.clone(), patience: config.hold }, keeper),
            kubelets: Kubelets::new(config.kubelet_names.clone()),
            drain: drain.clone(),
            ownership,
            predecessor,
            files,
        };
        let (is_kept, is_for_good) = (config.keep_capture, leftovers::for_good(&config.state_dir, &config.node));
        let manager = Managed::spawn(parts, snapshot.clone(), move || is_kept && !is_for_good())?;
        let around = pods::Surroundings {
            node: config.node.clone(),
            registry,
            snapshot,
            states: captured,
            standing: standing_here,
            metrics,
            drain: drain.clone(),
            ability: Ability::Captures,
        };
        pods::start(config.cni.as_ref(), cluster, around).await?;
        Ok(Self { workers, drainer, drain, manager, _rotation: rotation, _roots: roots, _discovery: reports })
    }

    /// Stops in an order that breaks nothing early: no new connections, then the open ones end, then the
    /// routes that they used go. Where capture stays, connections are accepted until the others have ended: what comes
    /// later waits for the next agent.
    async fn stop(self, deadline: Duration) -> anyhow::Result<()> {
        let Self { workers, drainer, drain, manager, .. } = self;
        tracing::info!("stopping");
        let _ = manager.stop.send(());
        // The manager's thread may have ended already only by a panic, which `join` reports.
        let _ = manager.stopped.await;
        let started = tokio::time::Instant::now();
        let left = || deadline.saturating_sub(started.elapsed());
        drain.set_retiring(true);
        drainer.idle(RETIRE.min(deadline)).await;
        drainer.finish(left()).await;
        workers.close().await;
        let busy = drainer.idle(left().max(LAST_MOMENT)).await;
        if busy > 0 {
            tracing::warn!(busy, "connections were still open at the deadline and end now");
        }
        let _ = manager.end.send(());
        match tokio::task::spawn_blocking(move || manager.thread.join()).await? {
            Ok(released) => tokio::task::spawn_blocking(move || released.remove()).await?,
            Err(_panic) => bail!("the capture manager panicked; run `weft cleanup`"),
        }
        if let Ok(workers) = Arc::try_unwrap(workers).map_err(|_shared| ()) {
            tokio::task::spawn_blocking(move || workers.stop()).await?;
        }
        Ok(())
    }
}

impl Managed {
    /// The manager blocks on netlink, on the kernel's verifier and on probes: it has a thread of its own.
    fn spawn(
        parts: Parts,
        snapshot: watch::Receiver<Arc<Snapshot>>,
        keep: impl FnOnce() -> bool + Send + 'static,
    ) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stop_here) = oneshot::channel();
        let (stopped_here, stopped) = oneshot::channel();
        let (end, end_here) = oneshot::channel();
        let orders = Orders { stop: stop_here, stopped: stopped_here, end: end_here };
        let thread = std::thread::Builder::new()
            .name("weft-capture".to_owned())
            .spawn(move || runtime.block_on(async move { Manager::new(parts).run(snapshot, orders, keep).await }))?;
        Ok(Self { stop, stopped, end, thread })
    }
}

fn open_telemetry(
    config: &Config,
    snapshot: &watch::Receiver<Arc<Snapshot>>,
) -> anyhow::Result<(Arc<Telemetry>, Arc<AgentMetrics>)> {
    let version = env!("CARGO_PKG_VERSION");
    let metrics = Arc::new(AgentMetrics::new(version)?);
    let writer = config.access_log_stdout.then(|| Box::new(std::io::stdout()) as Box<dyn Write + Send>);
    let telemetry_config = crate::telemetry::Config {
        version: version.to_owned(),
        access_log: snapshot.borrow().mesh.access_log,
        prefix_lines: true,
    };
    let telemetry = Telemetry::spawn(telemetry_config, metrics.clone(), writer)?;
    Ok((Arc::new(telemetry), metrics))
}

/// Keeps telemetry in step with the world.
async fn follow(
    mut snapshot: watch::Receiver<Arc<Snapshot>>,
    mut states: watch::Receiver<States>,
    telemetry: Arc<Telemetry>,
    metrics: Arc<AgentMetrics>,
) {
    let mut version = None;
    loop {
        let now = snapshot.borrow_and_update().clone();
        if version != Some(now.version) {
            telemetry.retain(&now);
            telemetry.set_access_log(now.mesh.access_log);
            metrics.set_snapshot(now.version, Instant::now());
            version = Some(now.version);
        }
        // Marked as seen, or the wait below would end at once, for ever.
        metrics.captured_pods.set(states.borrow_and_update().len() as i64);
        tokio::select! {
            changed = snapshot.changed() => if changed.is_err() { return },
            changed = states.changed() => if changed.is_err() { return },
        }
    }
}
