//! What an object refers to and the cluster does not have.
//!
//! None of it is an error: the order in which people create things is theirs, and a Service may come later. The webhook
//! warns about what makes requests fail, the status writer says all of it for as long as it is so.

use weft_model::{
    policy::{AuthorizationPolicy, PeerAuthentication},
    route::{Destination, DestinationRule, VirtualService},
    snapshot::Snapshot,
    workload::{Labels, Named, selects},
};

use crate::discovery::{
    convert::{destination_rule, host::KnownServices, virtual_service},
    objects::Content,
};

/// One thing that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Field that refers to it.
    pub field: String,
    /// What sort of thing.
    pub what: What,
    /// What is missing and what follows, for a person.
    pub message: String,
}

/// Sorts of things, by what follows from their absence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// No Service of that name: requests fail.
    Host,
    /// The Service has no such port: requests fail.
    Port,
    /// No DestinationRule defines the subset: requests fail.
    Subset,
    /// No pod is selected: nothing happens yet.
    Workloads,
}

/// The cluster that objects refer to.
pub struct References<'a> {
    snapshot: &'a Snapshot,
    known: KnownServices,
}

impl<'a> References<'a> {
    /// Ready for any number of questions about one snapshot.
    pub fn new(snapshot: &'a Snapshot) -> Self {
        let services = snapshot.services.values();
        let known = services.map(|service| (service.name.name.clone(), service.name.namespace.clone())).collect();
        Self { snapshot, known }
    }

    /// The mesh's root namespace.
    pub fn root_namespace(&self) -> &str {
        &self.snapshot.mesh.root_namespace
    }

    /// What an object refers to in vain. Of a snapshot in which nothing was read yet that is nothing.
    pub fn missing(&self, content: &Content) -> Vec<Missing> {
        if self.snapshot.version == 0 {
            return Vec::new();
        }
        match content {
            Content::VirtualService(rule) => self.of_virtual_service(rule),
            Content::DestinationRule(rule) => self.of_destination_rule(rule),
            Content::PeerAuthentication(policy) => self.of_peer_authentication(policy),
            Content::AuthorizationPolicy(policy) => self.of_authorization_policy(policy),
            _ => Vec::new(),
        }
    }

    fn of_virtual_service(&self, rule: &VirtualService) -> Vec<Missing> {
        let better = virtual_service::qualify(rule, &self.known, &self.snapshot.mesh.cluster_domain);
        let rule = better.as_ref().unwrap_or(rule);
        let mut found = Vec::new();
        for (index, route) in rule.http.iter().enumerate() {
            for (position, one) in route.destinations.iter().enumerate() {
                let field = format!("spec.http[{index}].route[{position}].destination");
                found.extend(self.of_destination(&one.destination, &field));
            }
        }
        // Routes whose conditions are not enforced are left out of the model: their position there says nothing.
        for one in rule.tcp.iter().flat_map(|route| &route.destinations) {
            found.extend(self.of_destination(&one.destination, "spec.tcp[].route[].destination"));
        }
        found
    }

    fn of_destination(&self, destination: &Destination, field: &str) -> Option<Missing> {
        let Destination { host, subset, port } = destination;
        let missing = |name: &str, what, message| Some(Missing { field: format!("{field}.{name}"), what, message });
        let Some(service) = self.snapshot.services.get(host) else {
            let message = format!("there is no Service {host}: requests routed to it fail with 503");
            return missing("host", What::Host, message);
        };
        if let Some(number) = port.filter(|number| service.port(*number).is_none()) {
            let message = format!("Service {host} has no port {number}: requests routed to it fail with 503");
            return missing("port.number", What::Port, message);
        }
        let subset = subset.as_ref()?;
        let mut rules = self.snapshot.destination_rules.iter().filter(|rule| names(&rule.host, host));
        if rules.any(|rule| rule.subsets.iter().any(|one| one.name == *subset)) {
            return None;
        }
        let message = format!(
            "no DestinationRule for {host} defines the subset {subset}: requests routed to it fail with 503 until one does"
        );
        missing("subset", What::Subset, message)
    }

    fn of_destination_rule(&self, rule: &DestinationRule) -> Vec<Missing> {
        let better = destination_rule::qualify(rule, &self.known, &self.snapshot.mesh.cluster_domain);
        let rule = better.as_ref().unwrap_or(rule);
        if rule.host.starts_with('*') {
            return Vec::new();
        }
        let Some(service) = self.snapshot.services.get(&rule.host) else {
            let message = format!("there is no Service {}", rule.host);
            return vec![Missing { field: "spec.host".to_owned(), what: What::Host, message }];
        };
        let pods = || service.endpoints.iter().filter_map(|endpoint| endpoint.workload.as_deref());
        let is_empty = |labels: &Labels| !labels.is_empty() && !pods().any(|pod| selects(labels, &pod.labels));
        let subsets = rule.subsets.iter().enumerate().filter(|(_, subset)| is_empty(&subset.labels));
        let missing = |(index, subset): (usize, &weft_model::route::Subset)| Missing {
            field: format!("spec.subsets[{index}].labels"),
            what: What::Workloads,
            message: format!("no pod of {} is in subset {} ({})", rule.host, subset.name, written(&subset.labels)),
        };
        subsets.map(missing).collect()
    }

    fn of_peer_authentication(&self, policy: &PeerAuthentication) -> Vec<Missing> {
        self.of_selector(&policy.name, policy.selector.as_ref()).into_iter().collect()
    }

    fn of_authorization_policy(&self, policy: &AuthorizationPolicy) -> Vec<Missing> {
        self.of_selector(&policy.name, policy.selector.as_ref()).into_iter().collect()
    }

    /// A policy without a selector is for all workloads there will ever be.
    fn of_selector(&self, policy: &Named, selector: Option<&Labels>) -> Option<Missing> {
        let selector = selector?;
        let is_root = policy.namespace == self.snapshot.mesh.root_namespace;
        let mut pods = self.snapshot.workloads.values();
        if pods.any(|pod| (is_root || pod.pod.namespace == policy.namespace) && selects(selector, &pod.labels)) {
            return None;
        }
        let place = if is_root { "any namespace".to_owned() } else { format!("namespace {}", policy.namespace) };
        Some(Missing {
            field: "spec.selector.matchLabels".to_owned(),
            what: What::Workloads,
            message: format!("no pod in {place} has the labels {}", written(selector)),
        })
    }
}

/// Does a rule for `pattern` name that host?
fn names(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(suffix) => host.ends_with(suffix),
        None => pattern == host,
    }
}

/// Labels as people write them for `kubectl -l`.
pub fn written(labels: &Labels) -> String {
    labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests;
