//! Pod -> Workload: who it is, what it is called, where it is, whether it is in the mesh.

use std::{net::IpAddr, sync::Arc};

use weft_model::{
    identity::SpiffeId,
    mesh::MeshConfig,
    workload::{Canonical, Capture, Labels, Locality, Named, Scrape, Workload},
};

use super::{
    super::convert::pod::PodFacts,
    enrolment::{Facts, enrolment},
};

/// What the mesh knows of a pod beside the pod itself.
#[derive(Clone, Debug)]
pub struct Around<'a> {
    /// Labels of its namespace, `None` when there is no such object.
    pub namespace: Option<&'a Arc<Labels>>,
    /// Labels of its node, `None` when there is no such object.
    pub node_labels: Option<&'a Arc<Labels>>,
    /// Its node.
    pub node: Arc<str>,
    /// Its network namespace, when it is known here.
    pub netns: Option<Arc<str>>,
    /// Its addresses, by its status or by who knows its namespace.
    pub addresses: Vec<IpAddr>,
}

/// The workload of a pod.
pub fn workload(name: &Named, pod: &PodFacts, around: Around<'_>, mesh: &MeshConfig) -> Workload {
    let empty = Labels::new();
    let facts = Facts {
        namespace: &name.namespace,
        namespace_labels: around.namespace.map_or(&empty, |labels| labels),
        pod_labels: &pod.labels,
        inject_annotation: pod.inject.as_deref(),
        host_network: pod.host_network,
    };
    Workload {
        pod: name.clone(),
        uid: pod.uid.clone(),
        addresses: around.addresses,
        identity: SpiffeId {
            trust_domain: mesh.trust_domain.clone(),
            namespace: name.namespace.clone(),
            service_account: pod.service_account.clone(),
        },
        canonical: canonical(pod, &name.name),
        enrolment: enrolment(&facts),
        capture: Capture { netns: around.netns, ..pod.capture.clone() },
        ready: pod.is_ready,
        locality: locality(&pod.labels, around.node_labels.map(|labels| &**labels)),
        scrape: pod.scrape.clone().map(|scrape| Scrape { merge: scrape.merge && mesh.prometheus_merge, ..scrape }),
        host_network: pod.host_network,
        labels: pod.labels.clone(),
        node: around.node,
    }
}

/// The names of a workload in telemetry (Istio's rules for canonical services).
fn canonical(pod: &PodFacts, pod_name: &Arc<str>) -> Canonical {
    let labels = &pod.labels;
    let workload = pod.controller.clone().unwrap_or_else(|| pod_name.clone());
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

#[cfg(test)]
mod tests;
