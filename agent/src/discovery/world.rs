//! The objects in force -> one [`World`].
//!
//! Rebuilt whole on each change: what is in it depends on everything else (labels of namespaces, pods
//! behind Services, the mesh's settings), and a whole is easier to trust than a patch.

pub mod cluster_ip;
pub mod deployment;
pub mod endpoints;
pub mod enrolment;
pub mod protocol;
pub mod service;
pub mod workload;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use k8s_openapi::api::{core::v1::Pod, core::v1::Service, discovery::v1::EndpointSlice};
use weft_model::{
    mesh::MeshConfig,
    service::Resolution,
    snapshot::World,
    workload::{Labels, Named},
};

use self::{
    endpoints::{Member, Members},
    workload::Surroundings,
};
use super::{
    convert::{capture, destination_rule, host::KnownServices, virtual_service},
    netns_addresses::NetnsAddresses,
    objects::{Content, Key, Kind},
    problem::Problem,
    store::{InForce, View},
};

/// What a world needs beside the objects.
pub struct Inputs<'a> {
    /// DNS suffix of the cluster.
    pub cluster_domain: &'a Arc<str>,
    /// Node of pods that name none: the agent's own.
    pub default_node: &'a Arc<str>,
    /// Who knows the addresses of namespaces; `None` leaves pods without status without addresses.
    pub addresses: Option<&'a dyn NetnsAddresses>,
}

/// A world, and what was noticed on the way.
#[derive(Debug, Default)]
pub struct Built {
    /// The world; its version is set by who publishes it.
    pub world: World,
    /// Warnings that only the whole shows.
    pub warnings: Vec<Problem>,
    /// Pods whose addresses came from their network namespace: these can change without any file.
    pub netns_pods: usize,
    /// Some namespace could not be asked (yet).
    pub awaits_addresses: bool,
}

/// Builds the world of the objects in force.
pub fn build(view: &View<'_>, inputs: &Inputs<'_>) -> Built {
    let mut builder = Builder { view, inputs, built: Built::default() };
    builder.built.world.mesh = builder.mesh();
    let members = builder.members();
    builder.services(&members);
    builder.rules();
    builder.built.world.workloads = members.by_name.into_values().map(|member| member.workload).collect();
    builder.built
}

struct Builder<'a> {
    view: &'a View<'a>,
    inputs: &'a Inputs<'a>,
    built: Built,
}

impl<'a> Builder<'a> {
    fn of_kind(&self, kind: Kind) -> impl Iterator<Item = (&'a Key, InForce<'a>)> + use<'a> {
        self.view.objects.iter().filter(move |(key, _)| key.kind == kind).map(|(key, object)| (*key, *object))
    }

    fn warn(&mut self, key: &Key, object: InForce<'_>, message: String, next_step: &str) {
        self.built.warnings.push(Problem {
            file: object.file.clone(),
            line: Some(object.parsed.line),
            object: Some(key.to_string()),
            field: None,
            message,
            next_step: next_step.to_owned(),
        });
    }

    fn mesh(&self) -> MeshConfig {
        let configured = self.of_kind(Kind::ConfigMap).find_map(|(_, object)| match &object.parsed.content {
            Content::MeshConfig(mesh) => Some(MeshConfig::clone(mesh)),
            _ => None,
        });
        configured.unwrap_or_else(|| MeshConfig {
            cluster_domain: self.inputs.cluster_domain.clone(),
            ..MeshConfig::default()
        })
    }

    fn labels_of(&self, kind: Kind) -> BTreeMap<Arc<str>, Labels> {
        let labels = |(key, object): (&Key, InForce<'_>)| match &object.parsed.content {
            Content::Namespace(labels) | Content::Node(labels) => Some((key.name.clone(), labels.clone())),
            _ => None,
        };
        self.of_kind(kind).filter_map(labels).collect()
    }

    /// Pods as written, and those derived from Deployments.
    fn pods(&mut self) -> Vec<(&'a Key, InForce<'a>, Named, Cow<'a, Pod>)> {
        let mut pods = Vec::new();
        for (key, object) in self.of_kind(Kind::Pod) {
            if let Content::Pod(pod) = &object.parsed.content
                && !workload::is_over(pod)
            {
                let name = Named { namespace: key.namespace.clone(), name: key.name.clone() };
                pods.push((key, object, name, Cow::Borrowed(&**pod)));
            }
        }
        let written: BTreeSet<Named> = pods.iter().map(|(_, _, name, _)| name.clone()).collect();
        let owners = pods
            .iter()
            .filter_map(|(_, _, name, pod)| Some((name.namespace.clone(), Arc::from(workload::controller(pod)?))));
        let owners: BTreeSet<(Arc<str>, Arc<str>)> = owners.collect();
        for (key, object) in self.of_kind(Kind::Deployment) {
            let Content::Deployment(deployment) = &object.parsed.content else { continue };
            if owners.contains(&(key.namespace.clone(), key.name.clone())) {
                // A dump of a cluster: its pods are here themselves.
                continue;
            }
            if deployment::lacks_namespaces(deployment) {
                let message = format!("has fewer network namespaces than pods ({} names them)", capture::NETNS);
                let next = "add the annotation to spec.template.metadata, for example weft.dev/netns: pod-a, pod-b";
                self.warn(key, object, message, next);
            }
            for pod in deployment::pods(&key.name, deployment) {
                let name = pod.metadata.name.as_deref().unwrap_or_default();
                let name = Named { namespace: key.namespace.clone(), name: name.into() };
                if !written.contains(&name) {
                    pods.push((key, object, name, Cow::Owned(pod)));
                }
            }
        }
        pods
    }

    fn members(&mut self) -> Members<'a> {
        let mesh = self.built.world.mesh.clone();
        let (namespaces, nodes) = (self.labels_of(Kind::Namespace), self.labels_of(Kind::Node));
        let enrolled = |(name, labels): (&Arc<str>, &Labels)| (name.clone(), enrolment::of_namespace(name, labels));
        self.built.world.namespaces = namespaces.iter().map(enrolled).collect();
        let around = Surroundings {
            mesh: &mesh,
            namespaces: &namespaces,
            nodes: &nodes,
            default_node: self.inputs.default_node,
        };
        let mut members = Members { by_name: BTreeMap::new(), by_address: HashMap::new() };
        for (key, object, name, pod) in self.pods() {
            let mut workload = workload::workload(name.clone(), &pod, &around);
            if let (true, false, Some(netns)) =
                (workload.addresses.is_empty(), workload.host_network, workload.capture.netns.clone())
            {
                workload.addresses = self.ask(key, object, &name, &netns);
            }
            let workload = Arc::new(workload);
            for address in workload.addresses.iter().filter(|_| !workload.host_network) {
                if let Some(other) = members.by_address.insert(*address, workload.clone()) {
                    let message = format!("pods {} and {name} have the same address {address}", other.pod);
                    self.warn(key, object, message, "give each pod an address of its own");
                }
            }
            members.by_name.insert(name, Member { pod, workload });
        }
        members
    }

    /// Addresses of a pod without status, from its namespace.
    fn ask(&mut self, key: &Key, object: InForce<'_>, pod: &Named, netns: &Arc<str>) -> Vec<std::net::IpAddr> {
        let Some(who) = self.inputs.addresses else { return Vec::new() };
        self.built.netns_pods += 1;
        let next = "create the namespace and its interface; it is looked for again";
        match who.addresses(netns) {
            Ok(addresses) if !addresses.is_empty() => {
                return addresses.into_iter().map(|ip| ip.to_canonical()).collect();
            }
            Ok(_) => self.warn(key, object, format!("network namespace {netns} of pod {pod} has no address"), next),
            Err(error) => {
                let message = format!("addresses of pod {pod} in network namespace {netns}: {error}");
                self.warn(key, object, message, next);
            }
        }
        self.built.awaits_addresses = true;
        Vec::new()
    }

    fn services(&mut self, members: &Members<'_>) {
        let mut slices: BTreeMap<(&str, &str), Vec<&EndpointSlice>> = BTreeMap::new();
        for (key, object) in self.of_kind(Kind::EndpointSlice) {
            if let Content::EndpointSlice(slice) = &object.parsed.content {
                let labels = slice.metadata.labels.as_ref();
                match labels.and_then(|labels| labels.get("kubernetes.io/service-name")) {
                    Some(of) => slices.entry((&key.namespace, of)).or_default().push(slice),
                    None => {
                        let message = "belongs to no Service".to_owned();
                        self.warn(key, object, message, "add the label kubernetes.io/service-name");
                    }
                }
            }
        }
        for (key, object) in self.of_kind(Kind::Service) {
            let Content::Service(written) = &object.parsed.content else { continue };
            let name = Named { namespace: key.namespace.clone(), name: key.name.clone() };
            let slices = slices.get(&(&*key.namespace, &*key.name));
            self.service(name, written, slices, members);
        }
        cluster_ip::allocate(&mut self.built.world.services);
    }

    fn service(&mut self, name: Named, written: &Service, slices: Option<&Vec<&EndpointSlice>>, members: &Members<'_>) {
        let mut service = service::service(name, written, self.inputs.cluster_domain);
        service.endpoints = match slices {
            _ if matches!(service.resolution, Resolution::ExternalName(_)) => Vec::new(),
            Some(slices) => endpoints::from_slices(&service, slices, members),
            None => endpoints::from_pods(&service, written, members),
        };
        self.built.world.services.push(Arc::new(service));
    }

    fn rules(&mut self) {
        let services = self.of_kind(Kind::Service);
        let known: KnownServices = services.map(|(key, _)| (key.name.clone(), key.namespace.clone())).collect();
        let domain = self.inputs.cluster_domain;
        let world = &mut self.built.world;
        for object in self.view.objects.values() {
            match &object.parsed.content {
                Content::VirtualService(rule) => {
                    let better = virtual_service::qualify(rule, &known, domain).map(Arc::new);
                    world.virtual_services.push(better.unwrap_or_else(|| rule.clone()));
                }
                Content::DestinationRule(rule) => {
                    let better = destination_rule::qualify(rule, &known, domain).map(Arc::new);
                    world.destination_rules.push(better.unwrap_or_else(|| rule.clone()));
                }
                Content::PeerAuthentication(policy) => world.peer_authentications.push(policy.clone()),
                Content::AuthorizationPolicy(policy) => world.authorization_policies.push(policy.clone()),
                _ => {}
            }
        }
    }
}

/// Do two worlds say the same, whatever their version?
pub fn is_same(a: &World, b: &World) -> bool {
    a.mesh == b.mesh
        && a.namespaces == b.namespaces
        && a.workloads == b.workloads
        && a.services == b.services
        && a.virtual_services == b.virtual_services
        && a.destination_rules == b.destination_rules
        && a.peer_authentications == b.peer_authentications
        && a.authorization_policies == b.authorization_policies
}

#[cfg(test)]
mod tests;
