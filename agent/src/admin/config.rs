//! `/config?pod=`: what one pod's traffic is decided by, in the four views that Envoy's users know.
//!
//! Listeners are what is captured and how it is taken in, routes say where hosts lead, clusters what a destination is and
//! how the wire to it is secured, endpoints the addresses behind it. Everything as clients in the pod's namespace see it.

mod outbound;

use std::{collections::BTreeMap, net::SocketAddr};

use serde::{Deserialize, Serialize};
use weft_model::{
    decision::{InboundPolicy, inbound_protocol},
    service::AppProtocol,
    snapshot::Snapshot,
    workload::{POD_STATS_PORT, Workload},
};

pub(super) use outbound::{entries, load_balancer, tls};

use super::explain::words;

/// What a pod's traffic is decided by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodConfig {
    /// `namespace/pod`.
    pub pod: String,
    /// Its node.
    pub node: String,
    /// Version of the snapshot that this is from.
    pub snapshot_version: u64,
    /// What is captured, and how it is taken in.
    pub listeners: Vec<Listener>,
    /// Where hosts lead.
    pub routes: Vec<Route>,
    /// What destinations are.
    pub clusters: Vec<Cluster>,
    /// The addresses behind them.
    pub endpoints: Vec<Endpoint>,
}

/// What is captured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// `inbound` or `outbound`.
    pub direction: String,
    /// Port or ports.
    pub port: String,
    /// What it is taken for.
    pub protocol: String,
    /// Mode that PeerAuthentications give the port; empty for outbound ones.
    pub mtls: String,
    /// Whose it is, or why it is not captured.
    pub what: String,
}

/// Where a host leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The host.
    pub host: String,
    /// What has to match.
    pub matches: String,
    /// Where it leads, with shares.
    pub to: String,
    /// The VirtualService entry; empty for the Service's own endpoints.
    pub from: String,
}

/// What a destination is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// The host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Subset of its DestinationRule; empty for all of it.
    pub subset: String,
    /// What the port is declared to speak.
    pub protocol: String,
    /// How the wire is secured: `auto`, or as the DestinationRule says.
    pub tls: String,
    /// How endpoints take turns.
    pub load_balancer: String,
    /// The DestinationRule that says so; empty where none does.
    pub destination_rule: String,
    /// Ready endpoints.
    pub ready: usize,
    /// All endpoints.
    pub endpoints: usize,
}

/// An address behind a destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Host and port of the destination.
    pub cluster: String,
    /// Subsets that it belongs to.
    pub subsets: Vec<String>,
    /// Where it is dialled.
    pub address: SocketAddr,
    /// `namespace/pod`; empty when it is no pod.
    pub pod: String,
    /// The pod's node.
    pub node: String,
    /// Is it chosen at all?
    pub ready: bool,
    /// Does the other end speak mesh mTLS?
    pub in_mesh: bool,
}

/// The configuration of a pod.
pub(super) fn of(snapshot: &Snapshot, pod: &Workload) -> PodConfig {
    let namespace = &*pod.pod.namespace;
    let (clusters, endpoints) = outbound::destinations(snapshot, namespace);
    PodConfig {
        pod: pod.pod.to_string(),
        node: pod.node.to_string(),
        snapshot_version: snapshot.version,
        listeners: listeners(snapshot, pod),
        routes: outbound::routes(snapshot, namespace),
        clusters,
        endpoints,
    }
}

fn listeners(snapshot: &Snapshot, pod: &Workload) -> Vec<Listener> {
    let policy = InboundPolicy::for_workload(snapshot, pod);
    let listener = |direction: &str, port: String, protocol: &str, mtls: &str, what: String| Listener {
        direction: direction.to_owned(),
        port,
        protocol: protocol.to_owned(),
        mtls: mtls.to_owned(),
        what,
    };
    if !pod.is_enrolled() {
        return vec![listener(
            "none",
            "*".to_owned(),
            "",
            "",
            "the pod is not enrolled: nothing is captured".to_owned(),
        )];
    }
    let mut all: Vec<Listener> = ports_of(snapshot, pod)
        .into_iter()
        .map(|(port, services)| {
            let protocol = words::protocol(inbound_protocol(snapshot, pod, port));
            let mode = words::mode(policy.mtls_mode(port));
            listener("inbound", port.to_string(), &protocol, mode, format!("Service {}", services.join(", ")))
        })
        .collect();
    let rest = words::protocol(AppProtocol::Undeclared);
    // No Service leads to port 0, and no policy can name it: it stands for all that nobody names.
    let otherwise = words::mode(policy.mtls_mode(0));
    all.push(listener("inbound", "*".to_owned(), &rest, otherwise, "every other port".to_owned()));
    let excluded = pod.capture.exclude_inbound_ports.iter().copied().chain([POD_STATS_PORT]);
    all.extend(excluded.map(|port| listener("inbound", port.to_string(), "", "", "not captured".to_owned())));
    all.push(listener(
        "outbound",
        "*".to_owned(),
        "as the destination declares",
        "",
        "every TCP destination".to_owned(),
    ));
    let ports = pod.capture.exclude_outbound_ports.iter();
    all.extend(ports.map(|port| listener("outbound", port.to_string(), "", "", "not captured".to_owned())));
    let nets = pod.capture.exclude_outbound_nets.iter();
    all.extend(nets.map(|net| listener("outbound", "*".to_owned(), "", "", format!("to {net}: not captured"))));
    let only = pod.capture.include_outbound_nets.iter();
    all.extend(
        only.map(|net| listener("outbound", "*".to_owned(), "", "", format!("to {net}: nothing else is captured"))),
    );
    all
}

/// Ports of the pod that Services lead to, with those Services.
pub(super) fn ports_of(snapshot: &Snapshot, pod: &Workload) -> Vec<(u16, Vec<String>)> {
    let mut ports: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    for service in snapshot.services.values() {
        let own = service.endpoints.iter().filter(|one| one.workload.as_ref().is_some_and(|one| one.pod == pod.pod));
        for endpoint in own {
            for port in endpoint.ports.values() {
                let services = ports.entry(*port).or_default();
                let name = service.name.to_string();
                if !services.contains(&name) {
                    services.push(name);
                }
            }
        }
    }
    ports.into_iter().collect()
}

#[cfg(test)]
mod tests;
