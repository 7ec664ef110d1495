//! What an Envoy of a sidecar is told: listeners, the clusters behind them, mTLS, and who may enter.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};
use weft_testbed::Cluster;

use super::NAMESPACE;
use crate::certificates::{self, Files};

/// Where it logs to when it logs.
const ACCESS_LOG: &str = "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog";
/// Istio's limits on connections and requests of a cluster without a DestinationRule: none. Envoy's own, 1024 of each, would turn
/// away clients that everybody else serves.
const UNLIMITED: u32 = u32::MAX;

/// A listener and the cluster behind it.
pub struct Way {
    listener: Value,
    cluster: Value,
}

/// The configuration of one Envoy.
pub fn config(ways: &[Way]) -> Value {
    let listeners: Vec<&Value> = ways.iter().map(|way| &way.listener).collect();
    let clusters: Vec<&Value> = ways.iter().map(|way| &way.cluster).collect();
    json!({"static_resources": {"listeners": listeners, "clusters": clusters}})
}

/// Both identities; each side shows its own and demands the other's.
pub struct Sides {
    client: Files,
    server: Files,
    access_log: bool,
}

impl Sides {
    /// With certificates below the cluster's folder.
    pub fn new(cluster: &Cluster, access_log: bool) -> Result<Self> {
        let dir = cluster.dir().join("envoy");
        let [client, server] = certificates::issue(&dir, [(NAMESPACE, "client"), (NAMESPACE, "web")])?;
        Ok(Self { client, server, access_log })
    }

    /// Beside the client: plaintext in at `port` of 127.0.0.1, mTLS out to `endpoints` in turn.
    pub fn near(&self, http: bool, port: u16, endpoints: &[(String, u16)]) -> Way {
        let name = format!("near-{port}");
        let filters = [self.terminal(http, &name, Vec::new())];
        let tls = json!({"name": "tls", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": format!("outbound_.80_._.web.{NAMESPACE}.svc.cluster.local"),
            "common_tls_context": common_tls(&self.client, &self.server)}});
        let mut cluster = cluster(&name, endpoints);
        cluster["transport_socket"] = tls;
        Way { listener: listener(&name, "127.0.0.1", port, json!({"filters": filters})), cluster }
    }

    /// Beside the server: mTLS in, who may enter, plaintext to the application.
    pub fn far(&self, http: bool, port: u16, application: u16) -> Way {
        let name = format!("far-{port}");
        let mut filters = Vec::new();
        if !http {
            filters.push(json!({"name": "envoy.filters.network.rbac", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC",
                "stat_prefix": "rbac", "rules": self.rules()}}));
        }
        let rbac = json!({"name": "envoy.filters.http.rbac", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC", "rules": self.rules()}});
        filters.push(self.terminal(http, &name, vec![rbac]));
        let tls = json!({"name": "tls", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "require_client_certificate": true, "common_tls_context": common_tls(&self.server, &self.client)}});
        let chain = json!({"filters": filters, "transport_socket": tls});
        let application = [("127.0.0.1".to_owned(), application)];
        Way { listener: listener(&name, "0.0.0.0", port, chain), cluster: cluster(&name, &application) }
    }

    /// The client's identity, as an AuthorizationPolicy with one rule would ask for it.
    fn rules(&self) -> Value {
        json!({"action": "ALLOW", "policies": {"client": {"permissions": [{"any": true}],
            "principals": [{"authenticated": {"principal_name": {"exact": self.client.name}}}]}}})
    }

    fn terminal(&self, http: bool, cluster: &str, mut http_filters: Vec<Value>) -> Value {
        let log = json!({"name": "log", "typed_config": {"@type": ACCESS_LOG}});
        let logs: Vec<Value> = self.access_log.then_some(log).into_iter().collect();
        if !http {
            return json!({"name": "envoy.filters.network.tcp_proxy", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
                "stat_prefix": cluster, "cluster": cluster, "access_log": logs}});
        }
        http_filters.push(json!({"name": "envoy.filters.http.router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}));
        json!({"name": "envoy.filters.network.http_connection_manager", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": cluster, "access_log": logs, "http_filters": http_filters,
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"],
                "routes": [{"match": {"prefix": "/"}, "route": {"cluster": cluster}}]}]}}})
    }
}

fn common_tls(own: &Files, peer: &Files) -> Value {
    json!({"tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
        "tls_certificates": [{"certificate_chain": {"filename": path(&own.chain)}, "private_key": {"filename": path(&own.key)}}],
        "validation_context": {"trusted_ca": {"filename": path(&own.authority)},
            "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": {"exact": peer.name}}]}})
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

fn listener(name: &str, address: &str, port: u16, chain: Value) -> Value {
    json!({"name": name, "filter_chains": [chain],
        "address": {"socket_address": {"address": address, "port_value": port}}})
}

fn cluster(name: &str, endpoints: &[(String, u16)]) -> Value {
    let endpoint = |(address, port): &(String, u16)| {
        json!({"endpoint":
            {"address": {"socket_address": {"address": address, "port_value": port}}}})
    };
    let endpoints: Vec<Value> = endpoints.iter().map(endpoint).collect();
    json!({"name": name, "type": "STATIC", "connect_timeout": "5s",
        "circuit_breakers": {"thresholds": [{"max_connections": UNLIMITED, "max_pending_requests": UNLIMITED,
            "max_requests": UNLIMITED, "max_retries": UNLIMITED}]},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]}})
}
