//! Chance and turn, handed in so that decisions stay pure.

use std::sync::Arc;

/// A set of endpoints that shares one balancer: a Service port, narrowed to a subset.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClusterKey {
    /// Fully qualified host.
    pub host: Arc<str>,
    /// Service port number.
    pub port: u16,
    /// Subset.
    pub subset: Option<Arc<str>>,
}

/// Where decisions get their dice from. The data plane keeps one per source workload (balancer
/// state is per client, as in a sidecar); tests hand in what they want to see.
pub trait Draw {
    /// A uniformly distributed number below `bound` (`bound` > 0).
    fn below(&mut self, bound: u32) -> u32;
    /// The next turn of that cluster's round robin; the caller reduces it modulo the endpoints.
    fn turn(&mut self, cluster: &ClusterKey) -> usize;
}
