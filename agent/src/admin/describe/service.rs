//! A Service: its routes and subsets as clients of its own namespace see them, and what its endpoints demand.

use std::sync::Arc;

use weft_model::{
    decision::InboundPolicy,
    route,
    service::{self, Resolution, Service, ServicePort, TargetPort},
    snapshot::Snapshot,
    workload::{Named, Workload, selects},
};

use super::{ServiceDescription, ServiceEndpoint, ServiceRules, Subset};
use crate::admin::{Admin, config, explain::words, pods};

impl Admin {
    /// Describes a Service.
    pub(in crate::admin) fn describe_service(&self, snapshot: &Snapshot, service: &Service) -> ServiceDescription {
        let rules = rules(snapshot, service);
        let mut objects = rules.objects();
        objects.push(format!("Service {}", service.name));
        ServiceDescription {
            resolution: match &service.resolution {
                Resolution::ClusterIp => "cluster IP".to_owned(),
                Resolution::Headless => "headless: clients dial pods".to_owned(),
                Resolution::ExternalName(name) => format!("alias of {name}"),
            },
            addresses: service.vips.clone(),
            ports: ports(service),
            endpoints: service.endpoints.iter().map(|endpoint| self::endpoint(snapshot, endpoint)).collect(),
            problems: self.problems_of(&objects),
            rules,
        }
    }
}

impl ServiceRules {
    /// `Kind namespace/name` of what made them.
    pub(super) fn objects(&self) -> Vec<String> {
        let virtual_services = self.routes.iter().filter_map(|route| route.from.rsplit_once(' ')).map(|(name, _)| name);
        let rule = self.destination_rule.iter().map(|name| format!("DestinationRule {name}"));
        let mut objects: Vec<String> = virtual_services.map(str::to_owned).chain(rule).collect();
        objects.dedup();
        objects
    }
}

fn ports(service: &Service) -> Vec<String> {
    let describe = |port: &ServicePort| {
        let name = if port.name.is_empty() { String::new() } else { format!(" {}", port.name) };
        let target = match &port.target {
            TargetPort::Number(number) => number.to_string(),
            TargetPort::Name(name) => name.to_string(),
        };
        format!("{}{name} -> {target}: {}", port.number, words::protocol(port.protocol))
    };
    service.ports.iter().map(describe).collect()
}

/// Services with an endpoint that is the pod.
pub(super) fn of_pod<'a>(snapshot: &'a Snapshot, pod: &Workload) -> Vec<&'a Service> {
    let is_pod = |one: &service::Endpoint| one.workload.as_ref().is_some_and(|one| one.pod == pod.pod);
    let has = |service: &&Arc<Service>| service.endpoints.iter().any(is_pod);
    snapshot.services.values().filter(has).map(|service| &**service).collect()
}

/// As clients in the Service's own namespace see it.
pub(super) fn rules(snapshot: &Snapshot, service: &Service) -> ServiceRules {
    let namespace = &*service.name.namespace;
    let routes = snapshot.virtual_service_for(&service.host, namespace);
    let rule = snapshot.destination_rule_for(&service.host, namespace);
    let port = service.ports.first().map_or(0, |port| port.number);
    let policy = rule.map(|rule| rule.effective_policy(None, port)).unwrap_or_default();
    let subset = |subset: &route::Subset| Subset {
        name: subset.name.to_string(),
        labels: subset.labels.iter().map(|(name, value)| format!("{name}={value}")).collect(),
        ready: service.endpoints.iter().filter(|one| one.ready && is_in(one, subset)).count(),
    };
    ServiceRules {
        host: service.host.to_string(),
        routes: routes.map(|one| config::entries(&service.host, one)).unwrap_or_default(),
        destination_rule: rule.map(|rule| rule.name.to_string()),
        tls: config::tls(policy.tls).to_owned(),
        load_balancer: config::load_balancer(policy.load_balancer).to_owned(),
        subsets: rule.iter().flat_map(|rule| &rule.subsets).map(subset).collect(),
    }
}

fn is_in(endpoint: &service::Endpoint, subset: &route::Subset) -> bool {
    endpoint.workload.as_ref().is_some_and(|workload| selects(&subset.labels, &workload.labels))
}

fn endpoint(snapshot: &Snapshot, endpoint: &service::Endpoint) -> ServiceEndpoint {
    let pod = endpoint.workload.as_deref().filter(|pod| pod.is_enrolled());
    let policy = pod.map(|pod| InboundPolicy::for_workload(snapshot, pod));
    let mut mtls: Vec<String> = policy
        .iter()
        .flat_map(|policy| endpoint.ports.values().map(|port| words::mode(policy.mtls_mode(*port)).to_owned()))
        .collect();
    mtls.sort();
    mtls.dedup();
    ServiceEndpoint {
        address: endpoint.address,
        pod: endpoint.workload.as_ref().map(|pod| pod.pod.to_string()),
        node: endpoint.workload.as_ref().map(|pod| pod.node.to_string()),
        ready: endpoint.ready,
        in_mesh: pod.is_some(),
        mtls,
        authorization_policies: policy
            .iter()
            .flat_map(|policy| policy.policies())
            .map(|policy| policy.name.to_string())
            .collect(),
    }
}

/// The Service that is meant, or names that come near.
pub(in crate::admin) fn find<'a>(snapshot: &'a Snapshot, wanted: &Named) -> Result<&'a Service, String> {
    let all = || snapshot.services.values().map(|service| &**service);
    all().find(|service| service.name == *wanted).ok_or_else(|| {
        let near = pods::near(wanted, all().map(|service| &service.name));
        match &*near {
            [] => format!("there is no Service {wanted}, nor one with a name like it"),
            near => format!("there is no Service {wanted}; there is {}", near.join(", ")),
        }
    })
}
