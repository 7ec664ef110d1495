//! The client's views: routes, clusters and endpoints as clients in one namespace see them.

use std::net::SocketAddr;

use weft_model::{
    route::{ClientTls, DestinationRule, LoadBalancer, Subset, VirtualService, WeightedDestination},
    service::{self, Service, ServicePort},
    snapshot::Snapshot,
    workload::{Workload, selects},
};

use super::{Cluster, Endpoint, Route};
use crate::admin::explain::words;

/// Where every host leads.
pub(super) fn routes(snapshot: &Snapshot, namespace: &str) -> Vec<Route> {
    let mut routes = named_hosts(snapshot, namespace);
    let is_spoken_for = |service: &&Service| snapshot.virtual_service_for(&service.host, namespace).is_some();
    let services = snapshot.services.values().map(|service| &**service);
    routes.extend(services.filter(|service| !is_spoken_for(service)).map(own_endpoints));
    routes.sort_by(|a, b| a.host.cmp(&b.host));
    routes
}

/// What every destination is, and the addresses behind it.
pub(super) fn destinations(snapshot: &Snapshot, namespace: &str) -> (Vec<Cluster>, Vec<Endpoint>) {
    let (mut clusters, mut endpoints) = (Vec::new(), Vec::new());
    for service in snapshot.services.values() {
        let rule = snapshot.destination_rule_for(&service.host, namespace).map(|rule| &**rule);
        for port in &service.ports {
            clusters.push(cluster(service, port, rule, None));
            let subsets = rule.iter().flat_map(|rule| &rule.subsets);
            clusters.extend(subsets.map(|subset| cluster(service, port, rule, Some(subset))));
            endpoints.extend(behind(service, port, rule));
        }
    }
    (clusters, endpoints)
}

/// Hosts that VirtualServices of the mesh speak for.
fn named_hosts(snapshot: &Snapshot, namespace: &str) -> Vec<Route> {
    let mut routes = Vec::new();
    for virtual_service in snapshot.virtual_services.iter().filter(|one| one.applies_to_mesh()) {
        for host in &virtual_service.hosts {
            // The oldest that is visible counts whole, the others not at all.
            let counts = snapshot.virtual_service_for(host, namespace);
            if counts.is_some_and(|counts| counts.name == virtual_service.name) {
                routes.extend(entries(host, virtual_service));
            }
        }
    }
    routes
}

/// The entries of a VirtualService, for one of its hosts.
pub(in crate::admin) fn entries(host: &str, virtual_service: &VirtualService) -> Vec<Route> {
    let route = |kind: &str, index: usize, matches: String, destinations: &[WeightedDestination]| Route {
        host: host.to_owned(),
        matches,
        to: shares(destinations),
        from: format!("VirtualService {} {kind}[{index}]", virtual_service.name),
    };
    let http = virtual_service.http.iter().enumerate();
    let http = http.map(|(index, entry)| route("http", index, words::http_route(entry), &entry.destinations));
    let tcp = virtual_service.tcp.iter().enumerate();
    let tcp = tcp.map(|(index, entry)| route("tcp", index, words::tcp_route(entry), &entry.destinations));
    http.chain(tcp).collect()
}

fn shares(destinations: &[WeightedDestination]) -> String {
    let total: u32 = destinations.iter().filter_map(|one| one.weight).sum();
    let share = |one: &WeightedDestination| {
        let to = words::destination(&one.destination);
        match (destinations.len(), total) {
            (1, _) => to,
            (_, 0) => format!("evenly {to}"),
            (_, total) => format!("{}% {to}", f64::from(one.weight.unwrap_or(0)) * 100.0 / f64::from(total)),
        }
    };
    let all: Vec<String> = destinations.iter().map(share).collect();
    if all.is_empty() { "nothing".to_owned() } else { all.join(", ") }
}

fn own_endpoints(service: &Service) -> Route {
    Route {
        host: service.host.to_string(),
        matches: "everything".to_owned(),
        to: "its endpoints".to_owned(),
        from: String::new(),
    }
}

fn cluster(service: &Service, port: &ServicePort, rule: Option<&DestinationRule>, subset: Option<&Subset>) -> Cluster {
    let policy = rule.map(|rule| rule.effective_policy(subset, port.number)).unwrap_or_default();
    let belongs = |endpoint: &&service::Endpoint| {
        endpoint.ports.contains_key(&port.number) && subset.is_none_or(|subset| is_in(endpoint, subset))
    };
    let all: Vec<_> = service.endpoints.iter().filter(belongs).collect();
    Cluster {
        host: service.host.to_string(),
        port: port.number,
        subset: subset.map(|subset| subset.name.to_string()).unwrap_or_default(),
        protocol: words::protocol(port.protocol),
        tls: tls(policy.tls).to_owned(),
        load_balancer: load_balancer(policy.load_balancer).to_owned(),
        destination_rule: rule.map(|rule| rule.name.to_string()).unwrap_or_default(),
        ready: all.iter().filter(|endpoint| endpoint.ready).count(),
        endpoints: all.len(),
    }
}

/// As the API spells it.
pub(in crate::admin) fn tls(mode: Option<ClientTls>) -> &'static str {
    match mode {
        None => "auto",
        Some(ClientTls::Disable) => "DISABLE",
        Some(ClientTls::IstioMutual) => "ISTIO_MUTUAL",
        Some(ClientTls::Other) => "not enforced yet",
    }
}

/// As the API spells it.
pub(in crate::admin) fn load_balancer(load_balancer: LoadBalancer) -> &'static str {
    match load_balancer {
        LoadBalancer::RoundRobin => "ROUND_ROBIN",
        LoadBalancer::Random => "RANDOM",
    }
}

fn is_in(endpoint: &service::Endpoint, subset: &Subset) -> bool {
    subset.labels.is_empty()
        || endpoint.workload.as_ref().is_some_and(|workload| selects(&subset.labels, &workload.labels))
}

fn behind<'a>(
    service: &'a Service,
    port: &'a ServicePort,
    rule: Option<&'a DestinationRule>,
) -> impl Iterator<Item = Endpoint> + 'a {
    service.endpoints.iter().filter_map(move |endpoint| {
        let target = *endpoint.ports.get(&port.number)?;
        let workload = endpoint.workload.as_deref();
        let subsets = rule.iter().flat_map(|rule| &rule.subsets).filter(|subset| is_in(endpoint, subset));
        Some(Endpoint {
            cluster: format!("{}:{}", service.host, port.number),
            subsets: subsets.map(|subset| subset.name.to_string()).collect(),
            address: SocketAddr::new(endpoint.address, target),
            pod: workload.map(|workload| workload.pod.to_string()).unwrap_or_default(),
            node: workload.map(|workload| workload.node.to_string()).unwrap_or_default(),
            ready: endpoint.ready,
            in_mesh: workload.is_some_and(Workload::is_enrolled),
        })
    })
}
