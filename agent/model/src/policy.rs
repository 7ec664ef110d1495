//! Security as configured: PeerAuthentication and AuthorizationPolicy, parsed.
//!
//! Which apply to a workload, and what they say, is decided in [`crate::decision`]'s inbound half.

mod evaluate;
mod path;
mod peer;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use ipnet::IpNet;

pub(crate) use evaluate::Evaluation;
pub use path::normalize_path;
pub(crate) use peer::{PeerModes, PortModes};

use crate::{
    matching::Pattern,
    workload::{Labels, Named},
};

/// mTLS mode of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MtlsMode {
    /// `DISABLE`: plain text only.
    Disable,
    /// `PERMISSIVE`: both on one port.
    Permissive,
    /// `STRICT`: mesh mTLS only.
    Strict,
}

/// A PeerAuthentication. In the root namespace without selector it is mesh-wide.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerAuthentication {
    /// Namespace and name.
    pub name: Named,
    /// `selector.matchLabels`; `None` means the whole namespace (or mesh).
    pub selector: Option<Labels>,
    /// `mtls.mode`; `None` is UNSET (inherit).
    pub mode: Option<MtlsMode>,
    /// `portLevelMtls`, by the workload's port; `None` is UNSET.
    pub ports: BTreeMap<u16, Option<MtlsMode>>,
    /// Seconds since the epoch, 0 when absent: where several apply on one level, the oldest wins.
    pub created: i64,
}

/// What an AuthorizationPolicy does with what it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// `ALLOW`.
    Allow,
    /// `DENY`.
    Deny,
    /// `AUDIT`.
    Audit,
}

/// An AuthorizationPolicy. In the root namespace it applies to all namespaces.
#[derive(Clone, Debug, PartialEq)]
pub struct AuthorizationPolicy {
    /// Namespace and name.
    pub name: Named,
    /// `selector.matchLabels`; `None` means all workloads of the namespace (or mesh).
    pub selector: Option<Labels>,
    /// What to do on a match.
    pub action: Action,
    /// Any of these must match; none at all matches nothing (ALLOW then denies everything).
    pub rules: Vec<Rule>,
    /// Annotation `istio.io/dry-run: "true"`: reported, never enforced.
    pub dry_run: bool,
}

/// One rule: all of `from`, `to` and `when` that are present must match.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rule {
    /// Any of these sources (empty: any source).
    pub from: Vec<Source>,
    /// Any of these operations (empty: any operation).
    pub to: Vec<Operation>,
    /// All of these conditions.
    pub when: Vec<Condition>,
}

/// `from[].source`: every non-empty list must have a match, no `not_` list may have one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Source {
    /// `principals`, without the `spiffe://`.
    pub principals: Vec<Pattern>,
    /// `notPrincipals`.
    pub not_principals: Vec<Pattern>,
    /// `namespaces`.
    pub namespaces: Vec<Pattern>,
    /// `notNamespaces`.
    pub not_namespaces: Vec<Pattern>,
    /// `serviceAccounts`: `sa` or `ns/sa`, kept as `ns/sa`.
    pub service_accounts: Vec<Pattern>,
    /// `notServiceAccounts`.
    pub not_service_accounts: Vec<Pattern>,
    /// `ipBlocks`: address of the direct peer.
    pub ip_blocks: Vec<IpNet>,
    /// `notIpBlocks`.
    pub not_ip_blocks: Vec<IpNet>,
    /// `remoteIpBlocks`: address of the original client (X-Forwarded-For aware at gateways).
    pub remote_ip_blocks: Vec<IpNet>,
    /// `notRemoteIpBlocks`.
    pub not_remote_ip_blocks: Vec<IpNet>,
    /// `requestPrincipals`: needs a JWT, so nothing matches until RequestAuthentication exists.
    pub request_principals: Vec<Pattern>,
    /// `notRequestPrincipals`.
    pub not_request_principals: Vec<Pattern>,
}

/// `to[].operation`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Operation {
    /// `hosts`, matched case-insensitively (kept in lower case).
    pub hosts: Vec<Pattern>,
    /// `notHosts`.
    pub not_hosts: Vec<Pattern>,
    /// `ports`: the workload's port.
    pub ports: Vec<u16>,
    /// `notPorts`.
    pub not_ports: Vec<u16>,
    /// `methods`.
    pub methods: Vec<Pattern>,
    /// `notMethods`.
    pub not_methods: Vec<Pattern>,
    /// `paths`: without query; `{*}` and `{**}` templates are kept as written in `PathPattern`.
    pub paths: Vec<PathPattern>,
    /// `notPaths`.
    pub not_paths: Vec<PathPattern>,
}

/// A path of an operation: a plain [`Pattern`] or a URI template (`/a/{*}/b`, `/a/{**}`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathPattern {
    /// Exact, prefix, suffix or present.
    Plain(Pattern),
    /// `{*}` matches one segment, `{**}` any number at the end or in between.
    Template(String),
}

/// `when[]`: `key` with `values` / `notValues`.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// What is looked at.
    pub key: ConditionKey,
    /// Any of these (empty: no constraint).
    pub values: Vec<Pattern>,
    /// None of these.
    pub not_values: Vec<Pattern>,
    /// `values` as networks, for the IP keys.
    pub nets: Vec<IpNet>,
    /// `notValues` as networks, for the IP keys.
    pub not_nets: Vec<IpNet>,
}

/// Attributes of `when[].key` (Istio "Authorization Policy Conditions").
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConditionKey {
    /// `request.headers[name]`, name in lower case.
    RequestHeader(String),
    /// `source.ip`.
    SourceIp,
    /// `remote.ip`.
    RemoteIp,
    /// `source.namespace`.
    SourceNamespace,
    /// `source.principal`.
    SourcePrincipal,
    /// `source.serviceAccount`.
    SourceServiceAccount,
    /// `request.auth.*`: needs a JWT; never matches until RequestAuthentication exists.
    RequestAuth(String),
    /// `destination.ip`.
    DestinationIp,
    /// `destination.port`.
    DestinationPort,
    /// `connection.sni`.
    ConnectionSni,
}
