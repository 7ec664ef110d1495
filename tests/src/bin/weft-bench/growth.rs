//! A small mesh whose agents know of many pods and Services that are none of their nodes' business.
//!
//! Each size is a cluster of its own with agents of its own: memory that a large world has touched would not come back for a small
//! one. What the agents read beside the pods that exist is written into their folder of manifests; nothing of it runs.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use weft_testbed::{HttpConnection, Pod};

use crate::config::Config;
use crate::nginx::{self, HTTP_PORT, SERVER_HEADER};
use crate::row::Row;
use crate::site::{MESH, Site};
use crate::stage::Measured;
use crate::system::{Kind, System};

/// Where the pods of the snapshot are said to run.
const ELSEWHERE: &str = "elsewhere";
/// The namespace that they are in.
const NAMESPACE: &str = "grown";
/// Pods of a Service.
const PODS_PER_SERVICE: usize = 10;
/// The Service itself, its pods, their EndpointSlice.
const OBJECTS_PER_SERVICE: usize = PODS_PER_SERVICE + 2;
/// How long a change may take to act.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two requests of the client that waits for a change.
const PAUSE: Duration = Duration::from_micros(500);
/// The two servers between which a VirtualService chooses.
const SERVERS: [&str; 2] = ["one", "two"];

/// A mesh with a snapshot of one size.
pub struct Grown {
    /// The row that asks for this size.
    pub row: Row,
    client: Pod,
    proxies: Vec<u32>,
    /// Where all this is.
    pub site: Site,
}

impl Measured for Grown {
    fn kind(&self) -> Kind {
        Kind::WeftHttp
    }

    fn proxies(&self) -> &[u32] {
        &self.proxies
    }
}

impl Grown {
    /// Writes the snapshot, starts the agents, and waits until they know all of it and serve.
    ///
    /// # Errors
    /// What did not start or is not as it should be.
    pub fn build(config: &Config, row: Row) -> Result<Self> {
        let services = match row {
            Row::Snapshot10 => 1,
            Row::Snapshot100 => 10,
            Row::Snapshot1000 => 100,
            _ => 1000,
        };
        let site = Site::new(row.name(), config.access_log)?;
        let cluster = &site.cluster;
        let service = |name: &str| cluster.service(name).namespace(MESH).port(HTTP_PORT, HTTP_PORT);
        service("web").selector("app", SERVERS[0]).apply()?;
        let mut servers = Vec::new();
        for name in SERVERS {
            service(name).apply()?;
            let program = nginx::program(cluster, name, Some(name))?;
            servers.push(cluster.workload(name).namespace(MESH).node("b").program(program).start()?);
        }
        let client = cluster.workload("client").namespace(MESH).node("a").start()?;
        let folder = cluster.dir().join("manifests");
        write(
            &folder,
            "namespace",
            &[json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": NAMESPACE, "labels": {"istio-injection": "enabled"}}})],
        )?;
        for number in 0..services {
            write(&folder, &format!("service-{number}"), &service_with_pods(number)?)?;
        }
        cluster.start_agents()?;
        let proxies = site.agents()?;
        let grown = Self { row, client, proxies, site };
        grown.route(SERVERS[0])?;
        grown.prove(&servers[0], services * OBJECTS_PER_SERVICE)?;
        Ok(grown)
    }

    /// The agents have at least so many objects, and requests pass as meshed ones do.
    fn prove(&self, server: &Pod, objects: usize) -> Result<()> {
        self.site.prove(self.row.name(), || {
            for node in ["a", "b"] {
                let status: Value = serde_json::from_str(&self.site.cluster.agent(node)?.admin("/status")?.text())?;
                let known = status.pointer("/snapshot/objects").and_then(Value::as_u64).unwrap_or_default();
                ensure!(known > objects as u64, "the agent of node {node} knows {known} objects, not {objects}");
            }
            let way = System {
                kind: Kind::WeftHttp,
                client: self.client.clone(),
                server: server.clone(),
                url: self.url(),
                bulk: None,
                wire_port: HTTP_PORT,
                proxies: Vec::new(),
            };
            way.prove()
        })
    }

    /// What the client asks.
    pub fn url(&self) -> String {
        format!("http://web:{HTTP_PORT}/")
    }

    /// Where load comes from.
    pub fn client(&self) -> &Pod {
        &self.client
    }

    /// Has requests answered by the other server, and says how many seconds passed until the client saw it.
    ///
    /// # Errors
    /// When it never does.
    pub fn time_to_change(&self) -> Result<f64> {
        let mut connection = self.client.connection(&self.url())?;
        let before = answers(&mut connection, &self.url())?;
        let other = SERVERS.into_iter().find(|server| *server != before).context("there is one server only")?;
        let started = Instant::now();
        self.route(other)?;
        while started.elapsed() < PATIENCE {
            if answers(&mut connection, &self.url())? == other {
                return Ok(started.elapsed().as_secs_f64());
            }
            std::thread::sleep(PAUSE);
        }
        bail!("server {other} does not answer {PATIENCE:?} after the VirtualService was changed")
    }

    fn route(&self, server: &str) -> Result<()> {
        let folder = self.site.cluster.dir().join("manifests");
        let route = json!([{"route": [{"destination": {"host": server}}]}]);
        let object = json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
            "metadata": {"name": "web", "namespace": MESH}, "spec": {"hosts": ["web"], "http": route}});
        write(&folder, "route", &[object])
    }
}

fn answers(connection: &mut HttpConnection, url: &str) -> Result<String> {
    let answer = connection.get(url)?;
    ensure!(answer.status == 200, "{url} answers {}", answer.status);
    Ok(answer.header(SERVER_HEADER).context("the answer names no server")?.to_owned())
}

/// Writes a file of manifests so that nobody reads half of it.
fn write(folder: &Path, name: &str, objects: &[Value]) -> Result<()> {
    let text: Vec<String> = objects.iter().map(Value::to_string).collect();
    let (draft, file) = (folder.with_file_name("grown.draft"), folder.join(format!("grown.{name}.yaml")));
    // JSON is YAML.
    fs::write(&draft, text.join("\n---\n")).with_context(|| format!("writing {}", draft.display()))?;
    fs::rename(&draft, &file).with_context(|| format!("writing {}", file.display()))
}

/// A Service, its pods and its EndpointSlice, as an API server shows them, in the size of small real ones.
fn service_with_pods(number: usize) -> Result<Vec<Value>> {
    let name = format!("service-{number}");
    let [high, low] = u16::try_from(number)?.to_be_bytes();
    let address = Ipv4Addr::new(10, 97, high, low).to_string();
    let mut objects = vec![json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": name}},
        "spec": {"type": "ClusterIP", "clusterIP": address, "clusterIPs": [address], "ipFamilies": ["IPv4"],
            "selector": {"app": name},
            "ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]}})];
    let mut endpoints = Vec::new();
    for pod in 0..PODS_PER_SERVICE {
        let [high, low] = u16::try_from(number * PODS_PER_SERVICE + pod)?.to_be_bytes();
        let (pod, address) = (format!("{name}-7d9c5b8f6d-{pod:05}"), Ipv4Addr::new(10, 250, high, low).to_string());
        endpoints
            .push(json!({"addresses": [address], "conditions": {"ready": true, "serving": true, "terminating": false},
            "nodeName": ELSEWHERE, "targetRef": {"kind": "Pod", "name": pod, "namespace": NAMESPACE}}));
        objects.push(json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": pod, "namespace": NAMESPACE,
                "labels": {"app": name, "version": "v1", "pod-template-hash": "7d9c5b8f6d"}},
            "spec": {"nodeName": ELSEWHERE, "serviceAccountName": name,
                "containers": [{"name": name, "image": format!("registry.example/{name}:v1"),
                    "ports": [{"containerPort": 8080}]}]},
            "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}],
                "conditions": [{"type": "Ready", "status": "True"}]}}));
    }
    objects.push(json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": format!("{name}-x7k2p"), "namespace": NAMESPACE,
            "labels": {"kubernetes.io/service-name": name}},
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}], "endpoints": endpoints}));
    Ok(objects)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn addresses_and_names_of_the_largest_snapshot_are_unique() {
        let objects: Vec<Value> = (0..1000).flat_map(|number| service_with_pods(number).unwrap()).collect();
        let of = |pointer: &str| -> BTreeSet<String> {
            objects.iter().filter_map(|object| Some(object.pointer(pointer)?.as_str()?.to_owned())).collect()
        };
        assert_eq!(objects.len(), 1000 * OBJECTS_PER_SERVICE);
        assert_eq!(of("/metadata/name").len(), 1000 * OBJECTS_PER_SERVICE);
        assert_eq!(of("/status/podIP").len(), 10_000);
        assert_eq!(of("/spec/clusterIP").len(), 1000);
    }
}
