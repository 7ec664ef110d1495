//! Pod -> what the mesh needs of it, a small part: nothing else of a pod is kept.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use k8s_openapi::api::core::v1::Pod;
use weft_model::{
    address::canonical_ip,
    workload::{Capture, Labels, Scrape},
};

use super::{
    super::{
        field_path::FieldPath,
        findings::Findings,
        parse::{Origin, Settings},
    },
    capture::{self, capture},
    scrape::Written,
};

/// What a static pod's mirror object calls the pod that the kubelet runs.
const MIRROR_OF: &str = "kubernetes.io/config.mirror";

/// What the mesh needs of a Pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodFacts {
    /// The kubelet's name for the pod, empty when nobody gave it one.
    pub uid: Arc<str>,
    /// Node that the pod names, by its specification or (in files) by annotation.
    pub node: Option<Arc<str>>,
    /// Labels.
    pub labels: Arc<Labels>,
    /// Service account.
    pub service_account: Arc<str>,
    /// Name of the object a person wrote that made the pod.
    pub controller: Option<Arc<str>>,
    /// Addresses of the status, canonical form.
    pub addresses: Vec<IpAddr>,
    /// `hostNetwork`.
    pub host_network: bool,
    /// Ready, and not on its way out.
    pub is_ready: bool,
    /// On its way out.
    pub is_leaving: bool,
    /// Ended for good: its address may belong to another pod by now.
    pub is_over: bool,
    /// Annotation `sidecar.istio.io/inject`.
    pub inject: Option<Arc<str>>,
    /// What the annotations say about its capture; its network namespace only in files.
    pub capture: Capture,
    /// Where its metrics are; `merge` as far as the pod has a say in it.
    pub scrape: Option<Scrape>,
    /// Its TCP ports that have a name.
    pub ports: Vec<(Arc<str>, u16)>,
}

/// The facts of a pod. What its annotations get wrong goes to `findings`; `path` is that of the annotations.
pub fn facts(pod: &Pod, settings: &Settings, path: &FieldPath, findings: &mut Findings) -> PodFacts {
    let annotations = pod.metadata.annotations.as_ref();
    let annotation = |key: &str| annotations.and_then(|all| all.get(key)).map(String::as_str);
    let spec = pod.spec.as_ref();
    let account = spec.and_then(|spec| spec.service_account_name.as_deref().or(spec.service_account.as_deref()));
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    let is_leaving = pod.metadata.deletion_timestamp.is_some();
    let text = |text: &str| settings.interner.text(text);
    let of_static_pod = annotation(MIRROR_OF);
    PodFacts {
        uid: of_static_pod.or(pod.metadata.uid.as_deref()).unwrap_or_default().into(),
        node: node(pod, settings.origin).map(text),
        labels: settings.interner.labels(pod.metadata.labels.as_ref()),
        service_account: text(account.filter(|name| !name.is_empty()).unwrap_or("default")),
        controller: controller(pod).map(|name| text(&name)),
        addresses: addresses(pod),
        host_network: spec.and_then(|spec| spec.host_network).unwrap_or(false),
        is_ready: !is_leaving && is_ready(pod, settings.origin),
        is_leaving,
        is_over: matches!(phase, Some("Succeeded" | "Failed")),
        inject: annotation("sidecar.istio.io/inject").map(text),
        capture: capture_of(annotations, settings.origin, path, findings),
        scrape: scrape(annotations, &text),
        ports: named_ports(pod).map(|(name, port)| (text(name), port)).collect(),
    }
}

/// Node that the pod names: by its specification, else, where nobody schedules, by annotation.
fn node(pod: &Pod, origin: Origin) -> Option<&str> {
    let scheduled = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    let annotations = pod.metadata.annotations.as_ref().filter(|_| origin == Origin::Files);
    let beside_netns = || capture::netns_entries(annotations).first().and_then(|entry| entry.node);
    let annotated = || annotations.and_then(|all| all.get(capture::NODE)).map(|node| node.trim());
    scheduled.or_else(beside_netns).or_else(annotated).filter(|node| !node.is_empty())
}

fn addresses(pod: &Pod) -> Vec<IpAddr> {
    let Some(status) = &pod.status else { return Vec::new() };
    let several = status.pod_ips.iter().flatten().map(|one| one.ip.as_str());
    let mut found = Vec::new();
    for ip in status.pod_ip.as_deref().into_iter().chain(several).filter_map(|ip| ip.parse().ok()).map(canonical_ip) {
        if !found.contains(&ip) {
            found.push(ip);
        }
    }
    found
}

/// The condition. A pod written by hand has none: it is what its author says it is.
fn is_ready(pod: &Pod, origin: Origin) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let ready = conditions.iter().find(|one| one.type_ == "Ready");
    ready.map_or(origin == Origin::Files, |one| one.status == "True")
}

/// Name of the object a person wrote that made the pod: the Deployment, not its ReplicaSet.
pub fn controller(pod: &Pod) -> Option<String> {
    let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
    let owner = owners.iter().find(|owner| owner.controller == Some(true)).or_else(|| owners.first())?;
    let hash = pod.metadata.labels.as_ref().and_then(|labels| labels.get("pod-template-hash"));
    let name = owner.name.as_str();
    let without_tail = |is_tail: fn(&str) -> bool| {
        name.rsplit_once('-').filter(|(_, tail)| is_tail(tail)).map_or(name, |(head, _)| head)
    };
    let name = match (owner.kind.as_str(), hash) {
        ("ReplicaSet", Some(hash)) => name.strip_suffix(&format!("-{hash}")).unwrap_or(name),
        // A CronJob names its Jobs after the minute they are due.
        ("Job", _) => without_tail(|tail| (8..=10).contains(&tail.len()) && tail.bytes().all(|b| b.is_ascii_digit())),
        ("ReplicationController", _) => without_tail(|tail| tail.bytes().all(|b| b.is_ascii_digit())),
        _ => name,
    };
    Some(name.to_owned())
}

/// A pod of the API server runs whatever its annotations say: it is captured without what cannot be read in them,
/// rather than not at all. Which network namespace is whose, its annotations do not decide there.
fn capture_of(
    annotations: Option<&BTreeMap<String, String>>,
    origin: Origin,
    path: &FieldPath,
    findings: &mut Findings,
) -> Capture {
    if origin == Origin::Files {
        return capture(annotations, path, findings);
    }
    let mut found = Findings::default();
    let read = capture(annotations, path, &mut found);
    findings.warnings.extend(found.warnings);
    for error in found.errors {
        let next_step = format!("{}; the pod is captured without it until then", error.next_step);
        findings.warn(&error.path, error.message, next_step);
    }
    Capture { netns: None, ..read }
}

fn scrape(annotations: Option<&BTreeMap<String, String>>, text: &impl Fn(&str) -> Arc<str>) -> Option<Scrape> {
    let application = Written::of(annotations).application()?;
    Some(Scrape { port: application.port, path: text(application.path), merge: application.merge })
}

/// TCP ports of the pod's containers by their names; sidecar containers count.
fn named_ports(pod: &Pod) -> impl Iterator<Item = (&str, u16)> {
    let spec = pod.spec.as_ref();
    let sidecars = spec.and_then(|spec| spec.init_containers.as_ref()).into_iter().flatten();
    let sidecars = sidecars.filter(|one| one.restart_policy.as_deref() == Some("Always"));
    let containers = spec.into_iter().flat_map(|spec| &spec.containers).chain(sidecars);
    let ports = containers.flat_map(|container| container.ports.iter().flatten());
    let ports = ports.filter(|port| port.protocol.as_deref().is_none_or(|protocol| protocol == "TCP"));
    ports.filter_map(|port| Some((port.name.as_deref()?, u16::try_from(port.container_port).ok()?)))
}

#[cfg(test)]
mod tests;
