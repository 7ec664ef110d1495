//! Host names in rules: short, qualified, external, wildcard; and who may see a rule.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use weft_model::route::Visibility;

use super::super::{field_path::FieldPath, findings::Findings, names};

/// The fully qualified form of a host named by a rule of `namespace`.
///
/// Istio's rule (`ResolveShortnameToFQDN`): a name without dots is a Service of the rule's namespace;
/// everything else is meant as written. `name.namespace.svc` only lacks the cluster's suffix.
pub fn fully_qualified(host: &str, namespace: &str, cluster_domain: &str) -> Arc<str> {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let labels: Vec<&str> = host.split('.').collect();
    match labels[..] {
        _ if host.starts_with('*') || host.parse::<IpAddr>().is_ok() => host.into(),
        [name] => format!("{name}.{namespace}.svc.{cluster_domain}").into(),
        [_, _, "svc"] => format!("{host}.{cluster_domain}").into(),
        _ => host.into(),
    }
}

/// Name and namespace of the known Services: `name.namespace` means one of them, if there is one;
/// otherwise it is a name of the outside such as `example.com`.
pub type KnownServices = BTreeSet<(Arc<str>, Arc<str>)>;

/// [`fully_qualified`] for `name.namespace`, which only the registry can tell from an outside name.
/// `None` when the host stays as it is.
pub fn qualified_by_registry(host: &str, known: &KnownServices, cluster_domain: &str) -> Option<Arc<str>> {
    let (name, namespace) = host.split_once('.')?;
    let is_known = !namespace.contains('.') && known.contains(&(name.into(), namespace.into()));
    is_known.then(|| format!("{host}.svc.{cluster_domain}").into())
}

/// Complains about a host that is no DNS name, address, or (where allowed) wildcard.
pub fn check(host: &str, wildcard: Wildcard, path: &FieldPath, findings: &mut Findings) {
    let host = host.strip_suffix('.').unwrap_or(host);
    let name = match (wildcard, host.strip_prefix('*')) {
        (Wildcard::Allowed, Some("")) => return,
        (Wildcard::Allowed, Some(tail)) => tail.strip_prefix('.').unwrap_or("*"),
        (Wildcard::Refused, Some(_)) => "*",
        (_, None) => host,
    };
    if !names::is_dns_name(&name.to_ascii_lowercase()) && name.parse::<IpAddr>().is_err() {
        let next = match wildcard {
            Wildcard::Allowed => "use a Service name, a DNS name, *.suffix or *",
            Wildcard::Refused => "use a Service name or a DNS name",
        };
        findings.error(path, format!("{host:?} is no valid host name (invalid DNS label)"), next);
    }
}

/// May a host be a wildcard?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wildcard {
    /// Yes: hosts of a rule.
    Allowed,
    /// No: destinations.
    Refused,
}

/// `exportTo`: absent or `*` is everybody, `.` the own namespace, `~` nobody.
pub fn visibility(
    export_to: Option<&Vec<String>>,
    namespace: &Arc<str>,
    path: &FieldPath,
    findings: &mut Findings,
) -> Visibility {
    let Some(list) = export_to.filter(|list| !list.is_empty()) else { return Visibility::Everywhere };
    let mut namespaces = Vec::new();
    for (index, one) in list.iter().enumerate() {
        match one.as_str() {
            "*" => return Visibility::Everywhere,
            "." => namespaces.push(namespace.clone()),
            "~" => {}
            name if names::is_label(name) => namespaces.push(name.into()),
            name => {
                let message = format!("{name:?} is no namespace");
                findings.error(&path.index(index), message, "use . (this namespace), * (all), ~ (none) or a name");
            }
        }
    }
    Visibility::Namespaces(namespaces)
}

/// `gateways`: `mesh` stays, a local name gets the rule's namespace.
pub fn gateways(list: Option<&Vec<String>>, namespace: &str) -> Vec<Arc<str>> {
    let qualified = |gateway: &String| match gateway.split_once('/') {
        None if gateway == "mesh" => "mesh".into(),
        None => format!("{namespace}/{gateway}").into(),
        Some((".", name)) => format!("{namespace}/{name}").into(),
        Some(_) => gateway.as_str().into(),
    };
    list.into_iter().flatten().map(qualified).collect()
}
