//! Whom a Host header names.

use std::{borrow::Cow, net::IpAddr};

use crate::address::canonical_ip;

/// The host of an authority: without port, brackets and trailing dot, in lower case.
pub(super) fn host_of(authority: &str) -> Cow<'_, str> {
    let host = without_port(authority);
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) { host.to_ascii_lowercase().into() } else { host.into() }
}

fn without_port(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split_once(']').map_or(rest, |(host, _)| host);
    }
    match authority.split_once(':') {
        // More than one colon and no brackets: a bare IPv6 address.
        Some((_, port)) if port.contains(':') => authority,
        Some((host, _)) => host,
        None => authority,
    }
}

/// The host as an address, when it is one.
pub(super) fn literal_ip(host: &str) -> Option<IpAddr> {
    host.parse().ok().map(canonical_ip)
}
