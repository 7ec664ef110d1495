//! Eight clients on the first node and eight servers on the second, for each way of getting there.
//!
//! What a mesh shares between requests (connections, sessions, batches) it shares between one pair of pods, so the number of
//! pairs decides how much there is to share.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use weft_testbed::{Cluster, Pod, Process};

use crate::config::Config;
use crate::envoy;
use crate::nginx::{self, HTTP_PORT, SERVER_HEADER};
use crate::site::{MESH, Site};
use crate::stage::Measured;
use crate::system::{Kind, System};

/// Clients, and servers.
pub const WIDTH: usize = 8;
/// Requests of one client by which it is proved that it reaches all servers; proxies with two workers have two turns to keep.
const PROOF_REQUESTS: usize = WIDTH * 8;

/// The cluster and the ways through it.
pub struct Fan {
    /// Everything measured, in the order of the table.
    pub systems: Vec<FanSystem>,
    // Dropped before the cluster that they run in.
    _processes: Vec<Process>,
    /// Where all this is.
    pub site: Site,
}

/// One way, for all clients.
pub struct FanSystem {
    /// Which.
    pub kind: Kind,
    /// Each client with the URL of the server that is its own.
    pub own: Vec<(Pod, String)>,
    /// Each client with the URL behind which all servers are.
    pub all: Vec<(Pod, String)>,
    servers: Vec<Pod>,
    wire_port: u16,
    proxies: Vec<u32>,
}

impl Measured for FanSystem {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn proxies(&self) -> &[u32] {
        &self.proxies
    }
}

impl Fan {
    /// Starts all pods and proxies, and waits until every way is what it is said to be.
    ///
    /// # Errors
    /// What did not start, or which way is not as it should be and what is different.
    pub fn build(config: &Config) -> Result<Self> {
        let site = Site::new("fan", config.access_log)?;
        let cluster = &site.cluster;
        let plain = pods(cluster, "plain")?;
        let mesh = pods(cluster, MESH)?;
        cluster.start_agents()?;
        let mut systems = vec![
            through_services(Kind::Direct, plain, Vec::new()),
            through_services(Kind::WeftHttp, mesh, site.agents()?),
        ];
        let mut processes = Vec::new();
        if let Some(binary) = &config.envoy {
            let (clients, servers) = pods(cluster, envoy::NAMESPACE)?;
            processes = envoy::Envoys::new(binary, cluster, config.access_log)?.fan(&clients, &servers)?;
            let [own, all] = envoy::FAN_PORTS
                .map(|port| clients.iter().map(|client| (client.clone(), envoy::url(port))).collect::<Vec<_>>());
            let proxies = processes.iter().map(Process::pid).collect();
            let wire_port = envoy::FAN_WIRE_PORT;
            systems.push(FanSystem { kind: Kind::EnvoyHttp, own, all, servers, wire_port, proxies });
        }
        let fan = Self { systems, _processes: processes, site };
        fan.systems.iter().try_for_each(|system| system.prove(&fan.site))?;
        Ok(fan)
    }
}

impl FanSystem {
    /// Each client reaches its own server as the way says, and all of them by the other name.
    fn prove(&self, site: &Site) -> Result<()> {
        for (at, (client, url)) in self.own.iter().enumerate() {
            let way = System {
                kind: self.kind,
                client: client.clone(),
                server: self.servers[at].clone(),
                url: url.clone(),
                bulk: None,
                wire_port: self.wire_port,
                proxies: Vec::new(),
            };
            site.prove(&format!("{} from client {at}", self.kind), || way.prove())?;
        }
        for (client, url) in &self.all {
            site.prove(&format!("{} to all servers", self.kind), || {
                let mut seen = BTreeSet::new();
                for _ in 0..PROOF_REQUESTS {
                    let answer = client.get(url)?;
                    seen.insert(answer.header(SERVER_HEADER).context("the answer names no server")?.to_owned());
                }
                ensure!(seen.len() == WIDTH, "client {} reaches only servers {seen:?}", client.name());
                Ok(())
            })?;
        }
        Ok(())
    }
}

fn through_services(kind: Kind, (clients, servers): (Vec<Pod>, Vec<Pod>), proxies: Vec<u32>) -> FanSystem {
    let own = |(at, client): (usize, &Pod)| (client.clone(), format!("http://web-{at}:{HTTP_PORT}/"));
    FanSystem {
        kind,
        own: clients.iter().enumerate().map(own).collect(),
        all: clients.iter().map(|client| (client.clone(), format!("http://web:{HTTP_PORT}/"))).collect(),
        servers,
        wire_port: HTTP_PORT,
        proxies,
    }
}

/// Starts the clients and servers of a namespace: Service `web-N` is server N, Service `web` all of them.
fn pods(cluster: &Cluster, namespace: &str) -> Result<(Vec<Pod>, Vec<Pod>)> {
    let service =
        |name: &str| cluster.service(name).namespace(namespace).port(HTTP_PORT, HTTP_PORT).selector("app", "web");
    service("web").apply()?;
    let (mut clients, mut servers) = (Vec::new(), Vec::new());
    for at in 0..WIDTH {
        let (name, number) = (format!("web-{at}"), at.to_string());
        service(&name).selector("server", &number).apply()?;
        let program = nginx::program(cluster, &format!("{namespace}-{at}"), Some(&number))?;
        let workload = |name: &str, node| cluster.workload(name).namespace(namespace).node(node);
        let server = workload(&name, "b").service_account("web").label("app", "web").label("server", &number);
        servers.push(server.program(program).start()?);
        clients.push(workload(&format!("client-{at}"), "a").service_account("client").start()?);
    }
    Ok((clients, servers))
}
