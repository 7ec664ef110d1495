//! Which mTLS mode PeerAuthentications give a port of a workload.
//!
//! The most specific level that says something wins: port, workload, namespace, mesh; nothing said is PERMISSIVE. On
//! the namespace and mesh level the oldest policy counts, as in Istio, and the others are ignored whole. On the
//! workload level several policies may select the same pod; Istio takes the oldest there, too, and a younger STRICT
//! silently does nothing. weft asks each of them about the port (its `portLevelMtls` entry, else its mode) and takes
//! the strictest that says something: adding a policy for a workload never opens what another one closed.
//!
//! `portLevelMtls` counts only beside a selector (Istio's rule). A policy of the root namespace with a selector is
//! for workloads of that namespace.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{MtlsMode, PeerAuthentication};
use crate::workload::{Labels, Workload, selects};

/// What is said when nothing is said.
const DEFAULT: MtlsMode = MtlsMode::Permissive;

/// All PeerAuthentications, by level and namespace.
#[derive(Clone, Debug, Default)]
pub(crate) struct PeerModes {
    mesh: Option<MtlsMode>,
    namespaces: HashMap<Arc<str>, Option<MtlsMode>>,
    workloads: HashMap<Arc<str>, Vec<Arc<PeerAuthentication>>>,
}

impl PeerModes {
    /// `all` in order of precedence.
    pub(crate) fn new(all: &[Arc<PeerAuthentication>], root_namespace: &str) -> Self {
        let mut modes = Self::default();
        let mut mesh_is_set = false;
        for policy in all {
            let namespace = &policy.name.namespace;
            if selector(policy).is_some() {
                modes.workloads.entry(namespace.clone()).or_default().push(policy.clone());
            } else if **namespace == *root_namespace {
                if !std::mem::replace(&mut mesh_is_set, true) {
                    modes.mesh = policy.mode;
                }
            } else {
                modes.namespaces.entry(namespace.clone()).or_insert(policy.mode);
            }
        }
        modes
    }

    /// Mode of one port of `workload`, without allocating.
    pub(crate) fn mode(&self, workload: &Workload, port: u16) -> MtlsMode {
        strictest(self.selecting(workload).map(|policy| of_port(policy, port)))
            .unwrap_or_else(|| self.inherited(&workload.pod.namespace))
    }

    /// Modes of all ports of `workload`.
    pub(crate) fn of_workload(&self, workload: &Workload) -> PortModes {
        let inherited = self.inherited(&workload.pod.namespace);
        let named = self.selecting(workload).flat_map(|policy| policy.ports.keys());
        PortModes {
            otherwise: strictest(self.selecting(workload).map(|policy| policy.mode)).unwrap_or(inherited),
            ports: named.map(|port| (*port, self.mode(workload, *port))).collect(),
        }
    }

    fn inherited(&self, namespace: &str) -> MtlsMode {
        self.namespaces.get(namespace).copied().flatten().or(self.mesh).unwrap_or(DEFAULT)
    }

    fn selecting<'a>(&'a self, workload: &'a Workload) -> impl Iterator<Item = &'a Arc<PeerAuthentication>> {
        let here = self.workloads.get(&workload.pod.namespace).into_iter().flatten();
        here.filter(|policy| selector(policy).is_some_and(|labels| selects(labels, &workload.labels)))
    }
}

/// An empty selector is none.
fn selector(policy: &PeerAuthentication) -> Option<&Labels> {
    policy.selector.as_ref().filter(|labels| !labels.is_empty())
}

/// What a workload's policy says about a port; `None` when it leaves it to wider levels.
fn of_port(policy: &PeerAuthentication, port: u16) -> Option<MtlsMode> {
    policy.ports.get(&port).copied().flatten().or(policy.mode)
}

fn strictest(modes: impl Iterator<Item = Option<MtlsMode>>) -> Option<MtlsMode> {
    modes.flatten().max()
}

/// The modes of one workload's ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PortModes {
    otherwise: MtlsMode,
    ports: BTreeMap<u16, MtlsMode>,
}

impl Default for PortModes {
    fn default() -> Self {
        Self { otherwise: DEFAULT, ports: BTreeMap::new() }
    }
}

impl PortModes {
    /// Mode of a port.
    pub(crate) fn mode(&self, port: u16) -> MtlsMode {
        self.ports.get(&port).copied().unwrap_or(self.otherwise)
    }
}
