//! Which pods stand behind which Service: the endpoint controller's question, answered as a pure function.
//!
//! Used by the stand-ins for kube-proxy and cluster DNS. Agents derive the same from the manifests on their own.

use std::net::{IpAddr, SocketAddr};

use serde_json::Value;

use crate::manifest::{list, selects, strings, text};

/// A Service as kube-proxy and DNS see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// Empty for a headless one.
    pub(crate) cluster_ips: Vec<IpAddr>,
    pub(crate) load_balancer: Option<IpAddr>,
    /// `externalTrafficPolicy: Local`.
    pub(crate) local_only: bool,
    pub(crate) ports: Vec<Port>,
    /// Addresses of ready pods, for headless names.
    pub(crate) pod_ips: Vec<IpAddr>,
}

/// One port of a Service with its ready endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    pub(crate) port: u16,
    pub(crate) node_port: Option<u16>,
    /// `tcp` or `udp`.
    pub(crate) protocol: String,
    pub(crate) endpoints: Vec<Endpoint>,
}

/// One address and port of a ready pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    pub(crate) node: String,
}

/// Joins Services with ready pods (by selector) or, for Services without selector, with EndpointSlices applied by hand.
pub(crate) fn join<'a>(
    services: impl Iterator<Item = &'a Value>,
    pods: &[&'a Value],
    slices: &[&'a Value],
) -> Vec<Service> {
    let services = services.filter(|service| text(service, "/spec/type") != "ExternalName");
    services.map(|service| one(service, pods, slices)).collect()
}

fn one(service: &Value, pods: &[&Value], slices: &[&Value]) -> Service {
    let namespace = text(service, "/metadata/namespace");
    let selector = strings(service, "/spec/selector");
    let selected: Vec<&Value> = pods
        .iter()
        .copied()
        .filter(|pod| {
            !selector.is_empty()
                && text(pod, "/metadata/namespace") == namespace
                && selects(&selector, &strings(pod, "/metadata/labels"))
                && is_ready(pod)
        })
        .collect();
    let slices: Vec<&Value> = slices
        .iter()
        .copied()
        .filter(|slice| {
            selector.is_empty()
                && text(slice, "/metadata/namespace") == namespace
                && strings(slice, "/metadata/labels").get("kubernetes.io/service-name").map(String::as_str)
                    == Some(text(service, "/metadata/name"))
        })
        .collect();
    let addresses = list(service, "/spec/clusterIPs").iter().filter_map(Value::as_str);
    let mut cluster_ips: Vec<IpAddr> = addresses.filter_map(|ip| ip.parse().ok()).collect();
    if cluster_ips.is_empty() {
        cluster_ips.extend(text(service, "/spec/clusterIP").parse::<IpAddr>());
    }
    Service {
        namespace: namespace.to_owned(),
        name: text(service, "/metadata/name").to_owned(),
        cluster_ips,
        load_balancer: text(service, "/status/loadBalancer/ingress/0/ip").parse().ok(),
        local_only: text(service, "/spec/externalTrafficPolicy") == "Local",
        ports: list(service, "/spec/ports").iter().filter_map(|port| one_port(port, &selected, &slices)).collect(),
        pod_ips: selected.iter().flat_map(|pod| pod_ips(pod)).collect(),
    }
}

fn one_port(port: &Value, pods: &[&Value], slices: &[&Value]) -> Option<Port> {
    let number = u16::try_from(port["port"].as_u64()?).ok()?;
    let mut endpoints = Vec::new();
    for pod in pods {
        let Some(target) = target_port(&port["targetPort"], pod) else { continue };
        let node = text(pod, "/spec/nodeName").to_owned();
        let addresses = pod_ips(pod).into_iter().map(|ip| SocketAddr::new(ip, target));
        endpoints.extend(addresses.map(|address| Endpoint { address, node: node.clone() }));
    }
    for slice in slices {
        endpoints.extend(slice_endpoints(port, slice));
    }
    Some(Port {
        port: number,
        node_port: port["nodePort"].as_u64().and_then(|p| u16::try_from(p).ok()),
        protocol: port["protocol"].as_str().unwrap_or("TCP").to_lowercase(),
        endpoints,
    })
}

/// A slice's port belongs to the Service's port of the same name (both may have none).
fn slice_endpoints(port: &Value, slice: &Value) -> Vec<Endpoint> {
    let name = text(port, "/name");
    let target = list(slice, "/ports").iter().find(|candidate| text(candidate, "/name") == name);
    let Some(target) = target.and_then(|p| u16::try_from(p["port"].as_u64()?).ok()) else { return Vec::new() };
    let ready =
        list(slice, "/endpoints").iter().filter(|e| e.pointer("/conditions/ready") != Some(&Value::Bool(false)));
    ready
        .flat_map(|endpoint| {
            let node = text(endpoint, "/nodeName").to_owned();
            let ips = list(endpoint, "/addresses").iter().filter_map(|ip| ip.as_str()?.parse().ok());
            ips.map(move |ip| Endpoint { address: SocketAddr::new(ip, target), node: node.clone() }).collect::<Vec<_>>()
        })
        .collect()
}

/// A number as it is, a name through the pod's container ports.
fn target_port(target: &Value, pod: &Value) -> Option<u16> {
    let number = match target {
        Value::String(name) => {
            let mut ports = list(pod, "/spec/containers").iter().flat_map(|container| list(container, "/ports"));
            ports.find(|port| text(port, "/name") == name)?["containerPort"].as_u64()?
        }
        number => number.as_u64()?,
    };
    u16::try_from(number).ok()
}

/// Whether the pod has the condition Ready and is not being deleted.
pub(crate) fn is_ready(pod: &Value) -> bool {
    let ready = |c: &Value| text(c, "/type") == "Ready" && text(c, "/status") == "True";
    list(pod, "/status/conditions").iter().any(ready) && text(pod, "/metadata/deletionTimestamp").is_empty()
}

/// All addresses of a pod.
pub(crate) fn pod_ips(pod: &Value) -> Vec<IpAddr> {
    list(pod, "/status/podIPs").iter().filter_map(|entry| text(entry, "/ip").parse().ok()).collect()
}
