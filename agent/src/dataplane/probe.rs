//! The address by which capture is proven: no host has it, so only a captured connection is answered.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// In TEST-NET-1 (RFC 5737), which is never routed; the port is Istio's for its agent's probes.
pub const PROBE_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 15021);

/// What the outbound side answers there.
pub const ANSWER: &[u8] = b"captured by weft\n";
