//! Cluster IPs for Services whose manifests name none, as an API server would give them.
//!
//! An address follows from the Service's name, so that all agents of a directory agree without talking to
//! each other, and it stays when other Services come and go (unless two names meet in one address).

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use weft_model::service::{Resolution, Service};

/// First address and size of the range: kubeadm's default service network, 10.96.0.0/12, without the part
/// that its first addresses take (the API server's own Service, DNS).
const FIRST: u32 = u32::from_be_bytes([10, 97, 0, 0]);
const SIZE: u32 = 1 << 19;

/// Gives an address to each Service that should have one and has none.
pub fn allocate(services: &mut [Arc<Service>]) {
    let mut taken: BTreeSet<IpAddr> = services.iter().flat_map(|service| service.vips.iter().copied()).collect();
    let mut without: Vec<&mut Arc<Service>> = services
        .iter_mut()
        .filter(|service| service.resolution == Resolution::ClusterIp && service.vips.is_empty())
        .collect();
    without.sort_by(|a, b| a.host.cmp(&b.host));
    for service in without {
        let start = hash(&service.host);
        let free = (0..SIZE)
            .map(|step| IpAddr::from(Ipv4Addr::from(FIRST + (start.wrapping_add(step)) % SIZE)))
            .find(|address| taken.insert(*address));
        Arc::make_mut(service).vips.extend(free);
    }
}

/// FNV-1a (draft-eastlake-fnv): small, and the same on every machine and in every version.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
