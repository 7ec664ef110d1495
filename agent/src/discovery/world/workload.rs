//! Pod -> Workload: who it is, what it is called, where it is, whether it is in the mesh.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use k8s_openapi::api::core::v1::Pod;
use weft_model::{
    address::canonical_ip,
    identity::SpiffeId,
    mesh::MeshConfig,
    workload::{Canonical, Labels, Locality, Named, Scrape, Workload},
};

use super::{
    super::{
        convert::{
            capture::{self, capture},
            labels,
        },
        field_path::FieldPath,
        findings::Findings,
    },
    enrolment::{Facts, enrolment},
};

/// What surrounds a pod.
pub struct Surroundings<'a> {
    /// Mesh settings.
    pub mesh: &'a MeshConfig,
    /// Labels of namespaces.
    pub namespaces: &'a BTreeMap<Arc<str>, Labels>,
    /// Labels of nodes.
    pub nodes: &'a BTreeMap<Arc<str>, Labels>,
    /// Node of pods that name none: the agent's own.
    pub default_node: &'a Arc<str>,
}

/// Has the pod ended for good? Its address may belong to another pod by now.
pub fn is_over(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// The workload of a pod called `name`, with the addresses its status has.
pub fn workload(name: Named, pod: &Pod, around: &Surroundings<'_>) -> Workload {
    let empty = Labels::new();
    let annotations = pod.metadata.annotations.as_ref();
    let annotation = |key: &str| annotations.and_then(|all| all.get(key)).map(String::as_str);
    let spec = pod.spec.as_ref();
    let host_network = spec.and_then(|spec| spec.host_network).unwrap_or(false);
    let labels = labels(&pod.metadata);
    let node = node(pod).map_or_else(|| around.default_node.clone(), Into::into);
    let account = spec.and_then(|spec| spec.service_account_name.as_deref().or(spec.service_account.as_deref()));
    let facts = Facts {
        namespace: &name.namespace,
        namespace_labels: around.namespaces.get(&name.namespace).unwrap_or(&empty),
        pod_labels: &labels,
        inject_annotation: annotation("sidecar.istio.io/inject"),
        host_network,
    };
    Workload {
        uid: uid(pod).into(),
        addresses: addresses(pod),
        identity: SpiffeId {
            trust_domain: around.mesh.trust_domain.clone(),
            namespace: name.namespace.clone(),
            service_account: account.filter(|name| !name.is_empty()).unwrap_or("default").into(),
        },
        canonical: canonical(pod, &name.name, &labels),
        enrolment: enrolment(&facts),
        // Errors were reported when the pod was read; a pod with any of them is not here.
        capture: capture(annotations, &FieldPath::root(), &mut Findings::default()),
        ready: is_ready(pod),
        locality: locality(&labels, around.nodes.get(&node)),
        scrape: scrape(&annotation, around.mesh.prometheus_merge),
        host_network,
        labels,
        node,
        pod: name,
    }
}

/// The kubelet's name for the pod. It knows a static pod by another one than its mirror object has, which says so.
fn uid(pod: &Pod) -> &str {
    let annotations = pod.metadata.annotations.as_ref();
    let of_static_pod = annotations.and_then(|all| all.get("kubernetes.io/config.mirror"));
    of_static_pod.or(pod.metadata.uid.as_ref()).map_or("", String::as_str)
}

/// Node that the pod names: by its specification, else by annotation.
fn node(pod: &Pod) -> Option<&str> {
    let annotations = pod.metadata.annotations.as_ref();
    let scheduled = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
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

/// Ready, and not on its way out. A pod written by hand has no status: it is what its author says it is.
fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let ready = conditions.iter().find(|one| one.type_ == "Ready");
    pod.metadata.deletion_timestamp.is_none() && ready.is_none_or(|one| one.status == "True")
}

/// The names of a workload in telemetry (Istio's rules for canonical services).
fn canonical(pod: &Pod, pod_name: &Arc<str>, labels: &Labels) -> Canonical {
    let workload = controller(pod).map_or_else(|| pod_name.clone(), Into::into);
    let first = |keys: &[&str]| keys.iter().find_map(|key| labels.get(*key).filter(|value| !value.is_empty())).cloned();
    Canonical {
        service: first(&["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"])
            .unwrap_or_else(|| workload.clone()),
        revision: first(&["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"])
            .unwrap_or_else(|| "latest".into()),
        app: first(&["app"]).unwrap_or_else(|| "unknown".into()),
        version: first(&["version"]).unwrap_or_else(|| "unknown".into()),
        workload,
    }
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

/// Region and zone of the node; the pod's label `istio-locality` (`region.zone.sub-zone`) overrides.
fn locality(pod: &Labels, node: Option<&Labels>) -> Locality {
    if let Some(own) = pod.get("istio-locality").filter(|own| !own.is_empty()) {
        let mut parts = own.split(['/', '.']);
        return Locality {
            region: parts.next().unwrap_or_default().into(),
            zone: parts.next().unwrap_or_default().into(),
        };
    }
    let label = |names: [&str; 2]| names.iter().find_map(|name| node?.get(*name)).cloned().unwrap_or_default();
    Locality {
        region: label(["topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"]),
        zone: label(["topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"]),
    }
}

fn scrape<'a>(annotation: &impl Fn(&str) -> Option<&'a str>, merge: bool) -> Option<Scrape> {
    if annotation("prometheus.io/scrape") != Some("true") {
        return None;
    }
    Some(Scrape {
        port: annotation("prometheus.io/port").and_then(|port| port.parse().ok()).unwrap_or(80),
        path: annotation("prometheus.io/path").filter(|path| !path.is_empty()).unwrap_or("/metrics").into(),
        merge: merge && annotation("prometheus.istio.io/merge-metrics") != Some("false"),
    })
}

#[cfg(test)]
mod tests;
