//! `/describe?pod=` and `/describe?service=`: everything that applies to one of them, by name.

mod service;

use std::{net::IpAddr, sync::Arc};

use serde::{Deserialize, Serialize};
pub(super) use service::find as find_service;
use weft_model::{
    decision::{InboundPolicy, inbound_protocol},
    policy::{Action, AuthorizationPolicy, PeerAuthentication},
    snapshot::Snapshot,
    workload::{Workload, selects},
};

use super::{
    Admin,
    config::{self, Route},
    explain::words,
    status::{PodStatus, Problem, problems},
};

/// Everything that applies to a pod.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PodDescription {
    /// Enrolment, capture, identity, certificate.
    pub status: PodStatus,
    /// Its node.
    pub node: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Is it ready?
    pub ready: bool,
    /// Ports that Services lead to; the last one, without number, stands for all others.
    pub ports: Vec<Port>,
    /// PeerAuthentications that count, the most specific first.
    pub peer_authentications: Vec<String>,
    /// AuthorizationPolicies that are asked.
    pub authorization_policies: Vec<Policy>,
    /// How traffic to its Services is routed, as seen from its own namespace.
    pub services: Vec<ServiceRules>,
    /// What is wrong with any of these objects.
    pub problems: Vec<Problem>,
}

/// One port of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Number; `None`: every port that is not listed.
    pub number: Option<u16>,
    /// What it is declared to speak.
    pub protocol: String,
    /// Mode that PeerAuthentications give it.
    pub mtls: String,
    /// Services that lead to it.
    pub services: Vec<String>,
}

/// One AuthorizationPolicy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// `namespace/name`.
    pub name: String,
    /// `ALLOW`, `DENY` or `AUDIT`.
    pub action: String,
    /// Rules that it has.
    pub rules: usize,
    /// Reported, never enforced.
    pub dry_run: bool,
}

/// How traffic to a Service is routed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRules {
    /// Fully qualified host.
    pub host: String,
    /// The VirtualService's entries; the Service's own endpoints where there is none.
    pub routes: Vec<Route>,
    /// `namespace/name` of the DestinationRule.
    pub destination_rule: Option<String>,
    /// Its TLS mode, `auto` without one.
    pub tls: String,
    /// How endpoints take turns.
    pub load_balancer: String,
    /// Its subsets, with the pods that belong to each.
    pub subsets: Vec<Subset>,
}

/// One subset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subset {
    /// Name.
    pub name: String,
    /// Labels, `name=value`.
    pub labels: Vec<String>,
    /// Ready endpoints in it.
    pub ready: usize,
}

/// Everything that applies to a Service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceDescription {
    /// Host, routes, subsets.
    pub rules: ServiceRules,
    /// How its name resolves.
    pub resolution: String,
    /// Its cluster addresses.
    pub addresses: Vec<IpAddr>,
    /// Its ports: `number name -> target, protocol`.
    pub ports: Vec<String>,
    /// Its endpoints.
    pub endpoints: Vec<ServiceEndpoint>,
    /// What is wrong with any of these objects.
    pub problems: Vec<Problem>,
}

/// One endpoint of a Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceEndpoint {
    /// Its address.
    pub address: IpAddr,
    /// `namespace/pod`, when it is a pod.
    pub pod: Option<String>,
    /// Its node.
    pub node: Option<String>,
    /// Is it chosen at all?
    pub ready: bool,
    /// Is the pod in the mesh?
    pub in_mesh: bool,
    /// mTLS modes of the ports that are dialled: one, when they agree.
    pub mtls: Vec<String>,
    /// AuthorizationPolicies that are asked there.
    pub authorization_policies: Vec<String>,
}

impl Admin {
    /// Describes a pod of this node.
    pub(super) fn describe_pod(&self, snapshot: &Snapshot, pod: &Workload) -> PodDescription {
        let policy = InboundPolicy::for_workload(snapshot, pod);
        let port = |number: Option<u16>, services: Vec<String>| Port {
            protocol: words::protocol(inbound_protocol(snapshot, pod, number.unwrap_or(0))),
            // No policy can name port 0: it stands for all that nobody names.
            mtls: words::mode(policy.mtls_mode(number.unwrap_or(0))).to_owned(),
            number,
            services,
        };
        let ports = config::ports_of(snapshot, pod).into_iter();
        let ports = ports.map(|(number, services)| port(Some(number), services)).chain([port(None, Vec::new())]);
        let services = service::of_pod(snapshot, pod);
        let mut description = PodDescription {
            status: self.pod_status(pod),
            node: pod.node.to_string(),
            addresses: pod.addresses.clone(),
            ready: pod.ready,
            ports: ports.collect(),
            peer_authentications: peers_of(snapshot, pod),
            authorization_policies: policy.policies().iter().map(|policy| self::policy(policy)).collect(),
            services: services.iter().map(|one| service::rules(snapshot, one)).collect(),
            problems: Vec::new(),
        };
        let policies = description.authorization_policies.iter().map(|one| format!("AuthorizationPolicy {}", one.name));
        let mut objects: Vec<String> = policies.collect();
        objects.extend(description.peer_authentications.iter().map(|one| format!("PeerAuthentication {one}")));
        objects.extend(description.services.iter().flat_map(ServiceRules::objects));
        objects.push(format!("Pod {}", pod.pod));
        description.problems = self.problems_of(&objects);
        description
    }

    fn problems_of(&self, objects: &[String]) -> Vec<Problem> {
        let report = self.report.borrow();
        let concerns = |problem: &Problem| problem.object.as_ref().is_some_and(|object| objects.contains(object));
        problems(&report.errors, &report.warnings).into_iter().filter(concerns).collect()
    }
}

fn policy(policy: &AuthorizationPolicy) -> Policy {
    let action = match policy.action {
        Action::Allow => "ALLOW",
        Action::Deny => "DENY",
        Action::Audit => "AUDIT",
    };
    Policy {
        name: policy.name.to_string(),
        action: action.to_owned(),
        rules: policy.rules.len(),
        dry_run: policy.dry_run,
    }
}

/// Those that count, in the order in which they are asked: for the pod, for its namespace, for the mesh.
fn peers_of(snapshot: &Snapshot, pod: &Workload) -> Vec<String> {
    let own = &pod.pod.namespace;
    let root = &snapshot.mesh.root_namespace;
    let selector = |policy: &PeerAuthentication| policy.selector.clone().filter(|labels| !labels.is_empty());
    let all = || snapshot.peer_authentications.iter();
    let in_place = |place: &Arc<str>| {
        // The oldest counts, and they are in that order.
        all().find(|one| one.name.namespace == *place && selector(one).is_none())
    };
    let for_pod = all()
        .filter(|one| one.name.namespace == *own && selector(one).is_some_and(|labels| selects(&labels, &pod.labels)));
    let mesh = if own == root { None } else { in_place(root) };
    let names = for_pod.chain(in_place(own)).chain(mesh).map(|one| one.name.to_string());
    names.collect()
}

#[cfg(test)]
mod tests;
