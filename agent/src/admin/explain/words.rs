//! Configuration in words: what a rule wants, what a port speaks.

use std::collections::BTreeMap;

use weft_model::{
    decision::Cluster,
    matching::StringMatch,
    policy::MtlsMode,
    route::{Destination, HttpMatch, HttpRoute, Mirror, TcpRoute},
    service::AppProtocol,
};

/// What a declaration means for the bytes.
pub(in crate::admin) fn protocol(protocol: AppProtocol) -> String {
    match protocol {
        AppProtocol::Http => "HTTP, by declaration",
        AppProtocol::Http2 => "HTTP/2, by declaration",
        AppProtocol::Grpc => "gRPC, by declaration",
        AppProtocol::Tcp => "opaque TCP, by declaration",
        AppProtocol::Tls => "TLS of the application's own, by declaration",
        AppProtocol::ServerFirst => "a protocol whose server speaks first",
        AppProtocol::Undeclared => "not declared; the first bytes tell",
    }
    .to_owned()
}

/// As the API spells it.
pub(in crate::admin) fn mode(mode: MtlsMode) -> &'static str {
    match mode {
        MtlsMode::Disable => "DISABLE",
        MtlsMode::Permissive => "PERMISSIVE",
        MtlsMode::Strict => "STRICT",
    }
}

/// What a destination is.
pub(in crate::admin) fn cluster(cluster: &Cluster) -> String {
    match cluster {
        Cluster::Service { service, port, subset } => {
            let subset = subset.as_ref().map(|subset| format!(" subset {subset}")).unwrap_or_default();
            format!("{} port {port}{subset}", service.host)
        }
        Cluster::Pod(workload) => format!("pod {}, by its own address", workload.pod),
        Cluster::Unknown(host) => format!("host {host}"),
        Cluster::Passthrough => "the address itself (PassthroughCluster)".to_owned(),
        Cluster::BlackHole => "nothing (BlackHoleCluster)".to_owned(),
    }
}

/// A destination as it is configured.
pub(in crate::admin) fn destination(destination: &Destination) -> String {
    let port = destination.port.map(|port| format!(" port {port}")).unwrap_or_default();
    let subset = destination.subset.as_ref().map(|subset| format!(" subset {subset}")).unwrap_or_default();
    format!("{}{port}{subset}", destination.host)
}

/// Who gets a copy, and how often.
pub(in crate::admin) fn mirror(mirror: &Mirror) -> String {
    let percent = f64::from(mirror.per_million) * 100.0 / f64::from(Mirror::ALL);
    format!("{percent} % to {}, whose answers are discarded", destination(&mirror.destination))
}

/// What an `http[]` entry wants.
pub(in crate::admin) fn http_route(route: &HttpRoute) -> String {
    if route.matches.is_empty() {
        return "everything".to_owned();
    }
    route.matches.iter().map(http_match).collect::<Vec<_>>().join(", or ")
}

/// What a `tcp[]` entry wants.
pub(in crate::admin) fn tcp_route(route: &TcpRoute) -> String {
    match &*route.ports {
        [] => "everything".to_owned(),
        ports => format!("port {}", ports.iter().map(u16::to_string).collect::<Vec<_>>().join(" or ")),
    }
}

/// What a `match` block wants.
pub(in crate::admin) fn http_match(block: &HttpMatch) -> String {
    let mut wants = Vec::new();
    let mut line = |name: &str, want: &Option<StringMatch>| {
        wants.extend(want.as_ref().map(|want| format!("{name} {}", string_match(want))));
    };
    line(if block.ignore_uri_case { "uri (any case)" } else { "uri" }, &block.uri);
    line("scheme", &block.scheme);
    line("method", &block.method);
    line("authority", &block.authority);
    wants.extend(named("header", &block.headers));
    wants.extend(named("no header", &block.without_headers));
    wants.extend(named("query parameter", &block.query_params));
    wants.extend(block.port.map(|port| format!("port {port}")));
    wants.extend(block.source_labels.iter().map(|(name, value)| format!("source label {name}={value}")));
    wants.extend(block.source_namespace.as_ref().map(|namespace| format!("source namespace {namespace}")));
    if !block.gateways.is_empty() {
        wants.push(format!("gateway {}", block.gateways.join(" or ")));
    }
    if wants.is_empty() { "everything".to_owned() } else { wants.join(" and ") }
}

fn named<'a>(kind: &'a str, wants: &'a BTreeMap<String, StringMatch>) -> impl Iterator<Item = String> + 'a {
    wants.iter().map(move |(name, want)| format!("{kind} {name} {}", string_match(want)))
}

fn string_match(want: &StringMatch) -> String {
    match want {
        StringMatch::Exact(text) => format!("exact {text:?}"),
        StringMatch::Prefix(text) => format!("prefix {text:?}"),
        StringMatch::Regex { source, .. } => format!("regex {source:?}"),
        StringMatch::Present => "present".to_owned(),
    }
}
