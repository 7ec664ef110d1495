//! `/snapshot`: what the decisions are made from, in short, for whoever wonders what the agent has read.

use serde_json::{Value, json};
use weft_model::{mesh::OutboundPolicy, service::Service, snapshot::Snapshot, workload::Named};

/// The summary.
pub(super) fn of(snapshot: &Snapshot) -> Value {
    let mesh = &snapshot.mesh;
    json!({
        "version": snapshot.version,
        "mesh": {
            "trustDomain": *mesh.trust_domain,
            "trustDomainAliases": mesh.trust_domain_aliases,
            "rootNamespace": *mesh.root_namespace,
            "clusterDomain": *mesh.cluster_domain,
            "outboundTrafficPolicy": match mesh.outbound {
                OutboundPolicy::AllowAny => "ALLOW_ANY",
                OutboundPolicy::RegistryOnly => "REGISTRY_ONLY",
            },
            "enableAutoMtls": mesh.auto_mtls,
            "accessLog": mesh.access_log,
            "enablePrometheusMerge": mesh.prometheus_merge,
        },
        "pods": snapshot.workloads.values().map(|workload| json!({
            "pod": workload.pod.to_string(),
            "node": *workload.node,
            "addresses": workload.addresses,
            "identity": workload.identity.to_string(),
            "labels": workload.labels,
            "enrolled": workload.is_enrolled(),
            "ready": workload.ready,
        })).collect::<Vec<_>>(),
        "services": snapshot.services.values().map(|service| of_service(service)).collect::<Vec<_>>(),
        "virtualServices": names(snapshot.virtual_services.iter().map(|one| &one.name)),
        "destinationRules": names(snapshot.destination_rules.iter().map(|one| &one.name)),
        "peerAuthentications": names(snapshot.peer_authentications.iter().map(|one| &one.name)),
        "authorizationPolicies": names(snapshot.authorization_policies.iter().map(|one| &one.name)),
    })
}

fn of_service(service: &Service) -> Value {
    json!({
        "host": *service.host,
        "addresses": service.vips,
        "ports": service.ports.iter().map(|port| json!({
            "number": port.number,
            "name": *port.name,
            "protocol": format!("{:?}", port.protocol),
        })).collect::<Vec<_>>(),
        "endpoints": service.endpoints.iter().map(|endpoint| json!({
            "address": endpoint.address,
            "ports": endpoint.ports,
            "pod": endpoint.workload.as_ref().map(|workload| workload.pod.to_string()),
            "ready": endpoint.ready,
        })).collect::<Vec<_>>(),
    })
}

fn names<'a>(all: impl Iterator<Item = &'a Named>) -> Vec<String> {
    all.map(ToString::to_string).collect()
}
