//! The peer: a pair of Envoys as sidecars would be, one beside the client and one beside the server, mTLS between them.
//!
//! Not captured: clients dial the near Envoy's listener on 127.0.0.1, and its endpoint is fixed. That leaves out what iptables, a
//! discovery client and Istio's own filters cost, in Envoy's favour.

use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use weft_testbed::{Cluster, Place, Pod, Process};

use crate::certificates::{self, Files};
use crate::system::{Kind, System};
use crate::world::{BULK_PORT, HTTP_PORT, TCP_PORT};

/// Istio's default for a sidecar (`proxyConfig.concurrency`).
const WORKERS: &str = "2";
/// Ports of the near Envoys' listeners: requests as HTTP, requests as bytes, one stream.
const NEAR_PORTS: [u16; 3] = [15001, 15002, 15003];
/// Ports of the far Envoys' listeners, likewise.
const FAR_PORTS: [u16; 3] = [15006, 15007, 15008];
/// A name for 127.0.0.1 in pods, short and long: oha appends the search domains of a pod to whatever has few dots, addresses
/// too, and asks DNS for what the hosts file does not have; there is none in a pod.
const NEAR_NAMES: [&str; 2] = ["near", "near.sidecar.svc.cluster.local"];
/// Where it logs to when it logs.
const ACCESS_LOG: &str = "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog";

/// What an Envoy pair is made of.
pub struct Peer<'a> {
    /// Envoy itself.
    pub binary: &'a Path,
    /// Where it runs.
    pub cluster: &'a Cluster,
    /// The pod that load comes from.
    pub client: &'a Pod,
    /// The pod with nginx and iperf3.
    pub server: &'a Pod,
}

impl Peer<'_> {
    /// Starts a pair that reads HTTP and one that passes bytes; they are ready when [`System::prove`] says so.
    pub fn start(&self, access_log: bool) -> Result<(Vec<System>, Vec<Process>)> {
        let dir = self.cluster.dir().join("envoy");
        let [client, server] = certificates::issue(&dir, [("sidecar", "client"), ("sidecar", "web")])?;
        let address = self.server.ip().to_string();
        let sides = Sides { client: &client, server: &server, access_log };
        let [http, tcp, bulk] = [0, 1, 2].map(|at| (NEAR_PORTS[at], FAR_PORTS[at]));
        let near_http = config(&[sides.near(true, http, &address)]);
        let far_http = config(&[sides.far(true, http.1, HTTP_PORT)]);
        let near_tcp = config(&[sides.near(false, tcp, &address), sides.near(false, bulk, &address)]);
        let far_tcp = config(&[sides.far(false, tcp.1, TCP_PORT), sides.far(false, bulk.1, BULK_PORT)]);
        NEAR_NAMES.iter().try_for_each(|name| self.cluster.outside_name(name, &[Ipv4Addr::LOCALHOST.into()]))?;
        let mut processes = Vec::new();
        let mut spawn = |place: &Place, name: &str, config: &Value| -> Result<u32> {
            let process = self.spawn(place, &dir.join(format!("{name}.json")), config)?;
            let pid = process.pid();
            processes.push(process);
            Ok(pid)
        };
        let http_pids = [spawn(self.client, "near-http", &near_http)?, spawn(self.server, "far-http", &far_http)?];
        let tcp_pids = [spawn(self.client, "near-tcp", &near_tcp)?, spawn(self.server, "far-tcp", &far_tcp)?];
        let systems = vec![
            self.system(Kind::EnvoyHttp, http, None, http_pids),
            self.system(Kind::EnvoyTcp, tcp, Some(("127.0.0.1".to_owned(), bulk.0)), tcp_pids),
        ];
        Ok((systems, processes))
    }

    fn spawn(&self, place: &Place, path: &Path, config: &Value) -> Result<Process> {
        std::fs::write(path, serde_json::to_string_pretty(config)?)
            .with_context(|| format!("writing {}", path.display()))?;
        let path = path.display().to_string();
        place.spawn(
            &self.binary.display().to_string(),
            &["--config-path", &path, "--concurrency", WORKERS, "--disable-hot-restart", "--log-level", "warning"],
        )
    }

    fn system(&self, kind: Kind, (near, far): (u16, u16), bulk: Option<(String, u16)>, pids: [u32; 2]) -> System {
        System {
            kind,
            client: self.client.clone(),
            server: self.server.clone(),
            url: format!("http://{}:{near}/", NEAR_NAMES[0]),
            bulk,
            wire_port: far,
            proxies: pids.to_vec(),
        }
    }
}

/// A listener and the cluster behind it.
struct Way {
    listener: Value,
    cluster: Value,
}

fn config(ways: &[Way]) -> Value {
    let listeners: Vec<&Value> = ways.iter().map(|way| &way.listener).collect();
    let clusters: Vec<&Value> = ways.iter().map(|way| &way.cluster).collect();
    json!({"static_resources": {"listeners": listeners, "clusters": clusters}})
}

/// Both identities; each side shows its own and demands the other's.
struct Sides<'a> {
    client: &'a Files,
    server: &'a Files,
    access_log: bool,
}

impl Sides<'_> {
    /// Beside the client: plaintext in, mTLS out.
    fn near(&self, http: bool, (port, far): (u16, u16), server: &str) -> Way {
        let name = format!("near-{port}");
        let filters = [self.terminal(http, &name, Vec::new())];
        let tls = json!({"name": "tls", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": "outbound_.80_._.web.sidecar.svc.cluster.local",
            "common_tls_context": common_tls(self.client, self.server)}});
        let mut cluster = cluster(&name, server, far);
        cluster["transport_socket"] = tls;
        Way { listener: listener(&name, "127.0.0.1", port, json!({"filters": filters})), cluster }
    }

    /// Beside the server: mTLS in, who may enter, plaintext to the application.
    fn far(&self, http: bool, port: u16, application: u16) -> Way {
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
            "require_client_certificate": true, "common_tls_context": common_tls(self.server, self.client)}});
        let chain = json!({"filters": filters, "transport_socket": tls});
        Way { listener: listener(&name, "0.0.0.0", port, chain), cluster: cluster(&name, "127.0.0.1", application) }
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
        "tls_certificates": [{"certificate_chain": {"filename": own.chain}, "private_key": {"filename": own.key}}],
        "validation_context": {"trusted_ca": {"filename": own.authority},
            "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": {"exact": peer.name}}]}})
}

fn listener(name: &str, address: &str, port: u16, chain: Value) -> Value {
    json!({"name": name, "filter_chains": [chain],
        "address": {"socket_address": {"address": address, "port_value": port}}})
}

fn cluster(name: &str, address: &str, port: u16) -> Value {
    json!({"name": name, "type": "STATIC", "connect_timeout": "5s", "load_assignment": {"cluster_name": name,
        "endpoints": [{"lb_endpoints": [{"endpoint":
            {"address": {"socket_address": {"address": address, "port_value": port}}}}]}]}})
}
