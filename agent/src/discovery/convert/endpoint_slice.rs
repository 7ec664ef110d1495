//! EndpointSlice -> what the mesh needs of it.

use std::{net::IpAddr, sync::Arc};

use k8s_openapi::api::discovery::v1::{Endpoint as Written, EndpointSlice};
use weft_model::{address::canonical_ip, workload::Named};

use super::super::parse::Settings;

/// The Service that a slice belongs to.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// What the mesh needs of an EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceFacts {
    /// Name of its Service, of the same namespace.
    pub service: Option<Arc<str>>,
    /// Numbers of its TCP ports by the names that they have at the Service.
    pub ports: Vec<(Arc<str>, u16)>,
    /// Endpoints; none when they are host names.
    pub endpoints: Vec<SliceEndpoint>,
}

/// One endpoint of a slice. What `conditions` leave out is as its API reference says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceEndpoint {
    /// Its first address, canonical form: "all are the same endpoint, consumers use the first" (API reference).
    pub address: IpAddr,
    /// May be used. True for all pods of a Service with `publishNotReadyAddresses`.
    pub is_ready: bool,
    /// Answers, although it may be on its way out.
    pub is_serving: bool,
    /// On its way out.
    pub is_terminating: bool,
    /// The pod that it is.
    pub pod: Option<Named>,
}

/// The facts of a slice in `namespace`.
pub fn facts(namespace: &Arc<str>, slice: &EndpointSlice, settings: &Settings) -> SliceFacts {
    let labels = slice.metadata.labels.as_ref();
    let ports = slice.ports.iter().flatten();
    let ports = ports.filter(|port| port.protocol.as_deref().is_none_or(|protocol| protocol == "TCP"));
    let endpoints: &[Written] = if slice.address_type == "FQDN" { &[] } else { &slice.endpoints };
    let text = |text: &str| settings.interner.text(text);
    SliceFacts {
        service: labels.and_then(|labels| labels.get(SERVICE_NAME)).map(|name| text(name)),
        ports: ports
            .filter_map(|port| Some((text(port.name.as_deref().unwrap_or_default()), u16::try_from(port.port?).ok()?)))
            .collect(),
        endpoints: endpoints.iter().filter_map(|one| endpoint(namespace, one, settings)).collect(),
    }
}

fn endpoint(namespace: &Arc<str>, one: &Written, settings: &Settings) -> Option<SliceEndpoint> {
    let address = one.addresses.first().and_then(|ip| ip.parse().ok()).map(canonical_ip)?;
    let conditions = one.conditions.as_ref();
    let reference = one.target_ref.as_ref().filter(|reference| reference.kind.as_deref() == Some("Pod"));
    Some(SliceEndpoint {
        address,
        is_ready: conditions.and_then(|all| all.ready).unwrap_or(true),
        is_serving: conditions.and_then(|all| all.serving).unwrap_or(true),
        is_terminating: conditions.and_then(|all| all.terminating).unwrap_or(false),
        pod: reference.and_then(|reference| {
            let of = reference.namespace.as_deref().map(|name| settings.interner.text(name));
            let name = settings.interner.text(reference.name.as_deref()?);
            Some(Named { namespace: of.unwrap_or_else(|| namespace.clone()), name })
        }),
    })
}
