//! Does a rule of an AuthorizationPolicy match? Called by the inbound half of [`crate::decision`].
//!
//! All of `from`, `to` and `when` that are present must match; each list is a choice. Inside a source or operation
//! every non-empty list must have a match and no `not` list may have one. A peer without mesh mTLS has no principal:
//! whatever asks for one does not match, and `notPrincipals` does (Istio's reading of absence).

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use ipnet::IpNet;

use super::{Action, AuthorizationPolicy, Condition, ConditionKey, Operation, Rule, Source, normalize_path};
use crate::{address::canonical_ip, decision::InboundFacts, identity::SpiffeId, matching::Pattern, request::Request};

/// Stands for the mesh's own trust domain in policies, whatever its name (Istio, `trustdomain.Bundle`).
const LOCAL_TRUST_DOMAIN: &str = "cluster.local";

/// Who the peer is, in the spellings policies use.
struct Peer<'a> {
    namespace: Option<&'a str>,
    /// `<trust domain>/ns/<namespace>/sa/<service account>`, once per trust domain that counts as the peer's.
    principals: Vec<String>,
    /// `<namespace>/<service account>`.
    service_account: Option<String>,
}

impl<'a> Peer<'a> {
    /// `trust_domains`: the mesh's own and its aliases, each of which stands for all.
    fn new(principal: Option<&'a SpiffeId>, trust_domains: &[Arc<str>]) -> Self {
        let Some(id) = principal else {
            return Self { namespace: None, principals: Vec::new(), service_account: None };
        };
        let mut domains: Vec<&str> = vec![&id.trust_domain];
        if trust_domains.contains(&id.trust_domain) {
            let own = trust_domains.iter().map(|domain| &**domain).chain([LOCAL_TRUST_DOMAIN]);
            domains.extend(own.filter(|domain| *domain != &*id.trust_domain));
        }
        let spell = |domain: &&str| format!("{domain}/ns/{}/sa/{}", id.namespace, id.service_account);
        Self {
            namespace: Some(&id.namespace),
            principals: domains.iter().map(spell).collect(),
            service_account: Some(format!("{}/{}", id.namespace, id.service_account)),
        }
    }
}

/// One evaluation: the facts, in the form that rules look at.
pub(crate) struct Evaluation<'a> {
    facts: &'a InboundFacts<'a>,
    peer: Peer<'a>,
    path: Cow<'a, str>,
}

impl<'a> Evaluation<'a> {
    /// Prepares what all policies look at. `trust_domains` are the mesh's own and its aliases.
    pub(crate) fn new(facts: &'a InboundFacts<'a>, trust_domains: &[Arc<str>]) -> Self {
        let peer = Peer::new(facts.principal, trust_domains);
        let path = facts.request.map_or(Cow::Borrowed(""), |request| normalize_path(request.path()));
        Self { facts, peer, path }
    }

    /// Index of the first rule that matches.
    pub(crate) fn rule_of(&self, policy: &AuthorizationPolicy) -> Option<usize> {
        policy.rules.iter().position(|rule| self.rule(rule, policy.action))
    }

    fn rule(&self, rule: &Rule, action: Action) -> bool {
        // On opaque TCP an ALLOW rule must not allow more than was written, so one that needs HTTP allows nothing; a
        // DENY rule must not deny less, so what needs HTTP is left out of it (Istio: "Security implications of using
        // HTTP-only fields on TCP ports").
        if self.facts.request.is_none() && action == Action::Allow && rule.needs_http() {
            return false;
        }
        (rule.from.is_empty() || rule.from.iter().any(|source| self.source(source)))
            && (rule.to.is_empty() || rule.to.iter().any(|operation| self.operation(operation)))
            && rule.when.iter().all(|condition| self.condition(condition))
    }

    fn source(&self, source: &Source) -> bool {
        let peer = &self.peer;
        let principal = |pattern: &Pattern| peer.principals.iter().any(|principal| pattern.matches(principal));
        let namespace = |pattern: &Pattern| peer.namespace.is_some_and(|namespace| pattern.matches(namespace));
        let account = |pattern: &Pattern| peer.service_account.as_ref().is_some_and(|name| pattern.matches(name));
        let address = |net: &IpNet| net.contains(&canonical_ip(self.facts.peer));
        // No RequestAuthentication, no request principal: nothing matches, and so no `not` list excludes.
        let request_principal = |_: &Pattern| false;
        holds(&source.principals, &source.not_principals, principal)
            && holds(&source.namespaces, &source.not_namespaces, namespace)
            && holds(&source.service_accounts, &source.not_service_accounts, account)
            && holds(&source.ip_blocks, &source.not_ip_blocks, address)
            // Between workloads the original client is the direct peer; gateways, which know better, come later.
            && holds(&source.remote_ip_blocks, &source.not_remote_ip_blocks, address)
            && (self.facts.request.is_none()
                || holds(&source.request_principals, &source.not_request_principals, request_principal))
    }

    fn operation(&self, operation: &Operation) -> bool {
        let port = self.facts.destination.port();
        holds(&operation.ports, &operation.not_ports, |want| *want == port)
            && self.facts.request.is_none_or(|request| self.http_operation(operation, request))
    }

    fn http_operation(&self, operation: &Operation, request: &Request<'_>) -> bool {
        // Istio matches the Host header as sent, with its port when it was sent, ignoring case.
        let host = request.authority.to_ascii_lowercase();
        holds(&operation.hosts, &operation.not_hosts, |pattern| pattern.matches(&host))
            && holds(&operation.methods, &operation.not_methods, |pattern| pattern.matches(request.method))
            && holds(&operation.paths, &operation.not_paths, |pattern| pattern.matches(&self.path))
    }

    fn condition(&self, condition: &Condition) -> bool {
        let facts = self.facts;
        let text = |value: Option<&str>| condition.holds_for(value);
        match &condition.key {
            ConditionKey::RequestHeader(name) => {
                facts.request.is_none_or(|request| text(request.headers.value(name).as_deref()))
            }
            ConditionKey::RequestAuth(_) => facts.request.is_none() || text(None),
            ConditionKey::SourceIp | ConditionKey::RemoteIp => condition.holds_for_address(facts.peer),
            ConditionKey::DestinationIp => condition.holds_for_address(facts.destination.ip()),
            ConditionKey::DestinationPort => text(Some(&facts.destination.port().to_string())),
            ConditionKey::SourceNamespace => text(self.peer.namespace),
            ConditionKey::SourceServiceAccount => text(self.peer.service_account.as_deref()),
            ConditionKey::SourcePrincipal => holds(&condition.values, &condition.not_values, |pattern| {
                self.peer.principals.iter().any(|principal| pattern.matches(principal))
            }),
            ConditionKey::ConnectionSni => text(facts.sni),
        }
    }
}

/// One of `any` matches, unless there are none to match, and none of `none`.
fn holds<T>(any: &[T], none: &[T], matches: impl Fn(&T) -> bool) -> bool {
    (any.is_empty() || any.iter().any(&matches)) && !none.iter().any(&matches)
}

impl Condition {
    fn holds_for(&self, value: Option<&str>) -> bool {
        holds(&self.values, &self.not_values, |pattern| value.is_some_and(|value| pattern.matches(value)))
    }

    fn holds_for_address(&self, address: IpAddr) -> bool {
        let address = canonical_ip(address);
        // Values without networks would be a constraint that nobody compiled: it matches nothing, not everything.
        let compiled = (!self.nets.is_empty() || self.values.is_empty())
            && (!self.not_nets.is_empty() || self.not_values.is_empty());
        compiled && holds(&self.nets, &self.not_nets, |net| net.contains(&address))
    }
}

impl Rule {
    /// Does it use a field that only HTTP has?
    fn needs_http(&self) -> bool {
        let source = |one: &Source| !one.request_principals.is_empty() || !one.not_request_principals.is_empty();
        let operation = |one: &Operation| {
            [&one.hosts, &one.not_hosts, &one.methods, &one.not_methods].into_iter().any(|list| !list.is_empty())
                || !one.paths.is_empty()
                || !one.not_paths.is_empty()
        };
        let condition =
            |one: &Condition| matches!(one.key, ConditionKey::RequestHeader(_) | ConditionKey::RequestAuth(_));
        self.from.iter().any(source) || self.to.iter().any(operation) || self.when.iter().any(condition)
    }
}
