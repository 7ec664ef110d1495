//! A client on the first node and nginx on the second, once per way of getting there.
//!
//! All pairs live in one cluster, on the same nodes, under the same kernel: only what is between client and server differs.
//! Used by the stages that need one client and one server: `stage/base`, `stage/memory`.

use anyhow::Result;
use weft_testbed::{Cluster, Pod, Process};

use crate::config::Config;
use crate::envoy;
use crate::nginx::{self, HTTP_PORT, TCP_PORT};
use crate::site::{MESH, Site};
use crate::system::{Kind, System};

/// iperf3, declared as TCP.
pub const BULK_PORT: u16 = 5201;

/// The cluster and the ways through it.
pub struct World {
    /// Everything measured, in the order of the table.
    pub systems: Vec<System>,
    // Dropped before the cluster that they run in.
    _processes: Vec<Process>,
    /// Where all this is.
    pub site: Site,
}

/// A client and a server, un-enrolled or enrolled.
struct Pair {
    client: Pod,
    server: Pod,
    iperf: Process,
}

impl World {
    /// Starts everything that `config` compares, and waits until every way is what it is said to be.
    ///
    /// # Errors
    /// What did not start, or which way is not as it should be and what is different.
    pub fn build(config: &Config) -> Result<Self> {
        let site = Site::new("bench", config.access_log)?;
        let cluster = &site.cluster;
        let plain = pair(cluster, "plain")?;
        let mesh = pair(cluster, MESH)?;
        cluster.start_agents()?;
        let agents = site.agents()?;
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
            let sidecars = pair(cluster, envoy::NAMESPACE)?;
            let envoys = envoy::Envoys::new(binary, cluster, config.access_log)?;
            let (ways, started) = envoys.pair(&sidecars.client, &sidecars.server)?;
            systems.extend(ways);
            processes.extend(started);
            processes.push(sidecars.iperf);
        }
        let world = Self { systems, _processes: processes, site };
        for system in &world.systems {
            world.site.prove(&system.kind.to_string(), || system.prove())?;
        }
        Ok(world)
    }
}

fn pair(cluster: &Cluster, namespace: &str) -> Result<Pair> {
    cluster
        .service("web")
        .namespace(namespace)
        .port(HTTP_PORT, HTTP_PORT)
        .named_port("tcp-web", TCP_PORT, TCP_PORT)
        .named_port("tcp-bulk", BULK_PORT, BULK_PORT)
        .apply()?;
    let nginx = nginx::program(cluster, namespace, None)?;
    let server =
        cluster.workload("web").namespace(namespace).service_account("web").node("b").program(nginx).start()?;
    let client = cluster.workload("client").namespace(namespace).service_account("client").node("a").start()?;
    let iperf = server.spawn("iperf3", &["--server", "--port", &BULK_PORT.to_string()])?;
    Ok(Pair { client, server, iperf })
}
