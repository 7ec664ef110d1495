//! The only place where the parts of an agent meet, in the order in which they need each other.

mod conditions;
mod pods;
mod succession;
mod unsupported;

use std::{
    io::Write,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
pub use pods::{Cluster, CniConfig};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, oneshot, watch},
};
pub use unsupported::WhenUnsupported;
use weft_model::snapshot::Snapshot;

use crate::{
    admin::{self, Admin, Front},
    cni::server::Ability,
    dataplane::{Shared, shared::Limits, worker::Workers},
    discovery::{self, api_server},
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
    identity::{
        self, CertificateAuthority, Identities, LocalCa, Published, RemoteCa, RemoteCaConfig, RootFile, TrustDomains,
    },
    kubernetes::{ApiServer, conditions::Conditions},
    lifecycle,
    net::PodPlaces,
    stats,
    telemetry::{Telemetry, agent::AgentMetrics},
};

/// How long the first snapshot may take before the agent says that it is waiting.
const FIRST_SNAPSHOT: Duration = Duration::from_secs(10);

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

/// Who signs this node's certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CaSource {
    /// A directory in the state directory.
    Local,
    /// A service that speaks Istio's certificate protocol.
    Remote {
        /// `https://host:port`.
        address: String,
        /// File with the published roots.
        root: PathBuf,
        /// File with the token that proves who asks.
        token: PathBuf,
    },
}

/// Where the world is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorldSource {
    /// A directory of Kubernetes manifests.
    Directory(PathBuf),
    /// An API server.
    ApiServer(ApiServer),
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

/// The world as it is read, and what else its source knows.
struct World {
    snapshot: watch::Receiver<Arc<Snapshot>>,
    reports: discovery::Handle,
    /// Where pods are.
    places: PodPlaces,
    /// What only an API server answers and takes.
    cluster: Option<Cluster>,
}

impl World {
    async fn open(config: &Config) -> anyhow::Result<Self> {
        let places = PodPlaces::default();
        match &config.world {
            WorldSource::Directory(directory) => {
                let (snapshot, reports) = discovery::spawn(discovery::Config::new(directory, config.node.clone()));
                Ok(Self { snapshot, reports, places, cluster: None })
            }
            WorldSource::ApiServer(server) => {
                let client = server.client().await?;
                let cluster =
                    Cluster { lookup: discovery::Lookup::new(client.clone()), conditions: Conditions::new(client) };
                let followed = api_server::Config::new(server.clone(), config.node.clone(), places.clone());
                let (snapshot, reports) = api_server::spawn(followed).await?;
                Ok(Self { snapshot, reports, places, cluster: Some(cluster) })
            }
        }
    }
}

/// Waits for it. Until then nothing on this node is touched: pods that an earlier agent captured stay refused.
async fn first_snapshot(mut snapshot: watch::Receiver<Arc<Snapshot>>, reports: &discovery::Handle) {
    let ready = snapshot.wait_for(|snapshot| snapshot.version > 0);
    let mut ready = std::pin::pin!(ready);
    loop {
        match tokio::time::timeout(FIRST_SNAPSHOT, ready.as_mut()).await {
            Ok(Ok(_)) => return,
            // Whoever reads the world has ended, and has said why.
            Ok(Err(_closed)) => std::future::pending().await,
            Err(_elapsed) => {
                let awaited = reports.report().awaited.join(", ");
                tracing::warn!(awaited, "still waiting for the first whole snapshot of the world");
            }
        }
    }
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
        let registry = pods::find(config.node.clone(), places, snapshot.clone());
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
            limits: Limits::default(),
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

fn open_identities(
    config: &Config,
    snapshot: &Snapshot,
    wanted: watch::Receiver<std::collections::BTreeSet<weft_model::identity::SpiffeId>>,
) -> anyhow::Result<(Arc<Identities>, Option<RootFile>)> {
    let mesh = &snapshot.mesh;
    let domains = TrustDomains::new(&mesh.trust_domain, mesh.trust_domain_aliases.iter().map(|alias| &**alias));
    let jitter: identity::Jitter = Arc::new(fastrand::f64);
    let (authority, published, roots) = open_authority(config, &mesh.trust_domain)?;
    let identities =
        identity::Config { ttl: config.certificate_ttl, published, ..identity::Config::new(domains, jitter) };
    Ok((Identities::new(authority, wanted, identities), roots))
}

/// Who signs, and where its roots are published if they are.
type Authority = (Arc<dyn CertificateAuthority>, Option<watch::Receiver<Published>>, Option<RootFile>);

fn open_authority(config: &Config, trust_domain: &str) -> anyhow::Result<Authority> {
    match &config.ca {
        CaSource::Local => {
            let directory = config.state_dir.join("ca");
            let authority = LocalCa::open_or_create(&directory, trust_domain)
                .with_context(|| format!("cannot open the local certificate authority in {}", directory.display()))?;
            Ok((Arc::new(authority), None, None))
        }
        CaSource::Remote { address, root, token } => {
            let (published, roots) = RootFile::watch(root.clone());
            let remote =
                RemoteCaConfig { address: address.clone(), token: token.clone(), published: published.clone() };
            Ok((Arc::new(RemoteCa::new(remote)?), Some(published), Some(roots)))
        }
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

/// How often memory that nobody uses goes back to the machine.
const TRIM_INTERVAL: Duration = Duration::from_secs(10);

/// Gives freed memory back: loading programs and bursts of connections leave each thread's heap with tens
/// of MiB of holes, which glibc keeps otherwise.
async fn trim_memory() {
    let mut interval = tokio::time::interval(TRIM_INTERVAL);
    loop {
        interval.tick().await;
        // SAFETY: the call has no preconditions and may run beside any allocation.
        #[cfg(target_env = "gnu")]
        unsafe {
            libc::malloc_trim(0);
        }
    }
}

/// Each captured pod and each connection needs descriptors: the soft limit goes up to the hard one.
fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!(%error, soft, "cannot raise the limit of open files");
    }
}
