//! VirtualService: spec -> model, checked.

mod http_match;
mod not_enforced;

use std::sync::Arc;

use weft_model::route::{Destination, HttpRoute, Mirror, TcpRoute, VirtualService, WeightedDestination};

use super::{
    super::{
        field_path::FieldPath,
        findings::{Findings, NOT_ENFORCED},
        objects::virtual_service as spec,
    },
    host::{self, Wildcard},
    meta::Meta,
    port,
};

/// Converts a VirtualService; what is wrong with it goes to `findings`.
pub fn convert(
    meta: &Meta,
    spec: &spec::VirtualServiceSpec,
    cluster_domain: &str,
    findings: &mut Findings,
) -> VirtualService {
    let root = FieldPath::of(&["spec"]);
    let namespace = &meta.name.namespace;
    let scope = Scope { namespace, cluster_domain };
    let mut hosts = Vec::new();
    for (index, host) in spec.hosts.iter().flatten().enumerate() {
        host::check(host, Wildcard::Allowed, &root.key("hosts").index(index), findings);
        hosts.push(host::fully_qualified(host, namespace, cluster_domain));
    }
    if hosts.is_empty() {
        let message = "without hosts it is a delegate, and delegation is not enforced yet";
        findings.warn(&root, message, "add spec.hosts unless another VirtualService delegates to it");
    }
    if spec.http.is_none() && spec.tls.is_none() && spec.tcp.is_none() {
        findings.error(&root, "has no routes", "add spec.http, spec.tcp or spec.tls");
    }
    not_enforced::object(spec, &root, findings);
    let mut gateways = host::gateways(spec.gateways.as_ref(), namespace);
    if gateways.is_empty() {
        gateways.push("mesh".into());
    }
    let http = spec.http.iter().flatten().enumerate();
    let tcp = spec.tcp.iter().flatten().enumerate();
    VirtualService {
        name: meta.name.clone(),
        hosts,
        gateways,
        export_to: host::visibility(spec.export_to.as_ref(), namespace, &root.key("exportTo"), findings),
        http: http.map(|(i, one)| scope.http_route(one, &root.key("http").index(i), findings)).collect(),
        tcp: tcp.filter_map(|(i, one)| scope.tcp_route(one, &root.key("tcp").index(i), findings)).collect(),
        created: meta.created,
    }
}

/// Where the names of a rule are looked up.
struct Scope<'a> {
    namespace: &'a Arc<str>,
    cluster_domain: &'a str,
}

impl Scope<'_> {
    fn http_route(&self, from: &spec::HttpRoute, path: &FieldPath, findings: &mut Findings) -> HttpRoute {
        let answers = from.redirect.is_some() || from.direct_response.is_some() || from.delegate.is_some();
        let route: Vec<_> = from.route.iter().flatten().collect();
        if route.is_empty() && !answers {
            findings.error(path, "leads nowhere", "add route, redirect, directResponse or delegate");
        }
        not_enforced::http_route(from, path, findings);
        let matches = from.matches.iter().flatten().enumerate();
        let matches = matches
            .map(|(i, one)| http_match::convert(one, self.namespace, &path.key("match").index(i), findings))
            .collect();
        let shares: Vec<_> = route.iter().map(|one| (one.destination.as_ref(), one.weight)).collect();
        HttpRoute {
            name: from.name.as_deref().map(Into::into),
            matches,
            destinations: self.destinations(&shares, &path.key("route"), findings),
            mirrors: self.mirrors(from, path, findings),
        }
    }

    /// `mirrors[]`, and the older `mirror` with its two spellings of a share.
    fn mirrors(&self, from: &spec::HttpRoute, path: &FieldPath, findings: &mut Findings) -> Vec<Mirror> {
        let mut found = Vec::new();
        if let Some(to) = &from.mirror {
            let old = from.mirror_percent.map(f64::from);
            let share = from.mirror_percentage.as_ref().map(|percent| percent.value.unwrap_or(0.0)).or(old);
            found.push(Mirror {
                destination: self.destination(to, &path.key("mirror"), findings),
                per_million: per_million(share),
            });
        }
        for (index, one) in from.mirrors.iter().flatten().enumerate() {
            let path = path.key("mirrors").index(index);
            let Some(to) = &one.destination else {
                findings.error(&path, "has no destination", "add destination.host");
                continue;
            };
            let share = one.percentage.as_ref().map(|percent| percent.value.unwrap_or(0.0));
            let destination = self.destination(to, &path.key("destination"), findings);
            found.push(Mirror { destination, per_million: per_million(share) });
        }
        found
    }

    /// A `tcp[]` entry; `None` when all its conditions are of a sort that is not enforced yet: leaving
    /// the conditions out would make it match more than it says.
    fn tcp_route(&self, from: &spec::TcpRoute, path: &FieldPath, findings: &mut Findings) -> Option<TcpRoute> {
        let shares: Vec<_> = from.route.iter().flatten().map(|one| (one.destination.as_ref(), one.weight)).collect();
        if shares.is_empty() {
            findings.error(path, "leads nowhere", "add route");
        }
        let mut ports = Vec::new();
        let mut is_unconditional = from.matches.as_ref().is_none_or(Vec::is_empty);
        for (index, one) in from.matches.iter().flatten().enumerate() {
            let path = path.key("match").index(index);
            let number = one.port.and_then(|number| port(number, &path.key("port"), findings));
            if not_enforced::tcp_match(one, &path, findings) {
                continue;
            }
            match number {
                Some(number) => ports.push(number),
                None => is_unconditional |= one.port.is_none(),
            }
        }
        let destinations = self.destinations(&shares, &path.key("route"), findings);
        if is_unconditional {
            ports.clear();
        }
        (is_unconditional || !ports.is_empty()).then_some(TcpRoute { ports, destinations })
    }

    fn destinations(
        &self,
        shares: &[(Option<&spec::Destination>, Option<i64>)],
        path: &FieldPath,
        findings: &mut Findings,
    ) -> Vec<WeightedDestination> {
        let mut found = Vec::new();
        for (index, (destination, weight)) in shares.iter().enumerate() {
            let path = path.index(index);
            let Some(destination) = destination else {
                findings.error(&path, "has no destination", "add destination.host");
                continue;
            };
            let weight = weight.and_then(|weight| match u32::try_from(weight) {
                Ok(weight) => Some(weight),
                Err(_) => {
                    let message = format!("weight {weight} is out of range");
                    findings.error(&path.key("weight"), message, "use a share of 0 or more, for example 90 and 10");
                    None
                }
            });
            let destination = self.destination(destination, &path.key("destination"), findings);
            found.push(WeightedDestination { destination, weight });
        }
        let total: u64 = found.iter().map(|one| u64::from(one.weight.unwrap_or(0))).sum();
        if found.len() > 1 && total == 0 && findings.errors.is_empty() {
            findings.error(path, "all weights are 0", "give at least one destination a weight");
        }
        found
    }

    fn destination(&self, from: &spec::Destination, path: &FieldPath, findings: &mut Findings) -> Destination {
        host::check(&from.host, Wildcard::Refused, &path.key("host"), findings);
        let number = from.port.as_ref().and_then(|port| port.number);
        Destination {
            host: host::fully_qualified(&from.host, self.namespace, self.cluster_domain),
            subset: from.subset.as_deref().filter(|name| !name.is_empty()).map(Into::into),
            port: number.and_then(|number| port(number, &path.key("port").key("number"), findings)),
        }
    }
}

/// The same rule with `name.namespace` hosts resolved by the registry; `None` when nothing changes.
pub fn qualify(rule: &VirtualService, known: &host::KnownServices, cluster_domain: &str) -> Option<VirtualService> {
    let mut qualified = rule.clone();
    let mut changed = false;
    let mut resolve = |host: &mut Arc<str>| {
        if let Some(better) = host::qualified_by_registry(host, known, cluster_domain) {
            *host = better;
            changed = true;
        }
    };
    qualified.hosts.iter_mut().for_each(&mut resolve);
    let http = qualified.http.iter_mut().flat_map(|route| &mut route.destinations);
    let tcp = qualified.tcp.iter_mut().flat_map(|route| &mut route.destinations);
    http.chain(tcp).for_each(|one| resolve(&mut one.destination.host));
    let mirrors = qualified.http.iter_mut().flat_map(|route| &mut route.mirrors);
    mirrors.for_each(|one| resolve(&mut one.destination.host));
    changed.then_some(qualified)
}

/// A percentage in millionths; absent is all, and what is out of range was reported with the other ranges.
fn per_million(percent: Option<f64>) -> u32 {
    let share = percent.unwrap_or(100.0).clamp(0.0, 100.0) / 100.0;
    (share * f64::from(Mirror::ALL)).round() as u32
}

/// Said of a match block that is left out.
const BLOCK_LEFT_OUT: &str = "so this match block is left out";

#[cfg(test)]
mod tests;
