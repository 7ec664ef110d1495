//! `ServiceEntry` and `WorkloadEntry` (networking.istio.io): hosts and workloads that no Kubernetes Service names.
//! Typed for their CRDs; not enforced yet.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::StringMap;

/// Specification of a ServiceEntry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, kube::CustomResource)]
#[kube(
    group = "networking.istio.io",
    version = "v1",
    kind = "ServiceEntry",
    plural = "serviceentries",
    shortname = "se",
    category = "istio-io",
    category = "networking-istio-io",
    namespaced,
    status = "super::status::IstioStatus",
    doc = "Hosts that no Kubernetes Service names",
    printcolumn = r#"{"name": "Hosts", "type": "string", "jsonPath": ".spec.hosts"}"#,
    printcolumn = r#"{"name": "Location", "type": "string", "jsonPath": ".spec.location"}"#,
    printcolumn = r#"{"name": "Resolution", "type": "string", "jsonPath": ".spec.resolution"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ServiceEntrySpec {
    /// Host names.
    #[schemars(length(min = 1))]
    pub hosts: Vec<String>,
    /// Virtual addresses or networks of the hosts.
    pub addresses: Option<Vec<String>>,
    /// Ports of the hosts.
    pub ports: Option<Vec<ServiceEntryPort>>,
    /// Inside or outside of the mesh.
    pub location: Option<Location>,
    /// How the hosts' addresses are found.
    pub resolution: Option<EntryResolution>,
    /// Addresses behind the hosts.
    pub endpoints: Option<Vec<WorkloadEntrySpec>>,
    /// Pods and WorkloadEntries behind the hosts, instead of endpoints.
    pub workload_selector: Option<EntrySelector>,
    /// Namespaces that see it: `.` its own, `*` all.
    pub export_to: Option<Vec<String>>,
    /// Names that the servers' certificates may have.
    pub subject_alt_names: Option<Vec<String>>,
}

/// One port of a host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceEntryPort {
    /// Port that clients dial.
    #[schemars(range(min = 1, max = 65535))]
    pub number: u32,
    /// `HTTP`, `HTTPS`, `GRPC`, `HTTP2`, `MONGO`, `TCP` or `TLS`.
    pub protocol: Option<String>,
    /// Name.
    pub name: String,
    /// Port of the endpoints, when it differs.
    #[schemars(range(min = 1, max = 65535))]
    pub target_port: Option<u32>,
}

/// Where a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Location {
    /// Outside: no mesh mTLS.
    MeshExternal,
    /// Inside.
    MeshInternal,
}

/// How a host's addresses are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EntryResolution {
    /// The address that the client dialled.
    None,
    /// The listed endpoints.
    Static,
    /// All addresses of the name.
    Dns,
    /// One address of the name at a time.
    DnsRoundRobin,
    /// The name of each request.
    DynamicDns,
}

/// Labels of pods and WorkloadEntries.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EntrySelector {
    /// All of these.
    pub labels: Option<StringMap>,
}

/// Specification of a WorkloadEntry: one address of a host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, kube::CustomResource)]
#[kube(
    group = "networking.istio.io",
    version = "v1",
    kind = "WorkloadEntry",
    plural = "workloadentries",
    shortname = "we",
    category = "istio-io",
    category = "networking-istio-io",
    namespaced,
    status = "super::status::IstioStatus",
    doc = "A workload that is no pod",
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name": "Address", "type": "string", "jsonPath": ".spec.address"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadEntrySpec {
    /// IP address, DNS name, or `unix:///path`.
    pub address: Option<String>,
    /// Port by the name of the ServiceEntry's port.
    pub ports: Option<BTreeMap<String, u32>>,
    /// Labels, for selectors and subsets.
    pub labels: Option<StringMap>,
    /// Network it is in, for several networks.
    pub network: Option<String>,
    /// `region/zone/sub-zone`.
    pub locality: Option<String>,
    /// Share of the traffic.
    pub weight: Option<u32>,
    /// Service account it runs as.
    pub service_account: Option<String>,
}
