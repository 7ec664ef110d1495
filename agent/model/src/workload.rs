//! Workloads: the pods of the mesh, enrolled or not.

use std::{collections::BTreeMap, fmt, net::IpAddr, sync::Arc};

use ipnet::IpNet;

use crate::identity::SpiffeId;

/// Kubernetes labels.
pub type Labels = BTreeMap<Arc<str>, Arc<str>>;

/// Does a selector (`matchLabels`, subset labels, `sourceLabels`) select something with these labels? An empty one
/// selects everything.
pub fn selects(selector: &Labels, labels: &Labels) -> bool {
    selector.iter().all(|(name, value)| labels.get(name) == Some(value))
}

/// Name of a namespaced object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Named {
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

impl Named {
    /// A name from its two parts.
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// One pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Namespace and pod name.
    pub pod: Named,
    /// The kubelet's name for it, which a pod that follows under the same name does not share; empty where nobody
    /// gave one (directory mode).
    pub uid: Arc<str>,
    /// All addresses of the pod (`status.podIPs`), canonical form.
    pub addresses: Vec<IpAddr>,
    /// Node the pod is scheduled on.
    pub node: Arc<str>,
    /// Identity of its service account.
    pub identity: SpiffeId,
    /// Pod labels; pods of one template share them.
    pub labels: Arc<Labels>,
    /// Names under which telemetry and Kiali know the workload.
    pub canonical: Canonical,
    /// Whether weft handles its traffic.
    pub enrolment: Enrolment,
    /// How its traffic is captured (meaningful when enrolled).
    pub capture: Capture,
    /// Readiness as endpoints see it.
    pub ready: bool,
    /// Region and zone of its node.
    pub locality: Locality,
    /// Where the application's own metrics are (`prometheus.io/*` annotations).
    pub scrape: Option<Scrape>,
    /// Pod uses the node's network namespace; never enrolled.
    pub host_network: bool,
}

impl Workload {
    /// Is the pod handled by weft?
    pub fn is_enrolled(&self) -> bool {
        matches!(self.enrolment, Enrolment::Enrolled)
    }
}

/// Names of a workload in metrics (Istio's telemetry labels; "unknown" where absent).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canonical {
    /// Deployment (or other controller) name, else the pod's own.
    pub workload: Arc<str>,
    /// `service.istio.io/canonical-name`, else `app.kubernetes.io/name`, else `app`, else workload.
    pub service: Arc<str>,
    /// `service.istio.io/canonical-revision`, else `app.kubernetes.io/version`, `version`, `latest`.
    pub revision: Arc<str>,
    /// Label `app`, else "unknown".
    pub app: Arc<str>,
    /// Label `version`, else "unknown".
    pub version: Arc<str>,
}

/// Whether weft handles a pod's traffic, and if not, why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Enrolment {
    /// Traffic is captured.
    Enrolled,
    /// Traffic is left alone; the reason is shown by `weft status`.
    NotEnrolled(&'static str),
}

/// How a pod is captured (annotations `traffic.sidecar.istio.io/*`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capture {
    /// Network namespace: a name below `/run/netns` or an absolute path (directory mode).
    pub netns: Option<Arc<str>>,
    /// Inbound ports left alone (`excludeInboundPorts`).
    pub exclude_inbound_ports: Vec<u16>,
    /// Outbound ports left alone (`excludeOutboundPorts`).
    pub exclude_outbound_ports: Vec<u16>,
    /// Destinations left alone (`excludeOutboundIPRanges`).
    pub exclude_outbound_nets: Vec<IpNet>,
    /// Only these destinations are captured when not empty (`includeOutboundIPRanges`).
    pub include_outbound_nets: Vec<IpNet>,
}

/// Port on which the agent answers for a pod itself (metrics, health): never captured, as in Istio's injection
/// template (`excludeInboundPorts` always holds the status port).
pub const POD_STATS_PORT: u16 = 15020;

impl Capture {
    /// Are connections to that port of the pod left alone?
    pub fn excludes_inbound(&self, port: u16) -> bool {
        port == POD_STATS_PORT || self.exclude_inbound_ports.contains(&port)
    }
}

/// `topology.kubernetes.io/region` and `/zone` of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Locality {
    /// Region, empty when unknown.
    pub region: Arc<str>,
    /// Zone, empty when unknown.
    pub zone: Arc<str>,
}

/// The application's metrics endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scrape {
    /// `prometheus.io/port`, default 80 as Prometheus' stock job.
    pub port: u16,
    /// `prometheus.io/path`, default `/metrics`.
    pub path: Arc<str>,
    /// False with `prometheus.istio.io/merge-metrics: "false"`.
    pub merge: bool,
}
