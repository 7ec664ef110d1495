//! The objects in force -> one [`World`].
//!
//! Built whole on each change: what is in it depends on everything else (labels of namespaces, pods behind Services, the
//! mesh's settings), and a whole is easier to trust than a patch. What is made from the same things as in the world
//! before is not made again: one pod more among ten thousand costs one pod.

pub mod cluster_ip;
pub mod endpoints;
pub mod enrolment;
pub mod members;
mod pods;
mod services;
pub mod workload;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use weft_model::{
    mesh::MeshConfig,
    snapshot::World,
    workload::{Labels, Named},
};

use self::{
    members::{Changed, Member},
    services::Assembled,
};
use super::{
    convert::{destination_rule, host::KnownServices, virtual_service},
    netns_addresses::NetnsAddresses,
    objects::{Content, Key, Kind},
    problem::Problem,
    store::{InForce, View},
};
use crate::net::PodPlaces;

/// What a world needs beside the objects.
pub struct Inputs<'a> {
    /// DNS suffix of the cluster.
    pub cluster_domain: &'a Arc<str>,
    /// Where pods are.
    pub whereabouts: Whereabouts<'a>,
}

/// Who knows where pods are, and with that, whose cluster it is.
#[derive(Clone, Copy)]
pub enum Whereabouts<'a> {
    /// Files: what nobody writes down is made up, as a cluster would have it.
    Files {
        /// Node of pods that name none: the agent's own.
        node: &'a Arc<str>,
        /// Who knows the addresses of namespaces; `None` leaves pods without status without addresses.
        addresses: Option<&'a dyn NetnsAddresses>,
    },
    /// An API server: everything is written down, but for what only the node knows of its pods.
    ApiServer {
        /// The agent's node.
        node: &'a Arc<str>,
        /// Its pods.
        places: &'a PodPlaces,
    },
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

/// Parts of the last world, for the next one.
#[derive(Debug, Default)]
pub struct Before {
    mesh: MeshConfig,
    members: BTreeMap<Named, Member>,
    services: HashMap<Named, Assembled>,
}

/// Builds the world of the objects in force. `before` is what the last call left there, or nothing.
pub fn build(view: &View<'_>, inputs: &Inputs<'_>, before: &mut Before) -> Built {
    let mut builder = Builder { view, inputs, built: Built::default() };
    let mesh = builder.mesh();
    if before.mesh != mesh {
        *before = Before { mesh: mesh.clone(), ..Before::default() };
    }
    builder.built.world.mesh = mesh;
    builder.built.world.namespaces = builder.namespaces();
    let mut changed = Changed::default();
    let members = builder.members(std::mem::take(&mut before.members), &mut changed);
    builder.services(&members, &changed, &mut before.services);
    builder.rules();
    builder.built.world.workloads = members.by_name.values().map(|member| member.workload.clone()).collect();
    before.members = members.by_name;
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
            line: object.parsed.line,
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

    /// Namespaces: are their pods enrolled, unless one says otherwise?
    fn namespaces(&self) -> BTreeMap<Arc<str>, bool> {
        let enrolled = |(name, labels): (&str, &Arc<Labels>)| (name.into(), enrolment::of_namespace(name, labels));
        self.labels_of(Kind::Namespace).into_iter().map(enrolled).collect()
    }

    fn labels_of(&self, kind: Kind) -> HashMap<&'a str, &'a Arc<Labels>> {
        let labels = |(key, object): (&'a Key, InForce<'a>)| match &object.parsed.content {
            Content::Namespace(labels) | Content::Node(labels) => Some((&*key.name, labels)),
            _ => None,
        };
        self.of_kind(kind).filter_map(labels).collect()
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
