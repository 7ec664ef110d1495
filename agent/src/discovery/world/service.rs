//! Service -> model, with its endpoints.

use std::{net::IpAddr, sync::Arc};

use k8s_openapi::{
    api::core::v1::{Service as Written, ServicePort as WrittenPort},
    apimachinery::pkg::util::intstr::IntOrString,
};
use weft_model::{
    address::canonical_ip,
    service::{Endpoint, Resolution, Service, ServicePort, TargetPort},
    workload::Named,
};

use super::{super::convert::check::cluster_ips, protocol::protocol};

/// A Service without its endpoints.
pub fn service(name: Named, written: &Written, cluster_domain: &str) -> Service {
    let spec = written.spec.clone().unwrap_or_default();
    let ips = cluster_ips(written);
    let vips = ips.iter().filter_map(|(_, ip)| ip.parse().ok()).map(canonical_ip).collect();
    let is_headless = spec.cluster_ip.as_deref() == Some("None")
        || spec.cluster_ips.as_ref().is_some_and(|list| list.iter().any(|ip| ip == "None"));
    let resolution = match spec.type_.as_deref() {
        Some("ExternalName") => Resolution::ExternalName(spec.external_name.as_deref().unwrap_or_default().into()),
        _ if is_headless => Resolution::Headless,
        _ => Resolution::ClusterIp,
    };
    Service {
        host: host(&name, cluster_domain),
        resolution,
        vips,
        ports: spec.ports.iter().flatten().filter_map(port).collect(),
        endpoints: Vec::<Endpoint>::new(),
        name,
    }
}

/// Fully qualified name of a Service.
pub fn host(name: &Named, cluster_domain: &str) -> Arc<str> {
    format!("{}.{}.svc.{cluster_domain}", name.name, name.namespace).into()
}

/// A TCP port; UDP and SCTP are not the mesh's.
fn port(from: &WrittenPort) -> Option<ServicePort> {
    if from.protocol.as_deref().is_some_and(|protocol| protocol != "TCP") {
        return None;
    }
    let number = u16::try_from(from.port).ok()?;
    let target = match &from.target_port {
        Some(IntOrString::Int(target)) => TargetPort::Number(u16::try_from(*target).ok()?),
        // A number in quotes is a number.
        Some(IntOrString::String(name)) => match name.parse() {
            Ok(target) => TargetPort::Number(target),
            Err(_) => TargetPort::Name(name.as_str().into()),
        },
        None => TargetPort::Number(number),
    };
    Some(ServicePort {
        number,
        name: from.name.as_deref().unwrap_or_default().into(),
        target,
        protocol: protocol(from.app_protocol.as_deref(), from.name.as_deref(), number),
        node_port: from.node_port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0),
    })
}

/// Which address families the Service's endpoints have; `None` leaves it to each pod's first address.
pub fn families(written: &Written) -> Option<Families> {
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
