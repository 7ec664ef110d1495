//! `VirtualService` (networking.istio.io): how requests to a host are routed.
//!
//! The field union of Istio 1.3 to today; what has no effect yet is named by the conversion.

mod actions;
mod layer4;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use actions::{
    CorsPolicy, Delegate, DirectResponse, DirectResponseBody, Fault, FaultAbort, FaultDelay, HeaderOperations, Headers,
    MirrorPolicy, Redirect, RegexRewrite, Retries, Rewrite,
};
pub use layer4::{L4Match, RouteDestination, TcpRoute, TlsMatch, TlsRoute};

use super::common::{Percent, PortSelector, Span, StringMap, StringMatch};

/// Specification of a VirtualService.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, kube::CustomResource)]
#[kube(
    group = "networking.istio.io",
    version = "v1",
    kind = "VirtualService",
    plural = "virtualservices",
    shortname = "vs",
    category = "istio-io",
    category = "networking-istio-io",
    namespaced,
    status = "super::status::IstioStatus",
    doc = "How requests to a host are routed",
    printcolumn = r#"{"name": "Gateways", "type": "string", "jsonPath": ".spec.gateways"}"#,
    printcolumn = r#"{"name": "Hosts", "type": "string", "jsonPath": ".spec.hosts"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct VirtualServiceSpec {
    /// Hosts whose traffic is routed; absent in a delegate.
    pub hosts: Option<Vec<String>>,
    /// Gateways it applies to; `mesh` is every enrolled pod, and the default.
    pub gateways: Option<Vec<String>>,
    /// Routes of HTTP traffic, in order; the first that matches wins.
    pub http: Option<Vec<HttpRoute>>,
    /// Routes of TLS traffic by server name.
    pub tls: Option<Vec<TlsRoute>>,
    /// Routes of opaque traffic by port.
    pub tcp: Option<Vec<TcpRoute>>,
    /// Namespaces that see it: `.` its own, `*` all.
    pub export_to: Option<Vec<String>>,
}

/// One route of HTTP traffic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpRoute {
    /// Name, for logs.
    pub name: Option<String>,
    /// Any of these must match; absent matches everything.
    #[serde(rename = "match")]
    pub matches: Option<Vec<HttpMatch>>,
    /// Weighted destinations.
    pub route: Option<Vec<HttpRouteDestination>>,
    /// Answer with a redirect instead of routing.
    pub redirect: Option<Redirect>,
    /// Answer with a fixed response instead of routing.
    pub direct_response: Option<DirectResponse>,
    /// Hand over to another VirtualService.
    pub delegate: Option<Delegate>,
    /// Change path or authority before forwarding.
    pub rewrite: Option<Rewrite>,
    /// Time for the whole request, retries included.
    pub timeout: Option<Span>,
    /// What is tried again.
    pub retries: Option<Retries>,
    /// Delays and errors injected at the client.
    pub fault: Option<Fault>,
    /// A second destination that gets a copy.
    pub mirror: Option<Destination>,
    /// Several destinations that get a copy.
    pub mirrors: Option<Vec<MirrorPolicy>>,
    /// Old spelling of `mirrorPercentage`: whole percent.
    #[schemars(range(min = 0, max = 100))]
    pub mirror_percent: Option<u32>,
    /// Spelling of `mirrorPercent` before Istio 1.1; a field of its own so that the CRD has it, too.
    #[serde(rename = "mirror_percent")]
    #[schemars(range(min = 0, max = 100))]
    pub mirror_percent_old: Option<u32>,
    /// Share of requests that are copied; absent is all.
    pub mirror_percentage: Option<Percent>,
    /// Cross-origin rules.
    pub cors_policy: Option<CorsPolicy>,
    /// Changes to headers.
    pub headers: Option<Headers>,
}

/// Conditions on a request; all that are set must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpMatch {
    /// Name, for logs.
    pub name: Option<String>,
    /// Path without the query.
    pub uri: Option<StringMatch>,
    /// `uri` without regard to case.
    pub ignore_uri_case: Option<bool>,
    /// `http` or `https`.
    pub scheme: Option<StringMatch>,
    /// Method.
    pub method: Option<StringMatch>,
    /// Host header.
    pub authority: Option<StringMatch>,
    /// Headers, all of them.
    pub headers: Option<std::collections::BTreeMap<String, StringMatch>>,
    /// Headers that must not match.
    pub without_headers: Option<std::collections::BTreeMap<String, StringMatch>>,
    /// Query parameters, all of them.
    pub query_params: Option<std::collections::BTreeMap<String, StringMatch>>,
    /// Port the client addressed.
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i64>,
    /// Labels of the client's pod.
    pub source_labels: Option<StringMap>,
    /// Namespace of the client's pod.
    pub source_namespace: Option<String>,
    /// Gateways this condition is for, instead of the VirtualService's.
    pub gateways: Option<Vec<String>>,
    /// Prefix of the statistics of this route.
    pub stat_prefix: Option<String>,
}

/// A destination with its share of the requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteDestination {
    /// Where to.
    pub destination: Option<Destination>,
    /// Share; absent beside others is 0.
    #[schemars(range(min = 0))]
    pub weight: Option<i64>,
    /// Changes to headers for this destination.
    pub headers: Option<Headers>,
}

/// A host, or a subset of its endpoints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(expecting = "a destination, for example { host: name, subset: v1 }")]
pub struct Destination {
    /// Service; short names are of the rule's namespace.
    pub host: String,
    /// Subset of the host's DestinationRule.
    pub subset: Option<String>,
    /// Port of the Service; needed when it has several.
    pub port: Option<PortSelector>,
}
