//! What a connection speaks by declaration, before a byte was seen.

use std::net::SocketAddr;

use crate::{
    address::{OriginalDst, canonical},
    decision::Cluster,
    service::{AppProtocol, ServicePort, TargetPort},
    snapshot::Snapshot,
    workload::Workload,
};

/// Ports whose servers greet first: FTP (RFC 959), SSH (RFC 4253), SMTP (RFC 5321) and submission (RFC 6409), POP3
/// (RFC 1939), NNTP (RFC 3977), IMAP (RFC 9051), MySQL. Waiting there for the client's first byte would wait for ever.
/// PostgreSQL (5432) and Redis (6379) are not among them: their clients speak first.
const SERVER_FIRST_PORTS: [u16; 8] = [21, 22, 25, 110, 119, 143, 587, 3306];

pub(super) fn outbound(snapshot: &Snapshot, OriginalDst(destination): OriginalDst) -> AppProtocol {
    let destination = canonical(destination);
    if let Some(service) = snapshot.service_by_vip(destination.ip()) {
        return service.port(destination.port()).map_or(AppProtocol::Undeclared, of_port);
    }
    match at_endpoints(snapshot, [destination]) {
        Some(protocol) => protocol,
        None if snapshot.workload_by_ip(destination.ip()).is_some() => of_bare_port(destination.port()),
        None => AppProtocol::Undeclared,
    }
}

pub(super) fn inbound(snapshot: &Snapshot, workload: &Workload, port: u16) -> AppProtocol {
    let addresses = workload.addresses.iter().map(|address| SocketAddr::new(*address, port));
    at_endpoints(snapshot, addresses).unwrap_or_else(|| of_bare_port(port))
}

/// What is declared; `None` where the client's version decides.
pub(super) fn speaks_http2(cluster: &Cluster) -> Option<bool> {
    let Cluster::Service { service, port, .. } = cluster else { return None };
    match service.port(*port)?.protocol {
        AppProtocol::Http2 | AppProtocol::Grpc => Some(true),
        AppProtocol::Http => Some(false),
        _ => None,
    }
}

/// What the Services that lead to these endpoints agree on; `None` when there are none. An undeclared port does not
/// contradict a declared one; two different declarations leave only the bytes to look at.
fn at_endpoints(snapshot: &Snapshot, addresses: impl IntoIterator<Item = SocketAddr>) -> Option<AppProtocol> {
    let mut agreed = None;
    for (_, port) in addresses.into_iter().flat_map(|address| snapshot.index.leading_to(address)) {
        agreed = match (agreed, of_port(port)) {
            (None | Some(AppProtocol::Undeclared), protocol) => Some(protocol),
            (agreed, AppProtocol::Undeclared) => agreed,
            (Some(one), other) if one == other => agreed,
            _ => return Some(AppProtocol::Undeclared),
        };
    }
    agreed
}

/// The declaration of a Service port; an undeclared one is known by its number or its target's.
fn of_port(port: &ServicePort) -> AppProtocol {
    let target = match port.target {
        TargetPort::Number(number) => number,
        TargetPort::Name(_) => port.number,
    };
    match port.protocol {
        AppProtocol::Undeclared if SERVER_FIRST_PORTS.contains(&target) => AppProtocol::ServerFirst,
        AppProtocol::Undeclared => of_bare_port(port.number),
        declared => declared,
    }
}

fn of_bare_port(port: u16) -> AppProtocol {
    if SERVER_FIRST_PORTS.contains(&port) { AppProtocol::ServerFirst } else { AppProtocol::Undeclared }
}
