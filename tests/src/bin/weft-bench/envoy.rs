//! The peer: Envoys as sidecars would be, one beside each client and one beside each server, mTLS between them.
//!
//! Not captured: clients dial the near Envoy's listener on 127.0.0.1, and its endpoints are fixed. That leaves out what iptables, a
//! discovery client and Istio's own filters cost, in Envoy's favour.

mod config;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;
use weft_testbed::{Cluster, Place, Pod, Process};

use self::config::Sides;
use crate::nginx::{HTTP_PORT, TCP_PORT};
use crate::system::{Kind, System};
use crate::world::BULK_PORT;

/// The namespace of pods with sidecars.
pub const NAMESPACE: &str = "sidecar";
/// Istio's default for a sidecar (`proxyConfig.concurrency`).
const WORKERS: &str = "2";
/// Ports of the near Envoys' listeners: requests as HTTP, requests as bytes, one stream.
const NEAR_PORTS: [u16; 3] = [15001, 15002, 15003];
/// Ports of the far Envoys' listeners, likewise.
const FAR_PORTS: [u16; 3] = [15006, 15007, 15008];
/// A name for 127.0.0.1 in pods, short and long: oha appends the search domains of a pod to whatever has few dots, addresses
/// too, and asks DNS for what the hosts file does not have; there is none in a pod.
const NEAR_NAMES: [&str; 2] = ["near", "near.sidecar.svc.cluster.local"];

/// Starts Envoys in pods of one cluster.
pub struct Envoys<'a> {
    binary: &'a Path,
    dir: PathBuf,
    sides: Sides,
}

/// Where clients of a fan of pods find their near Envoy: one listener goes to the client's own server, one to all servers in turn.
pub const FAN_PORTS: [u16; 2] = [NEAR_PORTS[0], NEAR_PORTS[1]];
/// Where the far Envoys of a fan are reached.
pub const FAN_WIRE_PORT: u16 = FAR_PORTS[0];

impl<'a> Envoys<'a> {
    /// Makes the certificates and the name by which clients dial.
    pub fn new(binary: &'a Path, cluster: &Cluster, access_log: bool) -> Result<Self> {
        NEAR_NAMES.iter().try_for_each(|name| cluster.outside_name(name, &[Ipv4Addr::LOCALHOST.into()]))?;
        let sides = Sides::new(cluster, access_log)?;
        Ok(Self { binary, dir: cluster.dir().join("envoy"), sides })
    }

    /// Starts a pair that reads HTTP and one that passes bytes; they are ready when [`System::prove`] says so.
    pub fn pair(&self, client: &Pod, server: &Pod) -> Result<(Vec<System>, Vec<Process>)> {
        let far = |at: usize| [(server.ip().to_string(), FAR_PORTS[at])];
        let sides = &self.sides;
        let near_http = [sides.near(true, NEAR_PORTS[0], &far(0))];
        let far_http = [sides.far(true, FAR_PORTS[0], HTTP_PORT)];
        let near_tcp = [sides.near(false, NEAR_PORTS[1], &far(1)), sides.near(false, NEAR_PORTS[2], &far(2))];
        let far_tcp = [sides.far(false, FAR_PORTS[1], TCP_PORT), sides.far(false, FAR_PORTS[2], BULK_PORT)];
        let http = [self.spawn(client, "near-http", &near_http)?, self.spawn(server, "far-http", &far_http)?];
        let tcp = [self.spawn(client, "near-tcp", &near_tcp)?, self.spawn(server, "far-tcp", &far_tcp)?];
        let system = |kind, at: usize, bulk, processes: &[Process; 2]| System {
            kind,
            client: client.clone(),
            server: server.clone(),
            url: url(NEAR_PORTS[at]),
            bulk,
            wire_port: FAR_PORTS[at],
            proxies: processes.iter().map(Process::pid).collect(),
        };
        let systems = vec![
            system(Kind::EnvoyHttp, 0, None, &http),
            system(Kind::EnvoyTcp, 1, Some(("127.0.0.1".to_owned(), NEAR_PORTS[2])), &tcp),
        ];
        Ok((systems, http.into_iter().chain(tcp).collect()))
    }

    /// Starts one beside each of some clients and servers, all for HTTP; see [`FAN_PORTS`].
    pub fn fan(&self, clients: &[Pod], servers: &[Pod]) -> Result<Vec<Process>> {
        let all: Vec<(String, u16)> = servers.iter().map(|server| (server.ip().to_string(), FAN_WIRE_PORT)).collect();
        let mut processes = Vec::new();
        for (at, (client, server)) in clients.iter().zip(servers).enumerate() {
            let near = [self.sides.near(true, FAN_PORTS[0], &all[at..=at]), self.sides.near(true, FAN_PORTS[1], &all)];
            processes.push(self.spawn(client, &format!("near-{at}"), &near)?);
            let far = [self.sides.far(true, FAN_WIRE_PORT, HTTP_PORT)];
            processes.push(self.spawn(server, &format!("far-{at}"), &far)?);
        }
        Ok(processes)
    }

    fn spawn(&self, place: &Place, name: &str, ways: &[config::Way]) -> Result<Process> {
        let path = self.dir.join(format!("{name}.json"));
        let config: Value = config::config(ways);
        std::fs::write(&path, serde_json::to_string_pretty(&config)?)
            .with_context(|| format!("writing {}", path.display()))?;
        let path = path.display().to_string();
        place.spawn(
            &self.binary.display().to_string(),
            &["--config-path", &path, "--concurrency", WORKERS, "--disable-hot-restart", "--log-level", "warning"],
        )
    }
}

/// What a client with a near Envoy asks.
pub fn url(port: u16) -> String {
    format!("http://{}:{port}/", NEAR_NAMES[0])
}
