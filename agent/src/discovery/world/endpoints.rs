//! Endpoints of a Service: from its EndpointSlices where there are any, else from the pods it selects.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
};

use k8s_openapi::api::{
    core::v1::{Pod, Service as Written},
    discovery::v1::EndpointSlice,
};
use weft_model::{
    address::canonical_ip,
    service::{Endpoint, Service, TargetPort},
    workload::{Named, Workload},
};

use super::service::families;

/// A pod with the workload it became.
pub struct Member<'a> {
    /// As written.
    pub pod: std::borrow::Cow<'a, Pod>,
    /// As the mesh sees it.
    pub workload: Arc<Workload>,
}

/// Pods by name and by address.
pub struct Members<'a> {
    /// All pods, by namespace and name.
    pub by_name: BTreeMap<Named, Member<'a>>,
    /// Those with an address of their own.
    pub by_address: HashMap<IpAddr, Arc<Workload>>,
}

/// Endpoints from the slices of a Service: several merged, ports found by their name.
pub fn from_slices(service: &Service, slices: &[&EndpointSlice], members: &Members<'_>) -> Vec<Endpoint> {
    let mut found: BTreeMap<IpAddr, Endpoint> = BTreeMap::new();
    for slice in slices.iter().filter(|slice| slice.address_type != "FQDN") {
        let numbers: HashMap<&str, u16> = slice
            .ports
            .iter()
            .flatten()
            .filter_map(|port| Some((port.name.as_deref().unwrap_or_default(), u16::try_from(port.port?).ok()?)))
            .collect();
        let ports = service.ports.iter().filter_map(|port| Some((port.number, *numbers.get(&*port.name)?)));
        let ports: BTreeMap<u16, u16> = ports.collect();
        for endpoint in &slice.endpoints {
            // All addresses of an endpoint are the same endpoint; consumers use the first (API reference).
            let Some(address) = endpoint.addresses.first().and_then(|ip| ip.parse().ok()).map(canonical_ip) else {
                continue;
            };
            let conditions = endpoint.conditions.clone().unwrap_or_default();
            let ready = conditions.ready.unwrap_or(true) && !conditions.terminating.unwrap_or(false);
            let reference = endpoint.target_ref.as_ref().filter(|one| one.kind.as_deref() == Some("Pod"));
            let named = reference.and_then(|one| {
                let namespace = one.namespace.as_deref().unwrap_or(&service.name.namespace);
                members.by_name.get(&Named::new(namespace, one.name.as_deref()?))
            });
            let workload = named.map(|one| &one.workload).or_else(|| members.by_address.get(&address)).cloned();
            let merged = found.entry(address).or_insert_with(|| Endpoint {
                address,
                ports: BTreeMap::new(),
                workload: workload.clone(),
                ready,
            });
            merged.ports.extend(&ports);
            merged.ready |= ready;
            merged.workload = merged.workload.take().or(workload);
        }
    }
    found.into_values().collect()
}

/// Endpoints from the pods that the Service's selector finds; none without a selector.
pub fn from_pods(service: &Service, written: &Written, members: &Members<'_>) -> Vec<Endpoint> {
    let Some(spec) = &written.spec else { return Vec::new() };
    let Some(selector) = spec.selector.as_ref().filter(|selector| !selector.is_empty()) else { return Vec::new() };
    let families = families(written);
    let publish_all = spec.publish_not_ready_addresses.unwrap_or(false);
    let mut found = Vec::new();
    // Names are sorted by namespace first: these are the pods of the Service's.
    let of_namespace = members.by_name.range(Named::new(service.name.namespace.clone(), "")..);
    for (name, member) in of_namespace.take_while(|(name, _)| name.namespace == service.name.namespace) {
        let workload = &member.workload;
        debug_assert_eq!(*name, workload.pod, "members are kept by their own name");
        let is_selected =
            selector.iter().all(|(key, value)| workload.labels.get(key.as_str()).is_some_and(|own| **own == **value));
        if !is_selected {
            continue;
        }
        let target = |target: &TargetPort| match target {
            TargetPort::Number(number) => Some(*number),
            TargetPort::Name(name) => container_port(&member.pod, name),
        };
        let ports = service.ports.iter().filter_map(|port| Some((port.number, target(&port.target)?)));
        let ports: BTreeMap<u16, u16> = ports.collect();
        let addresses: Vec<IpAddr> = match families {
            Some(families) => workload.addresses.iter().copied().filter(|ip| families.include(*ip)).collect(),
            None => workload.addresses.first().copied().into_iter().collect(),
        };
        found.extend(addresses.into_iter().map(|address| Endpoint {
            address,
            ports: ports.clone(),
            workload: Some(workload.clone()),
            ready: workload.ready || publish_all,
        }));
    }
    found.sort_by_key(|endpoint| endpoint.address);
    found
}

/// Number of the TCP port that a container of the pod calls `name`; sidecar containers count.
fn container_port(pod: &Pod, name: &str) -> Option<u16> {
    let spec = pod.spec.as_ref()?;
    let stays = spec.init_containers.iter().flatten().filter(|one| one.restart_policy.as_deref() == Some("Always"));
    let ports = spec.containers.iter().chain(stays).flat_map(|container| container.ports.iter().flatten());
    let mut ports = ports.filter(|port| port.protocol.as_deref().is_none_or(|protocol| protocol == "TCP"));
    let port = ports.find(|port| port.name.as_deref() == Some(name))?;
    u16::try_from(port.container_port).ok()
}
