//! From what a person types to the address a pod would dial: URL, search path, cluster IP.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use weft_model::{
    address::canonical_ip,
    service::{Endpoint, Resolution, Service},
    snapshot::Snapshot,
    workload::{Named, Workload},
};

use super::ExplainError;
use crate::admin::pods;

/// Stands for the address of a name outside of the registry: TEST-NET-2 (RFC 5737), which nothing has.
const OUTSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));

/// ExternalName Services that lead to one another before giving up, as resolvers bound CNAME chains.
const ALIASES_MAX: usize = 8;

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    /// TLS of the application's own.
    Https,
    Tcp,
}

/// A destination as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) scheme: Scheme,
    pub(super) host: String,
    pub(super) port: u16,
    /// Host header that a client would send.
    pub(super) authority: String,
    /// Path with query.
    pub(super) path: String,
}

impl Target {
    pub(super) fn parse(text: &str, tcp: bool) -> Result<Self, ExplainError> {
        let wrong = |why| ExplainError::NotATarget(text.to_owned(), why);
        let (scheme, rest) = match text.split_once("://") {
            Some((_, rest)) if tcp => (Scheme::Tcp, rest),
            Some(("http", rest)) => (Scheme::Http, rest),
            Some(("https", rest)) => (Scheme::Https, rest),
            Some(("tcp", rest)) => (Scheme::Tcp, rest),
            Some(_) => return Err(wrong("its scheme is none of http, https and tcp")),
            None if tcp => (Scheme::Tcp, text),
            None => (Scheme::Http, text),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (host, port) = host_and_port(authority).ok_or_else(|| wrong("its port is no number from 1 to 65535"))?;
        if host.is_empty() || host.contains(['@', ' ']) {
            return Err(wrong("it names no host"));
        }
        let port = match (port, scheme) {
            (Some(port), _) => port,
            (None, Scheme::Http) => 80,
            (None, Scheme::Https) => 443,
            (None, Scheme::Tcp) => return Err(wrong("TCP needs a port")),
        };
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { scheme, host: host.to_owned(), port, authority: authority.to_owned(), path })
    }
}

/// Host without brackets, and the port when there is one; `None` when the port is no port.
fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':')?)),
        None => authority.rsplit_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    let port = port.map(|text| text.parse().ok().filter(|port| *port != 0));
    match port {
        Some(None) => None,
        Some(Some(port)) => Some((host, Some(port))),
        None => Some((host, None)),
    }
}

/// What a pod's resolver would say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resolved {
    pub(super) address: SocketAddr,
    /// Whose address it is.
    pub(super) what: String,
    /// The name is outside of the registry, and `address` only stands for whatever it resolves to.
    pub(super) is_outside: bool,
}

/// Resolves the target's host as in the source's namespace.
pub(super) fn resolve(snapshot: &Snapshot, source: &Workload, target: &Target) -> Result<Resolved, ExplainError> {
    let known =
        |ip: IpAddr, what: String| Resolved { address: SocketAddr::new(ip, target.port), what, is_outside: false };
    if let Ok(ip) = target.host.parse().map(canonical_ip) {
        return Ok(known(ip, owner(snapshot, ip)));
    }
    let mut name = target.host.trim_end_matches('.').to_ascii_lowercase();
    let mut through = String::new();
    for _ in 0..ALIASES_MAX {
        let candidates = search_path(&name, &source.pod.namespace, &snapshot.mesh.cluster_domain);
        if let Some((service, endpoint)) = candidates.iter().find_map(|host| pod_of_headless(snapshot, host)) {
            return Ok(known(endpoint.address, format!("{through}a pod of headless Service {}", service.name)));
        }
        let Some(service) = candidates.iter().find_map(|host| snapshot.services.get(host.as_str())) else {
            return outside(snapshot, source, target, &name, through);
        };
        if let Resolution::ExternalName(alias) = &service.resolution {
            through.push_str(&format!("ExternalName Service {} -> ", service.name));
            name = alias.trim_end_matches('.').to_ascii_lowercase();
            continue;
        }
        let (ip, what) = address_of(service, source)?;
        return Ok(known(ip, format!("{through}{what}")));
    }
    Err(ExplainError::Unresolved(format!(
        "{} leads through more than {ALIASES_MAX} ExternalName Services",
        target.host
    )))
}

/// What a pod's `resolv.conf` makes of a name (`ndots:5`): the search domains first, then the name itself.
fn search_path(name: &str, namespace: &str, cluster_domain: &str) -> [String; 4] {
    [
        format!("{name}.{namespace}.svc.{cluster_domain}"),
        format!("{name}.svc.{cluster_domain}"),
        format!("{name}.{cluster_domain}"),
        name.to_owned(),
    ]
}

/// `pod.service.namespace.svc...`: a pod of a StatefulSet.
fn pod_of_headless<'a>(snapshot: &'a Snapshot, host: &str) -> Option<(&'a Service, &'a Endpoint)> {
    let (pod, service) = host.split_once('.')?;
    let service = snapshot.services.get(service).filter(|service| service.resolution == Resolution::Headless)?;
    let is_meant = |endpoint: &&Endpoint| endpoint.workload.as_ref().is_some_and(|it| &*it.pod.name == pod);
    Some((service, service.endpoints.iter().find(is_meant)?))
}

fn address_of(service: &Service, source: &Workload) -> Result<(IpAddr, String), ExplainError> {
    let like_source = |ip: &IpAddr| source.addresses.iter().any(|own| own.is_ipv4() == ip.is_ipv4());
    if service.resolution == Resolution::Headless {
        let ready = service.endpoints.iter().find(|endpoint| endpoint.ready);
        return match ready.or(service.endpoints.first()) {
            Some(endpoint) => Ok((endpoint.address, format!("first endpoint of headless Service {}", service.name))),
            None => Err(ExplainError::Unresolved(format!(
                "headless Service {} has no endpoints, so its name resolves to nothing: does its selector match the \
                 labels of a pod?",
                service.name
            ))),
        };
    }
    let vip = service.vips.iter().find(|ip| like_source(ip)).or(service.vips.first());
    match vip {
        Some(vip) => Ok((*vip, format!("cluster IP of Service {}", service.name))),
        None => Err(ExplainError::Unresolved(format!(
            "Service {} has no cluster IP: set spec.clusterIP in its manifest",
            service.name
        ))),
    }
}

/// A name that no Service has: a mistake inside of the cluster's domain, the rest of the world elsewhere.
fn outside(
    snapshot: &Snapshot,
    source: &Workload,
    target: &Target,
    name: &str,
    through: String,
) -> Result<Resolved, ExplainError> {
    let labels: Vec<&str> = name.split('.').collect();
    let inside = labels.len() == 1
        || name.ends_with(&format!(".{}", snapshot.mesh.cluster_domain))
        || labels.get(2) == Some(&"svc");
    let wanted = Named::new(labels.get(1).copied().unwrap_or(&source.pod.namespace), labels[0]);
    if inside {
        let near = pods::near(&wanted, snapshot.services.values().map(|service| &service.name));
        let help = if near.is_empty() { String::new() } else { format!("; there is {}", near.join(", ")) };
        return Err(ExplainError::Unresolved(format!("no Service is named {wanted}{help}")));
    }
    Ok(Resolved {
        address: SocketAddr::new(OUTSIDE, target.port),
        what: format!("{through}{name}, a name outside of the registry"),
        is_outside: true,
    })
}

fn owner(snapshot: &Snapshot, ip: IpAddr) -> String {
    if let Some(service) = snapshot.service_by_vip(ip) {
        return format!("cluster IP of Service {}", service.name);
    }
    match snapshot.workload_by_ip(ip) {
        Some(workload) => format!("address of pod {}", workload.pod),
        None => "an address that no Service or pod of the registry has".to_owned(),
    }
}
