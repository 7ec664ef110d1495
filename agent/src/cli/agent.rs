//! Arguments of `weft agent`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use super::{ApiServerArgs, StateDir, cni::CniArgs};
use crate::{
    app::{self, CaSource},
    identity::MAX_TTL,
};

/// Root of the agents' pins, where bpf file systems are mounted by convention.
pub(super) const BPF_ROOT: &str = "/sys/fs/bpf/weft";

/// Threads that an agent may have: the kernel's map of listeners has room for no more.
const WORKERS_MAX: u16 = 256;

/// The control plane's certificate service, by its name in the cluster.
const CA_ADDRESS: &str = "https://istiod.istio-system.svc:15012";

/// The longest life of a certificate, seconds ([`MAX_TTL`]).
const MAX_TTL_SECONDS: u32 = 24 * 60 * 60;
const _: () = assert!(MAX_TTL.as_secs() == MAX_TTL_SECONDS as u64);

/// Arguments of `weft agent`.
#[derive(Debug, Args)]
pub struct AgentArgs {
    /// Name of this node
    #[arg(long, value_name = "NAME", env = "WEFT_NODE", value_parser = node_name)]
    pub node: String,
    /// Directory of Kubernetes manifests to follow, instead of an API server
    #[arg(long, value_name = "DIR", env = "WEFT_MANIFESTS", conflicts_with_all = ["kubeconfig", "context"])]
    pub manifests: Option<PathBuf>,
    /// The API server to follow.
    #[command(flatten)]
    pub api_server: ApiServerArgs,
    /// Where the agent's socket is made.
    #[command(flatten)]
    pub state: StateDir,
    /// Folder for pins on a bpf file system [default: /sys/fs/bpf/weft/<node>]
    #[arg(long, value_name = "DIR", env = "WEFT_BPF_DIR")]
    pub bpf_dir: Option<PathBuf>,
    /// Worker threads [default: one per CPU]
    #[arg(long, value_name = "N", env = "WEFT_WORKERS", value_parser = clap::value_parser!(u16).range(1..=i64::from(WORKERS_MAX)))]
    pub workers: Option<u16>,
    /// TCP address for readiness, metrics and the other pages, which the socket has in any case
    #[arg(long, value_name = "IP:PORT", env = "WEFT_HTTP_ADDR")]
    pub http_addr: Option<SocketAddr>,
    /// Where the access log goes besides `weft logs`
    #[arg(long, value_enum, env = "WEFT_ACCESS_LOG", default_value_t = AccessLog::Stdout)]
    pub access_log: AccessLog,
    /// Who signs certificates: weft control, or whatever speaks Istio's protocol [default: a certificate authority in
    /// the state folder with --manifests, else https://istiod.istio-system.svc:15012]
    #[arg(long, value_name = "URL", env = "WEFT_CA_ADDRESS")]
    pub ca_address: Option<String>,
    /// File with the roots that the mesh's control plane publishes
    #[arg(long, value_name = "FILE", env = "WEFT_CA_ROOT", default_value = "/var/run/secrets/istio/root-cert.pem")]
    pub ca_root: PathBuf,
    /// File with the token that proves to the certificate authority who asks
    #[arg(long, value_name = "FILE", env = "WEFT_CA_TOKEN", default_value = "/var/run/secrets/tokens/istio-token")]
    pub ca_token: PathBuf,
    /// Sign certificates with a certificate authority in the state folder, also without --manifests
    #[arg(long, env = "WEFT_LOCAL_CA", conflicts_with = "ca_address")]
    pub local_ca: bool,
    /// How long certificates live; a day at most
    #[arg(long, value_name = "SECONDS", env = "WEFT_CERTIFICATE_TTL", default_value_t = MAX_TTL_SECONDS, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_TTL_SECONDS)))]
    pub certificate_ttl: u32,
    /// How long open connections may take to end when the agent does
    #[arg(long, value_name = "SECONDS", env = "WEFT_DRAIN_SECONDS", default_value_t = 5)]
    pub drain_seconds: u32,
    /// The CNI plugin.
    #[command(flatten)]
    pub cni: CniArgs,
    /// What to do with enrolled pods when this machine cannot capture [default: with --manifests, end; else refuse]
    #[arg(long, value_enum, value_name = "WHAT", env = "WEFT_WHEN_UNSUPPORTED")]
    pub when_unsupported: Option<WhenUnsupported>,
    /// Keep pods captured at the end: new connections wait for the next agent, and are refused after --hold-seconds
    #[arg(long, env = "WEFT_KEEP_CAPTURE")]
    pub keep_capture: bool,
    /// Take the node over from an agent that is running, which then serves the connections that it has [default: with
    /// --manifests, no]
    #[arg(long, env = "WEFT_TAKEOVER")]
    pub takeover: bool,
    /// How long new connections may wait for the next agent when this one dies; 0 refuses them at once
    #[arg(long, value_name = "SECONDS", env = "WEFT_HOLD_SECONDS", default_value_t = 30)]
    pub hold_seconds: u32,
    /// Names of the process that is the kubelet (k3s-server, kubelite, ...): its probes reach applications under any
    /// policy
    #[arg(long, value_name = "NAME,...", env = "WEFT_KUBELET_NAME", value_delimiter = ',', default_value = "kubelet")]
    pub kubelet_name: Vec<String>,
}

/// Where the access log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AccessLog {
    /// Standard output, all pods.
    Stdout,
    /// Nowhere.
    None,
}

/// What to do with enrolled pods on a machine that cannot capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WhenUnsupported {
    /// They may not start.
    Refuse,
    /// They start outside of the mesh.
    Skip,
}

impl AgentArgs {
    /// What `app` takes.
    pub fn config(self) -> app::Config {
        let cpus = || std::thread::available_parallelism().map_or(1, usize::from);
        let has_manifests = self.manifests.is_some();
        let ca = self.ca(has_manifests);
        // With a directory of manifests nobody but the caller starts pods.
        let is_cluster = !has_manifests;
        let when_unsupported = match self.when_unsupported {
            Some(WhenUnsupported::Skip) => app::WhenUnsupported::Skip,
            Some(WhenUnsupported::Refuse) => app::WhenUnsupported::Refuse,
            None if is_cluster => app::WhenUnsupported::Refuse,
            None => app::WhenUnsupported::End,
        };
        let bpf_dir = self.bpf_dir.unwrap_or_else(|| bpf_dir(&self.node));
        app::Config {
            node: self.node.into(),
            world: match self.manifests {
                Some(directory) => app::WorldSource::Directory(directory),
                None => app::WorldSource::ApiServer(self.api_server.into()),
            },
            state_dir: self.state.state_dir,
            ca,
            certificate_ttl: Duration::from_secs(self.certificate_ttl.into()),
            bpf_dir,
            workers: self.workers.map_or_else(cpus, usize::from).clamp(1, usize::from(WORKERS_MAX)),
            http_addr: self.http_addr,
            access_log_stdout: self.access_log == AccessLog::Stdout,
            drain: Duration::from_secs(self.drain_seconds.into()),
            keep_capture: self.keep_capture,
            cni: self.cni.config(is_cluster),
            when_unsupported,
            takeover: self.takeover || is_cluster,
            hold: Duration::from_secs(self.hold_seconds.into()),
            kubelet_names: self.kubelet_name,
        }
    }

    /// Who signs. A directory of manifests is a mesh without a control plane, unless one is named.
    fn ca(&self, has_manifests: bool) -> CaSource {
        let address = match &self.ca_address {
            Some(address) => address.clone(),
            None if self.local_ca || has_manifests => return CaSource::Local,
            None => CA_ADDRESS.to_owned(),
        };
        CaSource::Remote { address, root: self.ca_root.clone(), token: self.ca_token.clone() }
    }
}

/// Default folder of a node's pins.
pub(super) fn bpf_dir(node: &str) -> PathBuf {
    PathBuf::from(BPF_ROOT).join(node)
}

/// A node's name is also a file's: letters, digits, `-` and `.`, as Kubernetes has it (RFC 1123).
pub(super) fn node_name(text: &str) -> Result<String, String> {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    if text.is_empty() || !text.bytes().all(is_fine) || text.starts_with('.') {
        return Err("a node's name consists of letters, digits, '-' and '.'".to_owned());
    }
    Ok(text.to_owned())
}
