//! etcd, API server, controller-manager and scheduler: processes of the machine itself, on addresses of the cluster's own.
//!
//! They need no namespace: what nodes may reach listens on the bridge, the rest on the cluster's loopback address.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::kubectl::Kubectl;
use super::layout::{Family, Layout};
use super::{pki, process};

const ETCD: &str = "etcd";
const API_SERVER: &str = "kube-apiserver";
const CONTROLLER_MANAGER: &str = "kube-controller-manager";
const SCHEDULER: &str = "kube-scheduler";

/// The parts in the order in which they are started; each is the name of a component of the Kubernetes binary, too.
pub const PARTS: [&str; 4] = [ETCD, API_SERVER, CONTROLLER_MANAGER, SCHEDULER];

/// How long the API server may take; it needs a few seconds on an idle machine.
const READY_TIMEOUT: Duration = Duration::from_secs(120);

/// How often it is asked.
const POLL_INTERVAL: Duration = Duration::from_millis(300);

/// Starts what does not run and waits until the API server is ready.
pub fn provide(layout: &Layout) -> Result<()> {
    ensure_runs(layout, ETCD, etcd(layout))?;
    ensure_runs(layout, API_SERVER, api_server(layout))?;
    wait_until_ready(layout)?;
    // These two give up when there is no API server yet.
    ensure_runs(layout, CONTROLLER_MANAGER, controller_manager(layout))?;
    ensure_runs(layout, SCHEDULER, scheduler(layout))
}

/// Ends the API server alone; everything else goes on, as on a real cluster.
pub fn stop_api_server(layout: &Layout) -> Result<()> {
    let processes = process::all(layout)?;
    let api_server: Vec<_> = processes.into_iter().filter(|process| process.part == API_SERVER).collect();
    process::end(&api_server)
}

fn ensure_runs(layout: &Layout, part: &str, args: Vec<String>) -> Result<()> {
    if process::is_running(layout, part)? {
        return Ok(());
    }
    let args: Vec<String> = [part.to_owned()].into_iter().chain(args).collect();
    process::start(layout, part, &layout.kube(), &args, &layout.log(part))
}

fn wait_until_ready(layout: &Layout) -> Result<()> {
    let kubectl = Kubectl::new(layout);
    let started = Instant::now();
    while let Err(error) = kubectl.args(["get", "--raw", "/readyz"]).read() {
        let log = layout.log(API_SERVER);
        if !process::is_running(layout, API_SERVER)? {
            bail!("the API server ended; {} says why", log.display());
        }
        if started.elapsed() > READY_TIMEOUT {
            return Err(error).with_context(|| format!("the API server does not get ready; look at {}", log.display()));
        }
        thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}

fn etcd(layout: &Layout) -> Vec<String> {
    let peers = format!("http://{}:2380", layout.loopback());
    vec![
        format!("--data-dir={}", layout.path("etcd").display()),
        format!("--listen-client-urls={}", layout.etcd()),
        format!("--advertise-client-urls={}", layout.etcd()),
        format!("--listen-peer-urls={peers}"),
        format!("--initial-advertise-peer-urls={peers}"),
        format!("--initial-cluster=default={peers}"),
        // A test cluster may lose its last second when the machine loses power; syncing every write costs all of them.
        "--unsafe-no-fsync".to_owned(),
    ]
}

fn api_server(layout: &Layout) -> Vec<String> {
    let pki = |name: &str| layout.pki(name).display().to_string();
    vec![
        format!("--etcd-servers={}", layout.etcd()),
        format!("--advertise-address={}", layout.gateway()),
        format!("--bind-address={}", layout.gateway()),
        "--secure-port=6443".to_owned(),
        format!("--cert-dir={}", layout.path("pki/made-by-api-server").display()),
        format!("--tls-cert-file={}", pki("apiserver.crt")),
        format!("--tls-private-key-file={}", pki("apiserver.key")),
        format!("--client-ca-file={}", pki("ca.crt")),
        format!("--service-account-key-file={}", pki("service-accounts.pub")),
        format!("--service-account-signing-key-file={}", pki("service-accounts.key")),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".to_owned(),
        format!("--service-cluster-ip-range={}", Family::list(layout, |family| family.services().to_owned())),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        "--allow-privileged=true".to_owned(),
        // Webhooks are dialled by endpoint: there is no kube-proxy where the API server runs.
        "--enable-aggregator-routing=true".to_owned(),
        format!("--kubelet-client-certificate={}", pki("admin.crt")),
        format!("--kubelet-client-key={}", pki("admin.key")),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        "--endpoint-reconciler-type=master-count".to_owned(),
    ]
}

fn controller_manager(layout: &Layout) -> Vec<String> {
    let pki = |name: &str| layout.pki(name).display().to_string();
    vec![
        format!("--kubeconfig={}", pki::kubeconfig(layout, CONTROLLER_MANAGER).display()),
        format!("--bind-address={}", layout.loopback()),
        format!("--cert-dir={}", layout.path("pki/made-by-controller-manager").display()),
        format!("--root-ca-file={}", pki("ca.crt")),
        format!("--service-account-private-key-file={}", pki("service-accounts.key")),
        format!("--cluster-signing-cert-file={}", pki("ca.crt")),
        format!("--cluster-signing-key-file={}", pki("ca.key")),
        "--use-service-account-credentials=true".to_owned(),
        "--leader-elect=false".to_owned(),
        format!("--cluster-cidr={}", Family::list(layout, |family| family.pods(layout))),
        "--allocate-node-cidrs=false".to_owned(),
    ]
}

fn scheduler(layout: &Layout) -> Vec<String> {
    vec![
        format!("--kubeconfig={}", pki::kubeconfig(layout, SCHEDULER).display()),
        format!("--bind-address={}", layout.loopback()),
        format!("--cert-dir={}", layout.path("pki/made-by-scheduler").display()),
        "--leader-elect=false".to_owned(),
    ]
}
