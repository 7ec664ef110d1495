//! Two emulated nodes with a client on the first and nginx on the second, once per way of getting there.
//!
//! All pairs live in one cluster, on the same nodes, under the same kernel: only what is between client and server differs.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::json;
use weft_testbed::{Cluster, Pod, Process, Program};

use crate::config::Config;
use crate::envoy;
use crate::system::{BODY_BYTES, BODY_WORD, Kind, System};

/// nginx and iperf3 in each server's pod. The mesh is told that the first speaks HTTP; the other two are opaque.
pub const HTTP_PORT: u16 = 80;
/// The same nginx, declared as TCP.
pub const TCP_PORT: u16 = 81;
/// iperf3, declared as TCP.
pub const BULK_PORT: u16 = 5201;

/// How long everything may take to be as it should.
const PATIENCE: Duration = Duration::from_secs(30);
/// Lines of each log that belong to a failed load.
const ODD_ANSWERS_SHOWN: usize = 3;
/// Between looks.
const PAUSE: Duration = Duration::from_millis(100);

/// The cluster and the ways through it.
pub struct World {
    /// Everything measured, in the order of the table.
    pub systems: Vec<System>,
    // Dropped before the cluster that they run in.
    _processes: Vec<Process>,
    /// The cluster.
    pub cluster: Cluster,
}

/// A client and a server, un-enrolled or enrolled.
struct Pair {
    client: Pod,
    server: Pod,
    iperf: Process,
}

impl World {
    /// Starts everything that `config` compares.
    ///
    /// # Errors
    /// What did not start.
    pub fn build(config: &Config) -> Result<Self> {
        let cluster = Cluster::new("bench")?.node("a")?.node("b")?;
        mesh_config(&cluster, config.access_log)?;
        cluster.namespace("mesh", &[("istio-injection", "enabled")])?;
        let plain = pair(&cluster, "plain")?;
        let mesh = pair(&cluster, "mesh")?;
        cluster.start_agents()?;
        let agents = ["a", "b"].map(|node| cluster.agent(node).and_then(|agent| agent.pid()));
        let agents: Vec<u32> = agents.into_iter().collect::<Result<_>>()?;
        let through_service = |kind, pair: &Pair, port, bulk: bool, proxies: &[u32]| System {
            kind,
            client: pair.client.clone(),
            server: pair.server.clone(),
            url: format!("http://web:{port}/"),
            bulk: bulk.then(|| ("web".to_owned(), BULK_PORT)),
            wire_port: port,
            proxies: proxies.to_vec(),
        };
        let mut systems = vec![
            through_service(Kind::Direct, &plain, HTTP_PORT, true, &[]),
            through_service(Kind::WeftHttp, &mesh, HTTP_PORT, false, &agents),
            through_service(Kind::WeftTcp, &mesh, TCP_PORT, true, &agents),
        ];
        let mut processes = vec![plain.iperf, mesh.iperf];
        if let Some(binary) = &config.envoy {
            let sidecars = pair(&cluster, "sidecar")?;
            let peer = envoy::Peer { binary, cluster: &cluster, client: &sidecars.client, server: &sidecars.server };
            let (envoys, started) = peer.start(config.access_log)?;
            systems.extend(envoys);
            processes.extend(started);
            processes.push(sidecars.iperf);
        }
        Ok(Self { systems, _processes: processes, cluster })
    }

    /// Waits until every way is what it is said to be.
    ///
    /// # Errors
    /// Which one is not, and what is different.
    pub fn prove(&self) -> Result<()> {
        self.systems.iter().try_for_each(|system| {
            patiently(|| system.prove()).with_context(|| {
                format!("{} is not as it should be; the logs:\n{}", system.kind, self.cluster.snapshot_of_logs())
            })
        })
    }

    /// What the proxies' access logs say of the first requests that were not answered with 200, for messages.
    pub fn odd_answers(&self) -> Result<String> {
        let dir = self.cluster.dir().join("logs");
        let mut odd = String::new();
        for entry in fs::read_dir(&dir).with_context(|| format!("reading {}", dir.display()))? {
            let log = fs::read(entry?.path())?;
            let log = String::from_utf8_lossy(&log);
            let requests =
                log.lines().filter(|line| line.contains(" HTTP/1.1\" ") && !line.contains(" HTTP/1.1\" 200 "));
            requests.take(ODD_ANSWERS_SHOWN).for_each(|line| odd = format!("{odd}\n        {line}"));
        }
        Ok(odd)
    }

    /// Empties the logs of agents and proxies: an access log of a load would fill the disk.
    pub fn empty_logs(&self) -> Result<()> {
        let dir = self.cluster.dir().join("logs");
        for entry in fs::read_dir(&dir).with_context(|| format!("reading {}", dir.display()))? {
            // Whoever writes there appends, so the next line begins the file anew.
            fs::File::options().write(true).truncate(true).open(entry?.path())?;
        }
        Ok(())
    }
}

/// Repeats `check` until it succeeds.
///
/// # Errors
/// Its last one, when it does not.
pub fn patiently(mut check: impl FnMut() -> Result<()>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match check() {
            Err(_) if Instant::now() < deadline => std::thread::sleep(PAUSE),
            result => return result,
        }
    }
}

/// Says to the mesh whether it logs; the rest is as weft ships.
fn mesh_config(cluster: &Cluster, access_log: bool) -> Result<()> {
    let file = if access_log { "/dev/stdout" } else { "" };
    cluster.apply_objects(vec![json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "istio", "namespace": "istio-system"},
        "data": {"mesh": format!("accessLogFile: {file:?}\n")}})])
}

fn pair(cluster: &Cluster, namespace: &str) -> Result<Pair> {
    cluster
        .service("web")
        .namespace(namespace)
        .port(HTTP_PORT, HTTP_PORT)
        .named_port("tcp-web", TCP_PORT, TCP_PORT)
        .named_port("tcp-bulk", BULK_PORT, BULK_PORT)
        .apply()?;
    let config = nginx_config(cluster, namespace)?;
    let line = ["nginx", "-e", "stderr", "-c", &config.display().to_string()].map(str::to_owned).to_vec();
    let nginx = Program::Command { line, port: Some(HTTP_PORT) };
    let server =
        cluster.workload("web").namespace(namespace).service_account("web").node("b").program(nginx).start()?;
    let client = cluster.workload("client").namespace(namespace).service_account("client").node("a").start()?;
    let iperf = server.spawn("iperf3", &["--server", "--port", &BULK_PORT.to_string()])?;
    Ok(Pair { client, server, iperf })
}

/// One worker with nginx's defaults, except that it keeps connections for as long as the load likes and logs nothing. The body is
/// a file: an answer from the configuration itself would cost half as much, and no real server is that cheap.
fn nginx_config(cluster: &Cluster, namespace: &str) -> Result<PathBuf> {
    let dir = cluster.dir().join(format!("nginx-{namespace}"));
    fs::create_dir_all(dir.join("html")).with_context(|| format!("making {}", dir.display()))?;
    let body = BODY_WORD.repeat(BODY_BYTES / BODY_WORD.len());
    fs::write(dir.join("html/index.html"), body).with_context(|| format!("writing into {}", dir.display()))?;
    let place = dir.display();
    let temp =
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {place}/{kind};"));
    let text = format!(
        "user root; daemon off; master_process off; error_log stderr; pid {place}/pid; worker_rlimit_nofile 65536;\n\
         events {{ worker_connections 16384; }}\n\
         http {{ access_log off; {} keepalive_requests 1000000000; server_tokens off; default_type text/plain;\n\
         server {{ listen {HTTP_PORT}; listen {TCP_PORT}; root {place}/html; }} }}\n",
        temp.join(" ")
    );
    let path = dir.join("nginx.conf");
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}
