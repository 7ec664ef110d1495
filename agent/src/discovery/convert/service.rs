//! Service -> what the mesh needs of it: the model's Service without endpoints, and how its endpoints are found.

use std::{net::IpAddr, sync::Arc};

use k8s_openapi::{
    api::core::v1::{Service as Written, ServicePort as WrittenPort},
    apimachinery::pkg::util::intstr::IntOrString,
};
use weft_model::{
    address::canonical_ip,
    service::{Endpoint, Resolution, Service, ServicePort, TargetPort},
    workload::{Labels, Named},
};

use super::{super::parse::Settings, check::cluster_ips, protocol::protocol};

/// What the mesh needs of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceFacts {
    /// The Service without its endpoints.
    pub service: Service,
    /// Labels of its pods; empty when it selects none by itself.
    pub selector: Arc<Labels>,
    /// Families of its endpoints; `None` leaves it to each pod's first address.
    pub families: Option<Families>,
    /// `publishNotReadyAddresses`.
    pub publishes_not_ready: bool,
}

/// The facts of a Service.
pub fn facts(name: Named, written: &Written, settings: &Settings) -> ServiceFacts {
    let spec = written.spec.as_ref();
    ServiceFacts {
        service: service(name, written, settings),
        selector: settings.interner.labels(spec.and_then(|spec| spec.selector.as_ref())),
        families: families(written),
        publishes_not_ready: spec.and_then(|spec| spec.publish_not_ready_addresses).unwrap_or(false),
    }
}

fn service(name: Named, written: &Written, settings: &Settings) -> Service {
    let spec = written.spec.as_ref();
    let ips = cluster_ips(written);
    let vips = ips.iter().filter_map(|(_, ip)| ip.parse().ok()).map(canonical_ip).collect();
    let first = spec.and_then(|spec| spec.cluster_ip.as_ref()).into_iter();
    let several = spec.and_then(|spec| spec.cluster_ips.as_ref()).into_iter().flatten();
    let is_headless = first.chain(several).any(|ip| ip == "None");
    let resolution = match spec.and_then(|spec| spec.type_.as_deref()) {
        Some("ExternalName") => {
            let target = spec.and_then(|spec| spec.external_name.as_deref());
            Resolution::ExternalName(target.unwrap_or_default().into())
        }
        _ if is_headless => Resolution::Headless,
        _ => Resolution::ClusterIp,
    };
    let ports = spec.and_then(|spec| spec.ports.as_ref()).into_iter().flatten();
    Service {
        host: host(&name, &settings.cluster_domain),
        resolution,
        vips,
        ports: ports.filter_map(|one| port(one, settings)).collect(),
        endpoints: Vec::<Endpoint>::new(),
        name,
    }
}

/// Fully qualified name of a Service.
fn host(name: &Named, cluster_domain: &str) -> Arc<str> {
    format!("{}.{}.svc.{cluster_domain}", name.name, name.namespace).into()
}

/// A TCP port; UDP and SCTP are not the mesh's.
fn port(from: &WrittenPort, settings: &Settings) -> Option<ServicePort> {
    if from.protocol.as_deref().is_some_and(|protocol| protocol != "TCP") {
        return None;
    }
    let number = u16::try_from(from.port).ok()?;
    let target = match &from.target_port {
        Some(IntOrString::Int(target)) => TargetPort::Number(u16::try_from(*target).ok()?),
        // A number in quotes is a number.
        Some(IntOrString::String(name)) => match name.parse() {
            Ok(target) => TargetPort::Number(target),
            Err(_) => TargetPort::Name(settings.interner.text(name)),
        },
        None => TargetPort::Number(number),
    };
    Some(ServicePort {
        number,
        name: settings.interner.text(from.name.as_deref().unwrap_or_default()),
        target,
        protocol: protocol(from.app_protocol.as_deref(), from.name.as_deref(), number),
        node_port: from.node_port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0),
    })
}

fn families(written: &Written) -> Option<Families> {
    let declared = written.spec.as_ref().and_then(|spec| spec.ip_families.as_ref());
    let declared = declared.into_iter().flatten();
    let mut families = Families { v4: false, v6: false };
    for family in declared {
        families.v4 |= family == "IPv4";
        families.v6 |= family == "IPv6";
    }
    if !families.v4 && !families.v6 {
        for ip in cluster_ips(written).iter().filter_map(|(_, ip)| ip.parse::<IpAddr>().ok()) {
            families.v4 |= ip.is_ipv4();
            families.v6 |= ip.is_ipv6();
        }
    }
    (families.v4 || families.v6).then_some(families)
}

/// A set of address families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Families {
    v4: bool,
    v6: bool,
}

impl Families {
    /// Is the address of one of them?
    pub fn include(self, ip: IpAddr) -> bool {
        if ip.is_ipv4() { self.v4 } else { self.v6 }
    }
}
