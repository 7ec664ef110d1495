//! Why: for what the source's side decided.

use std::net::SocketAddr;

use weft_model::{
    decision::{Cluster, Forward, InboundPolicy, Refusal, UpstreamTls},
    outcome::{Answer, ResponseFlag},
    policy::MtlsMode,
    service::{Resolution, Service},
    snapshot::Snapshot,
    workload::{Enrolment, Workload},
};

use super::{End, Outcome, words};

/// weft answers itself.
pub(super) fn answered(snapshot: &Snapshot, answer: &Answer, cluster: &Cluster) -> Outcome {
    let flag = answer.flag.map(ResponseFlag::code);
    let why = why(snapshot, answer, cluster);
    let said = flag.map_or_else(|| answer.status.to_string(), |flag| format!("{} {flag}", answer.status));
    Outcome {
        end: End::Answered,
        status: Some(answer.status),
        flag: flag.map(str::to_owned),
        text: format!("{said}: {why}"),
    }
}

/// weft resets the connection.
pub(super) fn refused(snapshot: &Snapshot, refusal: Refusal, cluster: &Cluster) -> Outcome {
    let answer = refusal.answer();
    let flag = answer.flag.map(ResponseFlag::code);
    let said = flag.map_or_else(|| "connection reset".to_owned(), |flag| format!("connection reset ({flag})"));
    Outcome {
        end: End::Reset,
        status: None,
        flag: flag.map(str::to_owned),
        text: format!("{said}: {}", why(snapshot, &answer, cluster)),
    }
}

/// A cluster IP without endpoints, outside of weft.
pub(super) fn nobody_listens(address: SocketAddr) -> Outcome {
    Outcome {
        end: End::Reset,
        status: None,
        flag: None,
        text: format!("connection refused: no ready endpoint behind {address}"),
    }
}

fn why(snapshot: &Snapshot, answer: &Answer, cluster: &Cluster) -> String {
    match answer.flag {
        Some(ResponseFlag::NoRoute) => "no rule of the VirtualService that speaks for this host matches".to_owned(),
        Some(ResponseFlag::NoCluster) => no_cluster(snapshot, cluster),
        Some(ResponseFlag::NoHealthyUpstream) => no_healthy_upstream(cluster),
        _ => "the registry does not know the destination, and outboundTrafficPolicy is REGISTRY_ONLY".to_owned(),
    }
}

fn no_cluster(snapshot: &Snapshot, cluster: &Cluster) -> String {
    let Cluster::Service { service, port, subset } = cluster else {
        return format!("the route leads to {}, which no Service has", words::cluster(cluster));
    };
    if matches!(service.resolution, Resolution::ExternalName(_)) {
        return format!("the route leads to Service {}, which is an ExternalName without endpoints", service.name);
    }
    if service.port(*port).is_none() {
        return format!("Service {} has no port {port}", service.name);
    }
    let rules = rules_of(snapshot, service);
    let defined = |subset: &str| {
        let rules = snapshot.destination_rules.iter().filter(|rule| names(&rule.host, &service.host));
        rules.flat_map(|rule| &rule.subsets).any(|one| &*one.name == subset)
    };
    match subset {
        Some(subset) if !defined(subset) && rules.is_empty() => {
            format!("no DestinationRule defines subset {subset} of {}", service.host)
        }
        Some(subset) if !defined(subset) => {
            format!("DestinationRule {} has no subset {subset}", rules.join(", "))
        }
        _ => format!(
            "DestinationRule {} asks for what weft cannot do (tls.mode SIMPLE or MUTUAL), or none that the source may \
             see defines the subset",
            rules.join(", ")
        ),
    }
}

fn no_healthy_upstream(cluster: &Cluster) -> String {
    let Cluster::Service { service, .. } = cluster else { return "nothing ready is behind it".to_owned() };
    let ready = service.endpoints.iter().filter(|endpoint| endpoint.ready).count();
    format!(
        "no ready endpoint behind {} (the Service has {} endpoints, {ready} of them ready)",
        words::cluster(cluster),
        service.endpoints.len()
    )
}

/// Why the wire is secured so, or not.
pub(super) fn secured(snapshot: &Snapshot, source: &Workload, forward: &Forward) -> String {
    let port = forward.address.port();
    if forward.tls != UpstreamTls::Plaintext {
        return "the destination is enrolled and speaks mesh mTLS".to_owned();
    }
    let Some(workload) = &forward.workload else {
        return "the destination is no pod of the mesh".to_owned();
    };
    if let Enrolment::NotEnrolled(why) = workload.enrolment {
        return format!("pod {} is not enrolled: {why}", workload.pod);
    }
    if workload.capture.excludes_inbound(port) {
        return format!("port {port} of pod {} is excluded from capture", workload.pod);
    }
    if !snapshot.mesh.auto_mtls {
        return "enableAutoMtls is off, and no DestinationRule asks for ISTIO_MUTUAL".to_owned();
    }
    if InboundPolicy::for_workload(snapshot, workload).mtls_mode(port) == MtlsMode::Disable {
        return format!("a PeerAuthentication sets port {port} of {} to DISABLE", workload.pod);
    }
    let rules = match &forward.cluster {
        Cluster::Service { service, .. } => rules_of(snapshot, service),
        _ => Vec::new(),
    };
    format!("DestinationRule {} has tls.mode DISABLE for clients in {}", rules.join(", "), source.pod.namespace)
}

/// DestinationRules that name the Service's host.
fn rules_of(snapshot: &Snapshot, service: &Service) -> Vec<String> {
    let naming = snapshot.destination_rules.iter().filter(|rule| names(&rule.host, &service.host));
    naming.map(|rule| rule.name.to_string()).collect()
}

fn names(pattern: &str, host: &str) -> bool {
    pattern.strip_prefix('*').map_or(pattern == host, |suffix| host.ends_with(suffix))
}
