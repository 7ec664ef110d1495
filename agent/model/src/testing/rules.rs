//! Routes, policies and requests in one line each.

use std::collections::BTreeMap;

use super::{fqdn, labels};
use crate::{
    matching::{Pattern, StringMatch},
    policy::{Action, AuthorizationPolicy, MtlsMode, PeerAuthentication, Rule},
    request::Request,
    route::{
        ClientTls, Destination, DestinationRule, HttpMatch, HttpRoute, Subset, TcpRoute, TrafficPolicy, VirtualService,
        Visibility, WeightedDestination,
    },
    workload::Named,
};

/// A destination of a route; `host` is `name` in namespace `default`, or fully qualified.
pub fn to(host: &str, subset: Option<&str>, weight: Option<u32>) -> WeightedDestination {
    let host = if host.contains('.') { host.into() } else { fqdn("default", host) };
    WeightedDestination { destination: Destination { host, subset: subset.map(Into::into), port: None }, weight }
}

/// An `http[]` entry without match.
pub fn route(destinations: Vec<WeightedDestination>) -> HttpRoute {
    HttpRoute { destinations, ..HttpRoute::default() }
}

/// An `http[]` entry for one header with one exact value.
pub fn route_for_header(name: &str, value: &str, destinations: Vec<WeightedDestination>) -> HttpRoute {
    let headers = BTreeMap::from([(name.to_owned(), StringMatch::Exact(value.to_owned()))]);
    HttpRoute { matches: vec![HttpMatch { headers, ..HttpMatch::default() }], ..route(destinations) }
}

/// A VirtualService of namespace `default` with gateway `mesh` for one host (`name` there, or as written with a dot).
pub fn virtual_service(name: &str, host: &str, http: Vec<HttpRoute>) -> VirtualService {
    let host = if host.contains(['.', '*']) { host.into() } else { fqdn("default", host) };
    VirtualService {
        name: Named::new("default", name),
        hosts: vec![host],
        gateways: vec!["mesh".into()],
        export_to: Visibility::Everywhere,
        http,
        tcp: Vec::<TcpRoute>::new(),
        created: 0,
    }
}

/// A DestinationRule of namespace `default` with subsets that select the label `version` of their own name.
pub fn destination_rule(name: &str, host: &str, subsets: &[&str]) -> DestinationRule {
    let subset = |name: &&str| Subset {
        name: (*name).into(),
        labels: labels(&[("version", name)]),
        policy: TrafficPolicy::default(),
    };
    DestinationRule {
        name: Named::new("default", name),
        host: if host.contains('.') { host.into() } else { fqdn("default", host) },
        export_to: Visibility::Everywhere,
        policy: TrafficPolicy::default(),
        subsets: subsets.iter().map(subset).collect(),
        created: 0,
    }
}

/// A traffic policy that sets TLS alone.
pub fn with_tls(mode: ClientTls) -> TrafficPolicy {
    TrafficPolicy { tls: Some(mode), ..TrafficPolicy::default() }
}

/// A PeerAuthentication; no selector labels means all of the namespace.
pub fn peer_authentication(
    namespace: &str,
    name: &str,
    selector: &[(&str, &str)],
    mode: Option<MtlsMode>,
) -> PeerAuthentication {
    PeerAuthentication {
        name: Named::new(namespace, name),
        selector: (!selector.is_empty()).then(|| labels(selector)),
        mode,
        ports: BTreeMap::new(),
        created: 0,
    }
}

/// An AuthorizationPolicy of namespace `default` for the pods labelled `app: <app>`; `None` means all.
pub fn authorization(name: &str, app: Option<&str>, action: Action, rules: Vec<Rule>) -> AuthorizationPolicy {
    AuthorizationPolicy {
        name: Named::new("default", name),
        selector: app.map(|app| labels(&[("app", app)])),
        action,
        rules,
        dry_run: false,
    }
}

/// Patterns as an AuthorizationPolicy spells them.
pub fn patterns(all: &[&str]) -> Vec<Pattern> {
    all.iter().map(|text| Pattern::parse(text)).collect()
}

/// Headers of a request.
pub fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A plain GET.
pub fn get<'a>(authority: &'a str, target: &'a str, headers: &'a Vec<(String, String)>) -> Request<'a> {
    Request { method: "GET", scheme: "http", authority, target, headers }
}
