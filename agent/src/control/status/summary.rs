//! One sentence about what an accepted object does, with names as the mesh understood them.

use weft_model::{
    policy::{Action, AuthorizationPolicy, MtlsMode, PeerAuthentication},
    route::{DestinationRule, VirtualService},
    workload::{Labels, Named},
};

use crate::{control::references::written, discovery::objects::Content};

/// The sentence; `root` is the mesh's root namespace.
pub fn summary(content: &Content, root: &str) -> String {
    match content {
        Content::VirtualService(rule) => virtual_service(rule),
        Content::DestinationRule(rule) => destination_rule(rule),
        Content::PeerAuthentication(policy) => peer_authentication(policy, root),
        Content::AuthorizationPolicy(policy) => authorization_policy(policy, root),
        _ => String::new(),
    }
}

fn virtual_service(rule: &VirtualService) -> String {
    let count = |count: usize, what: &str| match count {
        0 => None,
        1 => Some(format!("1 {what} route")),
        _ => Some(format!("{count} {what} routes")),
    };
    let routes: Vec<String> =
        [count(rule.http.len(), "http"), count(rule.tcp.len(), "tcp")].into_iter().flatten().collect();
    let routes = if routes.is_empty() { "no routes".to_owned() } else { routes.join(" and ") };
    match &rule.hosts[..] {
        [] => format!("{routes} for another VirtualService that delegates to it"),
        hosts => format!("{routes} for {}", hosts.join(", ")),
    }
}

fn destination_rule(rule: &DestinationRule) -> String {
    let subsets: Vec<&str> = rule.subsets.iter().map(|subset| &*subset.name).collect();
    match &subsets[..] {
        [] => format!("traffic policy for {}", rule.host),
        subsets => format!("subsets {} of {}", subsets.join(", "), rule.host),
    }
}

fn peer_authentication(policy: &PeerAuthentication, root: &str) -> String {
    let mode = |mode: Option<MtlsMode>| match mode {
        None => "the mode that applies otherwise",
        Some(MtlsMode::Disable) => "DISABLE",
        Some(MtlsMode::Permissive) => "PERMISSIVE",
        Some(MtlsMode::Strict) => "STRICT",
    };
    let ports: Vec<String> =
        policy.ports.iter().map(|(port, one)| format!(", {} on port {port}", mode(*one))).collect();
    format!("{} for {}{}", mode(policy.mode), whom(&policy.name, policy.selector.as_ref(), root), ports.concat())
}

fn authorization_policy(policy: &AuthorizationPolicy, root: &str) -> String {
    let action = match policy.action {
        Action::Allow => "ALLOW",
        Action::Deny => "DENY",
        Action::Audit => "AUDIT",
    };
    let rules = match (policy.rules.len(), policy.action) {
        (0, Action::Allow) => "without rules, so everything is denied,".to_owned(),
        (0, _) => "without rules, so nothing matches,".to_owned(),
        (1, _) => "by 1 rule".to_owned(),
        (count, _) => format!("by {count} rules"),
    };
    let dry_run = if policy.dry_run { "; a dry run: reported, not enforced" } else { "" };
    format!("{action} {rules} for {}{dry_run}", whom(&policy.name, policy.selector.as_ref(), root))
}

/// Whom a policy is for.
fn whom(policy: &Named, selector: Option<&Labels>, root: &str) -> String {
    let place = match &*policy.namespace {
        namespace if namespace == root => "the mesh".to_owned(),
        namespace => format!("namespace {namespace}"),
    };
    match selector {
        None => format!("all workloads of {place}"),
        Some(labels) => format!("workloads of {place} with {}", written(labels)),
    }
}
