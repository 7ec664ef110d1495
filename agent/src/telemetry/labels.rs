//! The label set of a series: Istio's names, values and order.
//!
//! Called when a worker meets a combination for the first time ([`super::intern`]); everything a
//! value depends on is in [`Facts`]. Values follow Istio's stats filter: what is missing is
//! `unknown`, and an unknown peer's canonical revision is `latest`.

use std::sync::Arc;

use weft_model::{decision::Cluster, outcome::ResponseFlag, workload::Workload};

use crate::dataplane::event::{ConnectionInfo, Party, Reporter};

const UNKNOWN: &str = "unknown";

/// Value of `source_cluster` and `destination_cluster` for known parties, Istio's default cluster name.
const CLUSTER: &str = "Kubernetes";

/// Longest label value taken from a request: a DNS name (253 bytes, RFC 1035) with `:` and a port.
pub(super) const MAX_HOST_BYTES: usize = 259;

/// Host of the series that take in what exceeds the bounds of [`super::pods`].
pub(super) const OVERFLOW: &str = "overflow";

/// Label `request_protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Protocol {
    Http,
    Grpc,
    Tcp,
}

impl Protocol {
    fn label(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
            Self::Tcp => "tcp",
        }
    }
}

/// All that decides which series an event belongs to.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    pub(super) connection: &'a ConnectionInfo,
    pub(super) protocol: Protocol,
    /// 0 for TCP.
    pub(super) status: u16,
    /// `grpc-status` of a gRPC call, as far as gRPC knows it (0 to 16): others make no series.
    pub(super) grpc_status: Option<u8>,
    pub(super) flags: &'a [ResponseFlag],
    /// Empty for TCP.
    pub(super) authority: &'a str,
}

impl<'a> Facts<'a> {
    /// Of an opaque connection.
    pub(super) fn tcp(connection: &'a ConnectionInfo, flags: &'a [ResponseFlag]) -> Self {
        Self { connection, protocol: Protocol::Tcp, status: 0, grpc_status: None, flags, authority: "" }
    }

    /// The request's host, when it becomes a label: the client side falls back to it when no Service
    /// is known (Istio's `disable_host_header_fallback` is off there and on at servers).
    pub(super) fn host(&self) -> Option<&'a str> {
        if self.protocol == Protocol::Tcp || self.connection.reporter == Reporter::Destination {
            return None;
        }
        let known = matches!(self.connection.cluster, Some(Cluster::Service { .. })) && !self.is_unrouted();
        (!known && !self.authority.is_empty()).then(|| truncate(self.authority, MAX_HOST_BYTES))
    }

    /// Did the request end before it had a cluster? (Envoy has no cluster information then, even
    /// though the decision may know what the client meant.)
    fn is_unrouted(&self) -> bool {
        self.flags.iter().any(|flag| matches!(flag, ResponseFlag::NoRoute | ResponseFlag::NoCluster))
    }

    fn client(&self) -> Option<&'a Arc<Workload>> {
        self.workload(&self.connection.source, Reporter::Source)
    }

    fn server(&self) -> Option<&'a Arc<Workload>> {
        self.workload(&self.connection.destination, Reporter::Destination)
    }

    /// The reporting side knows its own pod whatever the event says of it.
    fn workload(&self, party: &'a Party, side: Reporter) -> Option<&'a Arc<Workload>> {
        let own = (self.connection.reporter == side).then_some(&self.connection.owner);
        party.workload.as_ref().or(own)
    }

    fn service(&self) -> ServiceLabels<'a> {
        match self.connection.reporter {
            Reporter::Source => self.service_of_client(),
            Reporter::Destination => self.service_of_server(),
        }
    }

    fn service_of_client(&self) -> ServiceLabels<'a> {
        let host = self.host().unwrap_or(UNKNOWN);
        let peer = namespace(&self.connection.destination, self.server()).unwrap_or(UNKNOWN);
        let labels = |service, name| ServiceLabels { service, name, namespace: peer };
        match &self.connection.cluster {
            Some(Cluster::Service { service, .. }) if !self.is_unrouted() => {
                ServiceLabels { service: &service.host, name: &service.name.name, namespace: &service.name.namespace }
            }
            Some(Cluster::Passthrough | Cluster::Pod(_)) => labels(host, "PassthroughCluster"),
            Some(Cluster::BlackHole) => labels(host, "BlackHoleCluster"),
            // A TCP connection has no host of its own: the route's says more than "unknown".
            Some(Cluster::Unknown(named)) if self.protocol == Protocol::Tcp => labels(named, named),
            Some(Cluster::Service { .. } | Cluster::Unknown(_)) | None => labels(host, host),
        }
    }

    fn service_of_server(&self) -> ServiceLabels<'a> {
        let owner = &self.connection.owner;
        let (canonical, namespace) = (&*owner.canonical.service, &*owner.pod.namespace);
        let (service, name) = match &self.connection.cluster {
            Some(Cluster::Service { service, .. }) => (&*service.host, &*service.name.name),
            Some(Cluster::Passthrough | Cluster::Pod(_)) => (canonical, "InboundPassthroughCluster"),
            Some(Cluster::BlackHole) => (canonical, "BlackHoleCluster"),
            Some(Cluster::Unknown(_)) | None => (canonical, canonical),
        };
        ServiceLabels { service, name, namespace }
    }

    /// The labels as they are printed between the braces.
    pub(super) fn labels(&self) -> String {
        self.labels_of(self.service())
    }

    /// As [`Facts::labels`] with `overflow` for the host of a stranger.
    pub(super) fn labels_without_host(&self) -> String {
        let mut service = self.service();
        if let Some(host) = self.host() {
            for value in [&mut service.service, &mut service.name] {
                if *value == host {
                    *value = OVERFLOW;
                }
            }
        }
        self.labels_of(service)
    }

    fn labels_of(&self, service: ServiceLabels<'_>) -> String {
        let connection = self.connection;
        let mut out = Writer(String::with_capacity(1024));
        out.label("reporter", reporter(connection.reporter));
        out.source(&connection.source, self.client());
        out.destination(&connection.destination, self.server(), service);
        out.label("request_protocol", self.protocol.label());
        if self.protocol != Protocol::Tcp {
            out.label("response_code", &self.status.to_string());
            // Present and empty without one, as Istio prints it: to Prometheus an empty label is an absent one.
            let grpc = self.grpc_status.map(|status| status.to_string());
            out.label("grpc_response_status", grpc.as_deref().unwrap_or_default());
        }
        out.label("response_flags", &flags(self.flags));
        out.label("connection_security_policy", security(connection));
        out.0
    }

    /// The labels of the last resort: all that exceeds the bound of a pod ends in one of six sets.
    pub(super) fn overflow_labels(&self) -> String {
        let nobody = Party::default();
        let overflow = ServiceLabels { service: OVERFLOW, name: OVERFLOW, namespace: UNKNOWN };
        let mut out = Writer(String::with_capacity(1024));
        out.label("reporter", reporter(self.connection.reporter));
        out.source(&nobody, None);
        out.destination(&nobody, None, overflow);
        out.label("request_protocol", self.protocol.label());
        if self.protocol != Protocol::Tcp {
            out.label("response_code", UNKNOWN);
            out.label("grpc_response_status", "");
        }
        out.label("response_flags", UNKNOWN);
        out.label("connection_security_policy", UNKNOWN);
        out.0
    }
}

#[derive(Clone, Copy)]
struct ServiceLabels<'a> {
    service: &'a str,
    name: &'a str,
    namespace: &'a str,
}

fn reporter(reporter: Reporter) -> &'static str {
    match reporter {
        Reporter::Source => "source",
        Reporter::Destination => "destination",
    }
}

/// Only the server's side can vouch for the wire (Istio reports `unknown` at clients).
fn security(connection: &ConnectionInfo) -> &'static str {
    match (connection.reporter, connection.mutual_tls) {
        (Reporter::Source, _) => UNKNOWN,
        (Reporter::Destination, true) => "mutual_tls",
        (Reporter::Destination, false) => "none",
    }
}

/// Response flags in Envoy's short form: `UF,UR`, and `-` for none.
pub(super) fn flags(flags: &[ResponseFlag]) -> String {
    if flags.is_empty() {
        return "-".to_owned();
    }
    let codes: Vec<&str> = flags.iter().map(|flag| flag.code()).collect();
    codes.join(",")
}

/// A proved identity names its namespace; the registry comes second.
fn namespace<'a>(party: &'a Party, workload: Option<&'a Arc<Workload>>) -> Option<&'a str> {
    let proved = party.principal.as_ref().map(|principal| &*principal.namespace);
    proved.or(workload.map(|workload| &*workload.pod.namespace))
}

/// The longest prefix of at most `limit` bytes that ends between two characters.
pub(super) fn truncate(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

struct Writer(String);

/// The values that both ends have.
struct End<'a> {
    workload: &'a str,
    namespace: &'a str,
    principal: String,
    app: &'a str,
    version: &'a str,
    service: &'a str,
    revision: &'a str,
    cluster: &'static str,
}

impl<'a> End<'a> {
    fn new(party: &'a Party, workload: Option<&'a Arc<Workload>>) -> Self {
        let names = workload.map(|workload| &workload.canonical);
        let value = |value: Option<&'a Arc<str>>| value.map_or(UNKNOWN, |value| or_unknown(value));
        Self {
            workload: value(names.map(|names| &names.workload)),
            namespace: namespace(party, workload).unwrap_or(UNKNOWN),
            principal: party.principal.as_ref().map_or_else(|| UNKNOWN.to_owned(), ToString::to_string),
            app: value(names.map(|names| &names.app)),
            version: value(names.map(|names| &names.version)),
            service: value(names.map(|names| &names.service)),
            revision: names.map_or("latest", |names| &names.revision),
            cluster: if workload.is_some() { CLUSTER } else { UNKNOWN },
        }
    }
}

fn or_unknown(value: &str) -> &str {
    if value.is_empty() { UNKNOWN } else { value }
}

impl Writer {
    fn label(&mut self, name: &str, value: &str) {
        let out = &mut self.0;
        if !out.is_empty() {
            out.push(',');
        }
        out.push_str(name);
        out.push_str("=\"");
        escape_into(out, value);
        out.push('"');
    }

    fn source(&mut self, party: &Party, workload: Option<&Arc<Workload>>) {
        let end = End::new(party, workload);
        self.label("source_workload", end.workload);
        self.label("source_canonical_service", end.service);
        self.label("source_canonical_revision", end.revision);
        self.label("source_workload_namespace", end.namespace);
        self.label("source_principal", &end.principal);
        self.label("source_app", end.app);
        self.label("source_version", end.version);
        self.label("source_cluster", end.cluster);
    }

    fn destination(&mut self, party: &Party, workload: Option<&Arc<Workload>>, service: ServiceLabels<'_>) {
        let end = End::new(party, workload);
        self.label("destination_workload", end.workload);
        self.label("destination_workload_namespace", end.namespace);
        self.label("destination_principal", &end.principal);
        self.label("destination_app", end.app);
        self.label("destination_version", end.version);
        self.label("destination_service", or_unknown(service.service));
        self.label("destination_canonical_service", end.service);
        self.label("destination_canonical_revision", end.revision);
        self.label("destination_service_name", or_unknown(service.name));
        self.label("destination_service_namespace", or_unknown(service.namespace));
        self.label("destination_cluster", end.cluster);
    }
}

/// Escapes a label value (Prometheus text format 0.0.4). Control characters other than the newline
/// have no escape there, and a NUL ends the page for Prometheus' parser: they become `?`.
pub(super) fn escape_into(out: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            control if control.is_control() => out.push('?'),
            plain => out.push(plain),
        }
    }
}
