//! The control plane: certificate authority, webhooks, and what is written into the cluster. `weft control`.
//!
//! | port | what |
//! |---|---|
//! | 15012 | Istio's certificate service over gRPC, TLS ([`ca`]) |
//! | 15017 | admission webhooks, HTTPS ([`webhook`]) |
//! | 15014 | probes, metrics, version ([`serve::monitoring`]) |
//!
//! Replicas are equal; one of them leads ([`leader`]) and does what only one may do: the change of the root, the roots in
//! every namespace, the roots in the webhooks' configurations, the status of objects ([`status`], read with discovery's own
//! code, so that nobody hears "accepted" about what agents refuse), and what running pods are told ([`marks`]). Traffic
//! needs none of this: agents keep their certificates and ask again until somebody answers.

pub mod accounts;
mod backoff;
pub mod ca;
pub mod ca_bundle;
pub mod judgement;
pub mod leader;
pub mod marks;
pub mod mesh;
pub mod namespaces;
pub mod pods;
pub mod references;
pub mod serve;
pub mod status;
pub mod webhook;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use kube::Client;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tonic::body::Body;
use weft_model::snapshot::Snapshot;

use crate::{
    discovery::{self, api_server},
    identity,
    kubernetes::ApiServer,
    lifecycle::{self, Drain},
    net::PodPlaces,
    telemetry::control::ControlMetrics,
};
use accounts::TrustedAccounts;
use ca::{
    authority::{self, Following},
    caller::ApiReviewer,
    rotate::Rotate,
    rotation,
    service::CertificateService,
    store::Store,
};
use leader::{Election, store::ApiLease};
use pods::Pods;
use serve::{Door, certificate::Certificate, monitoring::Monitoring};
use webhook::{namespaces::ApiNamespaces, serve::Webhooks};

/// Name of the Lease of the leader.
pub const LEASE: &str = "weft-control-leader";

/// How long open requests may take to end when control is told to stop.
const DRAIN: Duration = Duration::from_secs(5);

/// A control plane, as its flags ask for it.
#[derive(Clone, Debug)]
pub struct Config {
    /// The API server.
    pub api: ApiServer,
    /// This replica's name in the election: its pod's.
    pub name: String,
    /// Where the certificate service listens.
    pub ca_address: SocketAddr,
    /// Where the webhooks listen.
    pub webhook_address: SocketAddr,
    /// Where probes and scrapers are answered.
    pub http_address: SocketAddr,
    /// DNS names by which its servers are known beside the usual ones.
    pub server_names: Vec<String>,
    /// Accounts of the nodes' agents.
    pub accounts: TrustedAccounts,
    /// Port at which agents are asked what they trust.
    pub agent_port: u16,
    /// Audiences of tokens that are accepted.
    pub audiences: Vec<String>,
    /// How a change of the root goes.
    pub rotation: rotation::Timing,
}

/// Runs a control plane until it is told to stop.
///
/// # Errors
/// What could not be set up, with the next step.
pub fn run(config: Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run_async(config))
}

async fn run_async(config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let client = config.api.client().await?;
    let (drainer, drain) = lifecycle::drain();
    let parts = Parts::start(&config, &client, &drain).await?;
    tracing::info!(name = config.name, version = env!("CARGO_PKG_VERSION"), "control is running");
    let leading = parts.elect(config, client, drain);
    let mut leading = std::pin::pin!(leading);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        // It goes on until draining begins.
        () = leading.as_mut() => {}
    }
    tracing::info!("stopping");
    let (busy, ()) = tokio::join!(drainer.finish(DRAIN), leading);
    if busy > 0 {
        tracing::warn!(busy, "connections were still open at the deadline and end now");
    }
    Ok(())
}

/// What every replica does.
struct Parts {
    authority: Following,
    metrics: Arc<ControlMetrics>,
    /// The world as agents see it, by which objects are judged.
    world: watch::Receiver<Arc<Snapshot>>,
    _discovery: discovery::Handle,
}

impl Parts {
    async fn start(config: &Config, client: &Client, drain: &Drain) -> anyhow::Result<Self> {
        let metrics = Arc::new(ControlMetrics::new(env!("CARGO_PKG_VERSION"))?);
        let (trust_domain, its_trust_domain) = watch::channel(None);
        let (signs, authority) = watch::channel(None);
        tokio::spawn(mesh::follow_trust_domain(client.clone(), trust_domain));
        tokio::spawn(authority::follow(Store::new(client.clone()), its_trust_domain, metrics.clone(), signs));
        let pods = Pods::new(client.clone(), metrics.clone());
        tokio::spawn({
            let pods = pods.clone();
            async move { pods.follow().await }
        });
        let certificate = Certificate::new(&config.server_names);
        tokio::spawn({
            let (certificate, authority) = (certificate.clone(), authority.clone());
            async move { certificate.keep(authority).await }
        });
        // Control runs on no node: no pod is its own.
        let followed = api_server::Config::new(config.api.clone(), "", PodPlaces::default());
        let (world, reading) = api_server::spawn(followed).await?;
        let parts = Self { authority, metrics, world, _discovery: reading };
        parts.serve_monitoring(config, &pods, &certificate, drain).await?;
        parts.serve_certificates(config, client, pods, &certificate, drain).await?;
        serve_webhooks(config, client, parts.world.clone(), &certificate, drain).await?;
        Ok(parts)
    }

    async fn serve_monitoring(
        &self,
        config: &Config,
        pods: &Arc<Pods>,
        certificate: &Arc<Certificate>,
        drain: &Drain,
    ) -> anyhow::Result<()> {
        let monitoring = Arc::new(Monitoring {
            authority: self.authority.clone(),
            certificate: certificate.clone(),
            pods: pods.clone(),
            accounts: config.accounts.clone(),
            metrics: self.metrics.clone(),
        });
        let door = open("http", config.http_address, None).await?;
        let answer = move |request: http::Request<hyper::body::Incoming>| {
            let answer = monitoring.answer(request.method(), request.uri().path());
            async move { answer }
        };
        tokio::spawn(door.serve(answer, drain.clone()));
        Ok(())
    }

    async fn serve_certificates(
        &self,
        config: &Config,
        client: &Client,
        pods: Arc<Pods>,
        certificate: &Arc<Certificate>,
        drain: &Drain,
    ) -> anyhow::Result<()> {
        let service = Arc::new(CertificateService {
            authority: self.authority.clone(),
            reviewer: Arc::new(ApiReviewer::new(client.clone())),
            pods,
            accounts: config.accounts.clone(),
            audiences: config.audiences.clone(),
            metrics: self.metrics.clone(),
        });
        let tls = Arc::new(identity::service_config(certificate.clone(), &[b"h2"])?);
        let door = open("certificates", config.ca_address, Some(tls)).await?;
        tokio::spawn(door.serve(move |request| service.clone().handle(request), drain.clone()));
        Ok(())
    }

    /// Takes part in the election, and leads when elected, until draining begins.
    async fn elect(self, config: Config, client: Client, mut drain: Drain) {
        let election = Election::new(ApiLease::new(client.clone(), LEASE), config.name, leader::Timing::default());
        let lead = || {
            let rotate = Rotate {
                store: Store::new(client.clone()),
                client: client.clone(),
                accounts: config.accounts.clone(),
                agent_port: config.agent_port,
                timing: config.rotation,
            };
            let leads = Leads::new(self.metrics.clone());
            let (client, authority, world) = (client.clone(), self.authority.clone(), self.world.clone());
            let labels = Arc::new(ApiNamespaces(client.clone()));
            async move {
                let _leads = leads;
                tokio::join!(
                    rotate.run(authority.clone()),
                    namespaces::run(client.clone(), authority.clone()),
                    ca_bundle::run(client.clone(), authority.clone()),
                    status::run(client.clone(), world.clone()),
                    marks::run(client.clone(), labels, world),
                );
            }
        };
        election.run(lead, drain.begun()).await;
    }
}

/// Says in the metrics that this replica leads.
struct Leads(Arc<ControlMetrics>);

impl Leads {
    fn new(metrics: Arc<ControlMetrics>) -> Self {
        metrics.leader.set(1);
        Self(metrics)
    }
}

impl Drop for Leads {
    fn drop(&mut self) {
        self.0.leader.set(0);
    }
}

async fn serve_webhooks(
    config: &Config,
    client: &Client,
    snapshot: watch::Receiver<Arc<Snapshot>>,
    certificate: &Arc<Certificate>,
    drain: &Drain,
) -> anyhow::Result<()> {
    let tls = Arc::new(identity::service_config(certificate.clone(), &[b"h2", b"http/1.1"])?);
    let door = open("webhooks", config.webhook_address, Some(tls)).await?;
    let webhooks = Webhooks { snapshot, namespaces: Arc::new(ApiNamespaces(client.clone())) };
    let answer = move |request: http::Request<hyper::body::Incoming>| {
        let webhooks = webhooks.clone();
        async move { webhooks.answer(request).await.map(Body::new) }
    };
    tokio::spawn(door.serve(answer, drain.clone()));
    Ok(())
}

async fn open(name: &'static str, address: SocketAddr, tls: Option<Arc<rustls::ServerConfig>>) -> anyhow::Result<Door> {
    let door = Door::open(name, address, tls).await.with_context(|| format!("cannot listen at {address} ({name})"))?;
    tracing::info!(door = name, address = %door.address()?, "listening");
    Ok(door)
}
