//! AuthorizationPolicy: spec -> model, checked.

mod condition;

use weft_model::{
    matching::Pattern,
    policy::{Action, AuthorizationPolicy, Operation, PathPattern, Rule, Source},
};

use super::{
    super::{
        field_path::FieldPath,
        findings::Findings,
        objects::authorization_policy::{self as spec, AuthorizationPolicySpec},
    },
    matching::{networks, refuse_empty},
    meta::Meta,
    peer_authentication::selector,
    port,
};

/// Converts an AuthorizationPolicy; what is wrong with it goes to `findings`.
pub fn convert(meta: &Meta, spec: &AuthorizationPolicySpec, findings: &mut Findings) -> AuthorizationPolicy {
    let root = FieldPath::of(&["spec"]);
    if spec.target_ref.is_some() || spec.target_refs.is_some() {
        // Without its target the policy would be for the whole namespace.
        let next = "use spec.selector.matchLabels";
        findings.error(&root.key("targetRefs"), "attaching a policy to an object is not supported yet", next);
    }
    let action = match spec.action {
        None | Some(spec::Action::Allow) => Action::Allow,
        Some(spec::Action::Deny) => Action::Deny,
        Some(spec::Action::Audit) => {
            findings.warn(&root.key("action"), "AUDIT is accepted and not enforced yet", "");
            Action::Audit
        }
        Some(spec::Action::Custom) => {
            // Istio, too, denies what a CUSTOM policy matches when there is nobody to ask.
            let message = "CUSTOM is not enforced yet: what the policy matches is denied";
            findings.warn(&root.key("action"), message, "use ALLOW or DENY");
            Action::Deny
        }
    };
    let rules: Vec<Rule> = spec
        .rules
        .iter()
        .flatten()
        .enumerate()
        .map(|(index, one)| rule(one, &meta.name.namespace, &root.key("rules").index(index), findings))
        .collect();
    if action == Action::Deny && rules.is_empty() {
        findings.warn(&root, "DENY without rules matches nothing", "add a rule; rules: [{}] matches everything");
    }
    AuthorizationPolicy {
        name: meta.name.clone(),
        selector: selector(spec.selector.as_ref()),
        action,
        rules,
        dry_run: meta.annotations.get("istio.io/dry-run").is_some_and(|value| value == "true"),
    }
}

fn rule(from: &spec::Rule, namespace: &str, path: &FieldPath, findings: &mut Findings) -> Rule {
    let mut rule = Rule::default();
    for (index, one) in from.from.iter().flatten().enumerate() {
        let path = path.key("from").index(index);
        match &one.source {
            Some(source) if *source != spec::Source::default() => {
                rule.from.push(self::source(source, namespace, &path.key("source"), findings));
            }
            _ => findings.error(&path, "names no source", "add source with at least one field, or remove from"),
        }
    }
    for (index, one) in from.to.iter().flatten().enumerate() {
        let path = path.key("to").index(index);
        match &one.operation {
            Some(operation) if *operation != spec::Operation::default() => {
                rule.to.push(self::operation(operation, &path.key("operation"), findings));
            }
            _ => findings.error(&path, "names no operation", "add operation with at least one field, or remove to"),
        }
    }
    for (index, one) in from.when.iter().flatten().enumerate() {
        rule.when.extend(condition::convert(one, namespace, &path.key("when").index(index), findings));
    }
    rule
}

fn source(from: &spec::Source, namespace: &str, path: &FieldPath, findings: &mut Findings) -> Source {
    let mut text = |name: &str, list: &Option<Vec<String>>| patterns(list.as_ref(), &path.key(name), findings);
    let mut source = Source {
        principals: text("principals", &from.principals),
        not_principals: text("notPrincipals", &from.not_principals),
        namespaces: text("namespaces", &from.namespaces),
        not_namespaces: text("notNamespaces", &from.not_namespaces),
        request_principals: text("requestPrincipals", &from.request_principals),
        not_request_principals: text("notRequestPrincipals", &from.not_request_principals),
        ..Source::default()
    };
    for (name, is_set) in [
        ("requestPrincipals", from.request_principals.is_some()),
        ("notRequestPrincipals", from.not_request_principals.is_some()),
    ] {
        if is_set {
            let message = "tokens are not verified yet: every request counts as one without a token";
            findings.warn(&path.key(name), message, "");
        }
    }
    for (name, is_set) in
        [("trustDomains", from.trust_domains.is_some()), ("notTrustDomains", from.not_trust_domains.is_some())]
    {
        if is_set {
            // Left out, the source would match more than it says.
            findings.error(&path.key(name), "is not supported yet", "use principals, for example cluster.local/ns/*");
        }
    }
    let mut accounts =
        |name: &str, list: &Option<Vec<String>>| service_accounts(list.as_ref(), namespace, &path.key(name), findings);
    source.service_accounts = accounts("serviceAccounts", &from.service_accounts);
    source.not_service_accounts = accounts("notServiceAccounts", &from.not_service_accounts);
    let mut nets = |name: &str, list: &Option<Vec<String>>| networks(list.as_ref(), &path.key(name), findings);
    source.ip_blocks = nets("ipBlocks", &from.ip_blocks);
    source.not_ip_blocks = nets("notIpBlocks", &from.not_ip_blocks);
    source.remote_ip_blocks = nets("remoteIpBlocks", &from.remote_ip_blocks);
    source.not_remote_ip_blocks = nets("notRemoteIpBlocks", &from.not_remote_ip_blocks);
    source
}

/// `name` or `namespace/name`, kept with the namespace.
fn service_accounts(
    list: Option<&Vec<String>>,
    namespace: &str,
    path: &FieldPath,
    findings: &mut Findings,
) -> Vec<Pattern> {
    refuse_empty(list, path, findings);
    let mut found = Vec::new();
    for (index, text) in list.into_iter().flatten().enumerate() {
        if text.is_empty() || text.contains('*') || text.matches('/').count() > 1 {
            let message = format!("{text:?} is no service account");
            findings.error(&path.index(index), message, "write name or namespace/name; wildcards are not allowed");
        } else if text.contains('/') {
            found.push(Pattern::Exact(text.clone()));
        } else {
            found.push(Pattern::Exact(format!("{namespace}/{text}")));
        }
    }
    found
}

fn operation(from: &spec::Operation, path: &FieldPath, findings: &mut Findings) -> Operation {
    let mut text = |name: &str, list: &Option<Vec<String>>| patterns(list.as_ref(), &path.key(name), findings);
    // Hosts know no case (RFC 9110 section 4.2.3).
    let lower = |list: &Option<Vec<String>>| -> Option<Vec<String>> {
        Some(list.as_ref()?.iter().map(|host| host.to_ascii_lowercase()).collect())
    };
    let mut operation = Operation {
        hosts: text("hosts", &lower(&from.hosts)),
        not_hosts: text("notHosts", &lower(&from.not_hosts)),
        methods: text("methods", &from.methods),
        not_methods: text("notMethods", &from.not_methods),
        ..Operation::default()
    };
    operation.ports = ports(from.ports.as_ref(), &path.key("ports"), findings);
    operation.not_ports = ports(from.not_ports.as_ref(), &path.key("notPorts"), findings);
    operation.paths = paths(from.paths.as_ref(), &path.key("paths"), findings);
    operation.not_paths = paths(from.not_paths.as_ref(), &path.key("notPaths"), findings);
    operation
}

/// Patterns of a list: no empty ones, which could never match.
fn patterns(list: Option<&Vec<String>>, path: &FieldPath, findings: &mut Findings) -> Vec<Pattern> {
    refuse_empty(list, path, findings);
    let mut found = Vec::new();
    for (index, text) in list.into_iter().flatten().enumerate() {
        if text.is_empty() {
            findings.error(&path.index(index), "is empty", "write a value, prefix*, *suffix or *");
        }
        found.push(Pattern::parse(text));
    }
    found
}

fn ports(list: Option<&Vec<String>>, path: &FieldPath, findings: &mut Findings) -> Vec<u16> {
    refuse_empty(list, path, findings);
    let mut found = Vec::new();
    for (index, text) in list.into_iter().flatten().enumerate() {
        match text.parse::<i64>() {
            Ok(number) => found.extend(port(number, &path.index(index), findings)),
            Err(_) => findings.error(&path.index(index), format!("{text:?} is no port"), "use a number in quotes"),
        }
    }
    found
}

fn paths(list: Option<&Vec<String>>, path: &FieldPath, findings: &mut Findings) -> Vec<PathPattern> {
    let plain = patterns(list, path, findings);
    let mut found = Vec::new();
    for (index, (text, pattern)) in list.into_iter().flatten().zip(plain).enumerate() {
        if !text.contains(['{', '}']) {
            found.push(PathPattern::Plain(pattern));
            continue;
        }
        let rest = text.replace("{**}", "").replace("{*}", "");
        if rest.contains(['{', '}', '*']) {
            let next = "a template has {*} for one segment and {**} for any number, and no other wildcard";
            findings.error(&path.index(index), format!("{text:?} is no path template"), next);
        }
        found.push(PathPattern::Template(text.clone()));
    }
    found
}

#[cfg(test)]
mod tests;
