//! Services and their endpoints.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use crate::workload::{Named, Workload};

/// What a port speaks, by declaration: `appProtocol` first, then the port's name
/// (`http`, `http-*`, ...), as Istio's protocol selection rules say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AppProtocol {
    /// HTTP/1.x (`http`).
    Http,
    /// HTTP/2 in clear text (`http2`, `kubernetes.io/h2c`).
    Http2,
    /// gRPC (`grpc`, `grpc-web`).
    Grpc,
    /// Opaque bytes (`tcp`, `redis`, `mongo`...).
    Tcp,
    /// TLS of the application's own (`https`, `tls`).
    Tls,
    /// The server speaks first (`mysql`, and well-known ports 25, 110, 143, 3306, 587...).
    ServerFirst,
    /// Nothing declared: look at the bytes.
    Undeclared,
}

/// Which port of the pod a Service port leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetPort {
    /// The same number everywhere.
    Number(u16),
    /// A container port's name, resolved pod by pod.
    Name(Arc<str>),
}

/// One port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Port number of the Service.
    pub number: u16,
    /// Name, empty when unnamed.
    pub name: Arc<str>,
    /// Where it leads to.
    pub target: TargetPort,
    /// What it speaks.
    pub protocol: AppProtocol,
    /// `nodePort`, when there is one.
    pub node_port: Option<u16>,
}

/// How a Service's name is resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// A cluster IP in front of endpoints.
    ClusterIp,
    /// `clusterIP: None`: clients dial pod addresses.
    Headless,
    /// `type: ExternalName` with its target.
    ExternalName(Arc<str>),
}

/// A Kubernetes Service with its endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Fully qualified name: `name.namespace.svc.cluster.local`.
    pub host: Arc<str>,
    /// Namespace and name.
    pub name: Named,
    /// How the name resolves.
    pub resolution: Resolution,
    /// Cluster IPs, canonical form; empty for headless ones.
    pub vips: Vec<IpAddr>,
    /// Ports in the order of the manifest.
    pub ports: Vec<ServicePort>,
    /// Endpoints in a stable order (by address).
    pub endpoints: Vec<Endpoint>,
}

impl Service {
    /// The port with that number.
    pub fn port(&self, number: u16) -> Option<&ServicePort> {
        self.ports.iter().find(|port| port.number == number)
    }
}

/// One address behind a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Address of the pod or of the EndpointSlice, canonical form.
    pub address: IpAddr,
    /// Service port number -> port to dial at this endpoint. A port that this endpoint does not
    /// serve (a named target port its pod lacks) is absent.
    pub ports: BTreeMap<u16, u16>,
    /// The pod behind it, when it is one.
    pub workload: Option<Arc<Workload>>,
    /// Ready and not terminating: only ready endpoints are chosen.
    pub ready: bool,
}
