//! Endpoints of a Service: from its EndpointSlices where there are any, else from the pods it selects.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use weft_model::{
    service::{Endpoint, Service, TargetPort},
    workload::{Named, Workload, selects},
};

use super::{
    super::convert::{
        endpoint_slice::{SliceEndpoint, SliceFacts},
        pod::PodFacts,
        service::ServiceFacts,
    },
    members::Members,
};

/// Endpoints from the slices of a Service: several merged, ports found by their name.
pub fn from_slices(service: &Service, slices: &[Arc<SliceFacts>], members: &Members) -> Vec<Endpoint> {
    let mut found: BTreeMap<IpAddr, Merged> = BTreeMap::new();
    for slice in slices {
        let numbers: HashMap<&str, u16> = slice.ports.iter().map(|(name, number)| (&**name, *number)).collect();
        let ports = service.ports.iter().filter_map(|port| Some((port.number, *numbers.get(&*port.name)?)));
        let ports: BTreeMap<u16, u16> = ports.collect();
        for one in &slice.endpoints {
            found.entry(one.address).or_insert_with(|| Merged::new(one.address)).add(one, &ports, members);
        }
    }
    use_last_resort(&mut found);
    found.into_values().map(|merged| merged.endpoint).collect()
}

/// An endpoint of all slices that have its address.
struct Merged {
    endpoint: Endpoint,
    /// Not ready any more, but still answering.
    is_last_resort: bool,
}

impl Merged {
    fn new(address: IpAddr) -> Self {
        let endpoint = Endpoint { address, ports: BTreeMap::new(), workload: None, ready: false };
        Self { endpoint, is_last_resort: false }
    }

    fn add(&mut self, one: &SliceEndpoint, ports: &BTreeMap<u16, u16>, members: &Members) {
        let named = one.pod.as_ref().and_then(|name| members.by_name.get(name)).map(|member| &member.workload);
        let known = || named.or_else(|| members.by_address.get(&one.address)).cloned();
        self.endpoint.ports.extend(ports);
        self.endpoint.ready |= one.is_ready;
        self.endpoint.workload = self.endpoint.workload.take().or_else(known);
        self.is_last_resort |= one.is_serving && one.is_terminating;
    }
}

/// A port without any ready endpoint is served by those that end and still answer, as kube-proxy has it: requests of
/// the last moments of a rolling update reach somebody.
fn use_last_resort(found: &mut BTreeMap<IpAddr, Merged>) {
    if !found.values().any(|merged| merged.is_last_resort && !merged.endpoint.ready) {
        return;
    }
    let ready = found.values().filter(|merged| merged.endpoint.ready);
    let served: BTreeSet<u16> = ready.flat_map(|merged| merged.endpoint.ports.keys().copied()).collect();
    for merged in found.values_mut().filter(|merged| merged.is_last_resort && !merged.endpoint.ready) {
        let endpoint = &mut merged.endpoint;
        if endpoint.ports.keys().any(|port| !served.contains(port)) {
            endpoint.ports.retain(|port, _| !served.contains(port));
            endpoint.ready = true;
        }
    }
}

/// Endpoints from the pods that the Service's selector finds; none without a selector.
pub fn from_pods(facts: &ServiceFacts, members: &Members) -> Vec<Endpoint> {
    let service = &facts.service;
    if facts.selector.is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    // Names are sorted by namespace first: these are the pods of the Service's.
    let of_namespace = members.by_name.range(Named::new(service.name.namespace.clone(), "")..);
    for (_, member) in of_namespace.take_while(|(name, _)| name.namespace == service.name.namespace) {
        let workload = &member.workload;
        if !selects(&facts.selector, &workload.labels) {
            continue;
        }
        let target = |target: &TargetPort| match target {
            TargetPort::Number(number) => Some(*number),
            TargetPort::Name(name) => container_port(&member.facts, name),
        };
        let ports = service.ports.iter().filter_map(|port| Some((port.number, target(&port.target)?)));
        let ports: BTreeMap<u16, u16> = ports.collect();
        found.extend(addresses(facts, workload).into_iter().map(|address| Endpoint {
            address,
            ports: ports.clone(),
            workload: Some(workload.clone()),
            ready: workload.ready || facts.publishes_not_ready,
        }));
    }
    found.sort_by_key(|endpoint| endpoint.address);
    found
}

fn addresses(facts: &ServiceFacts, workload: &Workload) -> Vec<IpAddr> {
    match facts.families {
        Some(families) => workload.addresses.iter().copied().filter(|ip| families.include(*ip)).collect(),
        None => workload.addresses.first().copied().into_iter().collect(),
    }
}

/// Number of the pod's port called `name`.
fn container_port(pod: &PodFacts, name: &str) -> Option<u16> {
    pod.ports.iter().find(|(own, _)| &**own == name).map(|(_, number)| *number)
}

#[cfg(test)]
mod tests;
