//! What is wrong with core objects, found when they are read.
//!
//! The API server would refuse these; a directory of files has no API server, so the object's author
//! hears it here. What an object means is decided in the other files of this module.

use std::{collections::BTreeMap, net::IpAddr};

use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{Pod, PodSpec, Service},
        discovery::v1::EndpointSlice,
    },
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{
    super::{field_path::FieldPath, findings::Findings},
    capture, port,
};

/// A Pod.
pub fn pod(pod: &Pod, findings: &mut Findings) {
    annotations(pod.metadata.annotations.as_ref(), &FieldPath::of(&["metadata", "annotations"]), findings);
    if capture::netns_entries(pod.metadata.annotations.as_ref()).len() > 1 {
        let path = FieldPath::of(&["metadata", "annotations"]).key(capture::NETNS);
        findings.error(&path, "a pod has one network namespace", "name one; a Deployment's template may name several");
    }
    if let Some(spec) = &pod.spec {
        pod_spec(spec, &FieldPath::of(&["spec"]), findings);
    }
    let Some(status) = &pod.status else { return };
    let path = FieldPath::of(&["status"]);
    if let Some(ip) = status.pod_ip.as_deref().filter(|ip| !ip.is_empty()) {
        address(ip, &path.key("podIP"), findings);
    }
    for (index, one) in status.pod_ips.iter().flatten().enumerate() {
        address(&one.ip, &path.key("podIPs").index(index).key("ip"), findings);
    }
}

/// A Deployment.
pub fn deployment(deployment: &Deployment, findings: &mut Findings) {
    let Some(spec) = &deployment.spec else {
        findings.error(&FieldPath::of(&["spec"]), "missing", "add spec.selector and spec.template");
        return;
    };
    let template = FieldPath::of(&["spec", "template"]);
    let meta = spec.template.metadata.as_ref();
    let written = meta.and_then(|meta| meta.annotations.as_ref());
    annotations(written, &template.key("metadata").key("annotations"), findings);
    if let Some(pod) = &spec.template.spec {
        pod_spec(pod, &template.key("spec"), findings);
    }
    // Without it the API server refuses the Deployment: its Services would find no pods here, either.
    let empty = BTreeMap::new();
    let labels = meta.and_then(|meta| meta.labels.as_ref()).unwrap_or(&empty);
    for (key, value) in spec.selector.match_labels.iter().flatten() {
        if labels.get(key) != Some(value) {
            let path = FieldPath::of(&["spec", "selector", "matchLabels"]).key(key);
            findings.error(&path, "does not match the labels of spec.template", "give the template this label");
        }
    }
    if spec.replicas.is_some_and(|replicas| replicas < 0) {
        findings.error(&FieldPath::of(&["spec", "replicas"]), "is negative", "use 0 or more");
    }
}

/// A Service.
pub fn service(service: &Service, findings: &mut Findings) {
    let path = FieldPath::of(&["spec"]);
    let Some(spec) = &service.spec else {
        findings.error(&path, "missing", "add spec.ports and spec.selector");
        return;
    };
    let is_external = spec.type_.as_deref() == Some("ExternalName");
    if is_external && spec.external_name.as_deref().is_none_or(str::is_empty) {
        findings.error(&path.key("externalName"), "missing", "name the host that the Service stands for");
    }
    let ports = spec.ports.as_deref().unwrap_or_default();
    if ports.is_empty() && !is_external && spec.cluster_ip.as_deref() != Some("None") {
        findings.error(&path.key("ports"), "missing", "add at least one port");
    }
    for (index, one) in ports.iter().enumerate() {
        let path = path.key("ports").index(index);
        port(one.port.into(), &path.key("port"), findings);
        if let Some(IntOrString::Int(number)) = one.target_port {
            port(number.into(), &path.key("targetPort"), findings);
        }
        if let Some(number) = one.node_port {
            port(number.into(), &path.key("nodePort"), findings);
        }
        if ports.len() > 1 && one.name.as_deref().is_none_or(str::is_empty) {
            findings.error(&path, "has no name", "name each port of a Service with several");
        }
    }
    for (name, ip) in cluster_ips(service) {
        address(ip, &path.key(name), findings);
    }
    let known = ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"];
    if let Some(kind) = spec.type_.as_deref().filter(|kind| !known.contains(kind)) {
        findings.error(
            &path.key("type"),
            format!("{kind:?} is no type of Service"),
            format!("use {}", known.join(", ")),
        );
    }
}

/// Cluster IPs of a Service as written, with the field each is from.
pub fn cluster_ips(service: &Service) -> Vec<(&'static str, &str)> {
    let Some(spec) = &service.spec else { return Vec::new() };
    let several = spec.cluster_ips.iter().flatten().map(|ip| ("clusterIPs", ip.as_str()));
    let first = spec.cluster_ip.iter().map(|ip| ("clusterIP", ip.as_str()));
    let mut found: Vec<(&str, &str)> = Vec::new();
    for (field, ip) in first.chain(several) {
        if !ip.is_empty() && ip != "None" && !found.iter().any(|(_, known)| *known == ip) {
            found.push((field, ip));
        }
    }
    found
}

/// An EndpointSlice.
pub fn endpoint_slice(slice: &EndpointSlice, findings: &mut Findings) {
    if slice.address_type == "FQDN" {
        findings.warn(&FieldPath::of(&["addressType"]), "FQDN endpoints are not used", "use IPv4 or IPv6");
        return;
    }
    for (index, endpoint) in slice.endpoints.iter().enumerate() {
        let path = FieldPath::of(&["endpoints"]).index(index).key("addresses");
        if endpoint.addresses.is_empty() {
            findings.error(&path, "has no address", "add one address");
        }
        for (index, ip) in endpoint.addresses.iter().enumerate() {
            address(ip, &path.index(index), findings);
        }
    }
    for (index, one) in slice.ports.iter().flatten().enumerate() {
        if let Some(number) = one.port {
            port(number.into(), &FieldPath::of(&["ports"]).index(index).key("port"), findings);
        }
    }
}

fn pod_spec(spec: &PodSpec, path: &FieldPath, findings: &mut Findings) {
    for (index, container) in spec.containers.iter().enumerate() {
        let path = path.key("containers").index(index).key("ports");
        for (index, one) in container.ports.iter().flatten().enumerate() {
            port(one.container_port.into(), &path.index(index).key("containerPort"), findings);
        }
    }
}

fn annotations(written: Option<&BTreeMap<String, String>>, path: &FieldPath, findings: &mut Findings) {
    if let Some(text) = written.and_then(|all| all.get("prometheus.io/port"))
        && text.parse::<u16>().is_err()
    {
        let path = path.key("prometheus.io/port");
        findings.warn(&path, format!("{text:?} is no port"), "use a number from 1 to 65535");
    }
}

fn address(text: &str, path: &FieldPath, findings: &mut Findings) {
    if text.parse::<IpAddr>().is_err() {
        findings.error(path, format!("{text:?} is no IP address"), "write it like 10.0.0.7 or fd00::7");
    }
}
