//! Addresses with a meaning: which end of which connection they name.

use std::net::{IpAddr, SocketAddr};

/// Where the application wanted to go, before weft had a say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OriginalDst(pub SocketAddr);

/// `::ffff:a.b.c.d` as `a.b.c.d` (RFC 4291 section 2.5.5.2): a dual-stack listener reports IPv4
/// peers in the mapped form, while every table of the mesh is keyed by the plain one.
pub fn canonical_ip(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// [`canonical_ip`] for an address with its port.
pub fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(canonical_ip(addr.ip()), addr.port())
}
