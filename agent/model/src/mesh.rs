//! Settings of the whole mesh (ConfigMap `istio` in `istio-system`, key `mesh`).

use std::sync::Arc;

/// What happens to destinations the registry does not know
/// (`outboundTrafficPolicy.mode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutboundPolicy {
    /// Passed on to the original address (`PassthroughCluster`).
    #[default]
    AllowAny,
    /// Refused: HTTP 502, otherwise reset (`BlackHoleCluster`).
    RegistryOnly,
}

/// MeshConfig, as far as weft acts on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeshConfig {
    /// `trustDomain`.
    pub trust_domain: Arc<str>,
    /// `trustDomainAliases`: accepted in principals as if they were the trust domain.
    pub trust_domain_aliases: Vec<Arc<str>>,
    /// `rootNamespace`: policies there apply to the whole mesh.
    pub root_namespace: Arc<str>,
    /// DNS suffix of the cluster.
    pub cluster_domain: Arc<str>,
    /// `outboundTrafficPolicy.mode`.
    pub outbound: OutboundPolicy,
    /// `enableAutoMtls`: mTLS wherever the destination is enrolled.
    pub auto_mtls: bool,
    /// `accessLogFile` is set (Istio's demo profile sets `/dev/stdout`).
    pub access_log: bool,
    /// `enablePrometheusMerge`.
    pub prometheus_merge: bool,
}

impl Default for MeshConfig {
    /// Istio's defaults, but for the access log, which is on: seeing is the point of a demo mesh.
    fn default() -> Self {
        Self {
            trust_domain: "cluster.local".into(),
            trust_domain_aliases: Vec::new(),
            root_namespace: "istio-system".into(),
            cluster_domain: "cluster.local".into(),
            outbound: OutboundPolicy::AllowAny,
            auto_mtls: true,
            access_log: true,
            prometheus_merge: true,
        }
    }
}
