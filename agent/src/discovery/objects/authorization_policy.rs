//! `AuthorizationPolicy` (security.istio.io): who may do what.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::WorkloadSelector;

/// Specification of an AuthorizationPolicy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, kube::CustomResource)]
#[kube(
    group = "security.istio.io",
    version = "v1",
    kind = "AuthorizationPolicy",
    plural = "authorizationpolicies",
    shortname = "ap",
    category = "istio-io",
    category = "security-istio-io",
    namespaced,
    status = "super::status::IstioStatus",
    doc = "Who may do what",
    printcolumn = r#"{"name": "Action", "type": "string", "jsonPath": ".spec.action"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizationPolicySpec {
    /// Workloads it is for; absent is the whole namespace, or the mesh in the root namespace.
    pub selector: Option<WorkloadSelector>,
    /// Gateways and Services it is for, instead of a selector.
    pub target_ref: Option<TargetReference>,
    /// Several of them.
    pub target_refs: Option<Vec<TargetReference>>,
    /// Any of these must match; none at all matches nothing.
    pub rules: Option<Vec<Rule>>,
    /// What happens to what matches; `ALLOW` when absent.
    pub action: Option<Action>,
    /// Who is asked, for `CUSTOM`.
    pub provider: Option<Provider>,
}

/// `action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Action {
    /// Allowed; everything else is denied.
    Allow,
    /// Denied.
    Deny,
    /// Noted.
    Audit,
    /// Somebody else is asked.
    Custom,
}

/// An object a policy is attached to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TargetReference {
    /// API group.
    pub group: Option<String>,
    /// Kind.
    pub kind: Option<String>,
    /// Name.
    pub name: Option<String>,
    /// Namespace.
    pub namespace: Option<String>,
}

/// Who is asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Provider {
    /// Name of an extension provider of the mesh configuration.
    pub name: Option<String>,
}

/// One rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rule {
    /// Any of these sources.
    pub from: Option<Vec<From>>,
    /// Any of these operations.
    pub to: Option<Vec<To>>,
    /// All of these conditions.
    pub when: Option<Vec<Condition>>,
}

/// Wrapper of a source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(expecting = "a source, for example { source: { namespaces: [shop] } }")]
pub struct From {
    /// The source.
    pub source: Option<Source>,
}

/// Wrapper of an operation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(expecting = "an operation, for example { operation: { methods: [GET] } }")]
pub struct To {
    /// The operation.
    pub operation: Option<Operation>,
}

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// Peer identities, without `spiffe://`.
    pub principals: Option<Vec<String>>,
    /// Peer identities that do not match.
    pub not_principals: Option<Vec<String>>,
    /// Identities of a token, `issuer/subject`.
    pub request_principals: Option<Vec<String>>,
    /// Identities of a token that do not match.
    pub not_request_principals: Option<Vec<String>>,
    /// Namespaces of the peer.
    pub namespaces: Option<Vec<String>>,
    /// Namespaces that do not match.
    pub not_namespaces: Option<Vec<String>>,
    /// Service accounts of the peer, `name` or `namespace/name`.
    pub service_accounts: Option<Vec<String>>,
    /// Service accounts that do not match.
    pub not_service_accounts: Option<Vec<String>>,
    /// Trust domains of the peer.
    pub trust_domains: Option<Vec<String>>,
    /// Trust domains that do not match.
    pub not_trust_domains: Option<Vec<String>>,
    /// Networks of the direct peer.
    pub ip_blocks: Option<Vec<String>>,
    /// Networks that do not match.
    pub not_ip_blocks: Option<Vec<String>>,
    /// Networks of the original client.
    pub remote_ip_blocks: Option<Vec<String>>,
    /// Networks of the original client that do not match.
    pub not_remote_ip_blocks: Option<Vec<String>>,
}

/// What is asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// Host header.
    pub hosts: Option<Vec<String>>,
    /// Hosts that do not match.
    pub not_hosts: Option<Vec<String>>,
    /// Ports of the workload.
    pub ports: Option<Vec<String>>,
    /// Ports that do not match.
    pub not_ports: Option<Vec<String>>,
    /// Methods.
    pub methods: Option<Vec<String>>,
    /// Methods that do not match.
    pub not_methods: Option<Vec<String>>,
    /// Paths.
    pub paths: Option<Vec<String>>,
    /// Paths that do not match.
    pub not_paths: Option<Vec<String>>,
}

/// An attribute and its values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Attribute.
    pub key: String,
    /// Any of these.
    pub values: Option<Vec<String>>,
    /// None of these.
    pub not_values: Option<Vec<String>>,
}
