//! Worlds in a few lines, for tests of this crate and (feature `testing`) of others.
//!
//! Pods and Services are described as manifests do; [`TestWorld::snapshot`] wires endpoints from labels, as Kubernetes
//! does, and indexes the result.

mod rules;

pub use rules::*;

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use crate::{
    address::OriginalDst,
    balance::{ClusterKey, Draw},
    identity::SpiffeId,
    mesh::MeshConfig,
    policy::{AuthorizationPolicy, PeerAuthentication},
    route::{DestinationRule, VirtualService},
    service::{AppProtocol, Endpoint, Resolution, Service, ServicePort, TargetPort},
    snapshot::{Snapshot, World},
    workload::{Canonical, Capture, Enrolment, Labels, Locality, Named, Workload, selects},
};

/// A world being described. Pods and policies may be edited in place until the snapshot is taken.
#[derive(Clone, Debug, Default)]
pub struct TestWorld {
    /// Mesh settings.
    pub mesh: MeshConfig,
    /// Namespaces whose pods are, or are not, enrolled.
    pub namespaces: BTreeMap<Arc<str>, bool>,
    /// Pods.
    pub pods: Vec<Workload>,
    /// Services with the labels their endpoints carry.
    pub services: Vec<(Service, Labels)>,
    /// VirtualServices.
    pub virtual_services: Vec<VirtualService>,
    /// DestinationRules.
    pub destination_rules: Vec<DestinationRule>,
    /// PeerAuthentications.
    pub peer_authentications: Vec<PeerAuthentication>,
    /// AuthorizationPolicies.
    pub authorization_policies: Vec<AuthorizationPolicy>,
}

impl TestWorld {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// An enrolled, ready pod `name` in namespace `namespace`; its service account is the label `app`, else `default`.
    pub fn pod(&mut self, namespace: &str, name: &str, address: &str, with: &[(&str, &str)]) -> &mut Workload {
        let labels = labels(with);
        let label =
            |key: &str, otherwise: &str| -> Arc<str> { labels.get(key).cloned().unwrap_or_else(|| otherwise.into()) };
        let pod = Workload {
            pod: Named::new(namespace, name),
            uid: "".into(),
            addresses: vec![ip(address)],
            node: "node-a".into(),
            identity: SpiffeId {
                trust_domain: self.mesh.trust_domain.clone(),
                namespace: namespace.into(),
                service_account: label("app", "default"),
            },
            canonical: Canonical {
                workload: name.into(),
                service: label("app", name),
                revision: label("version", "latest"),
                app: label("app", "unknown"),
                version: label("version", "unknown"),
            },
            enrolment: Enrolment::Enrolled,
            capture: Capture::default(),
            ready: true,
            locality: Locality::default(),
            scrape: None,
            host_network: false,
            labels: Arc::new(labels),
        };
        let position = self.pods.len();
        self.pods.push(pod);
        &mut self.pods[position]
    }

    /// A ClusterIP Service over the pods of its namespace that carry `selector`; `ports` are (number, target port).
    pub fn service(
        &mut self,
        namespace: &str,
        name: &str,
        vip: &str,
        ports: &[(u16, u16)],
        selector: &[(&str, &str)],
    ) -> &mut Service {
        let service = Service {
            host: fqdn(namespace, name),
            name: Named::new(namespace, name),
            resolution: Resolution::ClusterIp,
            vips: vec![ip(vip)],
            ports: ports.iter().map(|(number, target)| port(*number, *target)).collect(),
            endpoints: Vec::new(),
        };
        let position = self.services.len();
        self.services.push((service, labels(selector)));
        &mut self.services[position].0
    }

    /// A headless Service over the same kind of selection.
    pub fn headless(
        &mut self,
        namespace: &str,
        name: &str,
        ports: &[(u16, u16)],
        selector: &[(&str, &str)],
    ) -> &mut Service {
        let service = self.service(namespace, name, "0.0.0.0", ports, selector);
        service.vips.clear();
        service.resolution = Resolution::Headless;
        service
    }

    /// The pod of that name.
    ///
    /// # Panics
    /// When there is none: the test is wrong.
    pub fn pod_mut(&mut self, name: &str) -> &mut Workload {
        self.pods.iter_mut().find(|pod| &*pod.pod.name == name).expect("a pod of that name")
    }

    /// The parts, with endpoints wired.
    pub fn world(&self) -> World {
        let workloads: Vec<Arc<Workload>> = self.pods.iter().cloned().map(Arc::new).collect();
        let services = self.services.iter().map(|(service, selector)| {
            let mut service = service.clone();
            let selected = workloads
                .iter()
                .filter(|pod| pod.pod.namespace == service.name.namespace && selects(selector, &pod.labels));
            service.endpoints.extend(selected.flat_map(|pod| endpoints_of(&service.ports, pod)).collect::<Vec<_>>());
            Arc::new(service)
        });
        World {
            version: 1,
            mesh: self.mesh.clone(),
            namespaces: self.namespaces.clone(),
            services: services.collect(),
            workloads,
            virtual_services: arcs(&self.virtual_services),
            destination_rules: arcs(&self.destination_rules),
            peer_authentications: arcs(&self.peer_authentications),
            authorization_policies: arcs(&self.authorization_policies),
        }
    }

    /// The indexed world.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.world())
    }
}

fn arcs<T: Clone>(all: &[T]) -> Vec<Arc<T>> {
    all.iter().cloned().map(Arc::new).collect()
}

fn endpoints_of(ports: &[ServicePort], pod: &Arc<Workload>) -> Vec<Endpoint> {
    let target = |port: &ServicePort| match port.target {
        TargetPort::Number(number) => Some((port.number, number)),
        TargetPort::Name(_) => None,
    };
    let ports: BTreeMap<u16, u16> = ports.iter().filter_map(target).collect();
    let endpoint = |address: &IpAddr| Endpoint {
        address: *address,
        ports: ports.clone(),
        workload: Some(pod.clone()),
        ready: pod.ready,
    };
    pod.addresses.iter().map(endpoint).collect()
}

/// `name.namespace.svc.cluster.local`.
pub fn fqdn(namespace: &str, name: &str) -> Arc<str> {
    format!("{name}.{namespace}.svc.cluster.local").into()
}

/// An HTTP Service port.
pub fn port(number: u16, target: u16) -> ServicePort {
    ServicePort {
        number,
        name: "".into(),
        target: TargetPort::Number(target),
        protocol: AppProtocol::Http,
        node_port: None,
    }
}

/// An address.
///
/// # Panics
/// When it is none: the test is wrong.
pub fn ip(text: &str) -> IpAddr {
    text.parse().expect("an IP address")
}

/// An address with port.
///
/// # Panics
/// When it is none: the test is wrong.
pub fn socket(text: &str) -> SocketAddr {
    text.parse().expect("an address with port")
}

/// An original destination.
pub fn dialled(text: &str) -> OriginalDst {
    OriginalDst(socket(text))
}

/// Labels.
pub fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| (Arc::from(*name), Arc::from(*value))).collect()
}

/// Dice that fall the same way for the same seed (xorshift64*), with a turn per cluster.
#[derive(Clone, Debug)]
pub struct Dice {
    state: u64,
    turns: HashMap<ClusterKey, usize>,
}

impl Dice {
    /// Dice of that seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(2).wrapping_add(0x9E37_79B9_7F4A_7C15) | 1, turns: HashMap::new() }
    }
}

impl Draw for Dice {
    fn below(&mut self, bound: u32) -> u32 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let high = self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
        // The product of two 32-bit numbers shifted by 32 is below the second (Lemire's reduction).
        u32::try_from((high * u64::from(bound)) >> 32).unwrap_or(0)
    }

    fn turn(&mut self, cluster: &ClusterKey) -> usize {
        let turn = self.turns.entry(cluster.clone()).or_insert(0);
        let now = *turn;
        *turn += 1;
        now
    }
}
