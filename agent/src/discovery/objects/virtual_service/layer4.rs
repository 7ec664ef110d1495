//! Routes below HTTP: `tls[]` by server name, `tcp[]` by port.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::common::StringMap;
use super::Destination;

/// One route of TLS traffic that is not terminated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TlsRoute {
    /// Any of these must match.
    #[serde(rename = "match")]
    pub matches: Option<Vec<TlsMatch>>,
    /// Weighted destinations.
    pub route: Option<Vec<RouteDestination>>,
}

/// Conditions on a TLS connection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TlsMatch {
    /// Server names.
    pub sni_hosts: Option<Vec<String>>,
    /// Spelling of `sniHosts` before Istio 1.1; a field of its own so that the CRD has it, too.
    #[serde(rename = "sni_hosts")]
    pub sni_hosts_old: Option<Vec<String>>,
    /// Destination networks.
    pub destination_subnets: Option<Vec<String>>,
    /// Port the client addressed.
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i64>,
    /// Labels of the client's pod.
    pub source_labels: Option<StringMap>,
    /// Gateways this condition is for.
    pub gateways: Option<Vec<String>>,
    /// Namespace of the client's pod.
    pub source_namespace: Option<String>,
}

/// One route of opaque traffic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TcpRoute {
    /// Any of these must match; absent matches everything.
    #[serde(rename = "match")]
    pub matches: Option<Vec<L4Match>>,
    /// Weighted destinations.
    pub route: Option<Vec<RouteDestination>>,
}

/// Conditions on a TCP connection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct L4Match {
    /// Destination networks.
    pub destination_subnets: Option<Vec<String>>,
    /// Port the client addressed.
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i64>,
    /// Network of the client.
    pub source_subnet: Option<String>,
    /// Labels of the client's pod.
    pub source_labels: Option<StringMap>,
    /// Gateways this condition is for.
    pub gateways: Option<Vec<String>>,
    /// Namespace of the client's pod.
    pub source_namespace: Option<String>,
}

/// A destination with its share of the connections.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RouteDestination {
    /// Where to.
    pub destination: Option<Destination>,
    /// Share; absent beside others is 0.
    #[schemars(range(min = 0))]
    pub weight: Option<i64>,
}
