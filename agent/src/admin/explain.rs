//! `/explain`: what would become of a request or connection, by which rule, and what the other end would say.
//!
//! Asks the very functions that the data plane asks ([`weft_model::decision`]) and tells what they answered: once with
//! dice, as the data plane would, and once for each destination and endpoint that the dice could have chosen. Owns the
//! words; the decisions are the model's. Nothing is sent.

mod bypass;
mod client;
mod reasons;
mod resolve;
mod server;
#[cfg(test)]
mod tests;
pub(super) mod words;

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use weft_model::{
    address::OriginalDst,
    decision::outbound_protocol,
    request::Request,
    service::AppProtocol,
    snapshot::Snapshot,
    workload::{Named, Workload},
};

use self::{
    client::Client,
    resolve::{Resolved, Scheme, Target},
};
use super::pods;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// The pod that sends.
    pub from: Named,
    /// URL, or `host:port`.
    pub to: String,
    /// Method, upper case.
    pub method: String,
    /// Further headers; `host` replaces the URL's.
    pub headers: Vec<(String, String)>,
    /// Opaque bytes instead of a request.
    pub tcp: bool,
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// No such pod.
    #[error("{0}")]
    UnknownPod(String),
    /// The destination cannot be read.
    #[error("{0:?} is no destination: {1}; write http://name:port/path, or name:port with --tcp")]
    NotATarget(String, &'static str),
    /// The name resolves to nothing.
    #[error("{0}")]
    Unresolved(String),
}

/// What would become of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// Node whose agent answered.
    pub answered_by: String,
    /// Version of the snapshot it was decided with.
    pub snapshot_version: u64,
    /// Who sends.
    pub source: Source,
    /// What is sent: `GET http://name:5000/` or `TCP name:5000`.
    pub asked: String,
    /// Headers sent, `name: value`.
    pub headers: Vec<String>,
    /// Where the connection goes at first.
    pub dialled: Dialled,
    /// Why the source's side has no say, when it has none.
    pub bypass: Option<String>,
    /// The route that applies; `None` when the source's side has no say.
    pub route: Option<Route>,
    /// Everything that may be chosen.
    pub destinations: Vec<Destination>,
    /// How it ends, as drawn this time.
    pub outcome: Outcome,
    /// What else a person should know.
    pub notes: Vec<String>,
}

/// Who sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// `namespace/pod`.
    pub pod: String,
    /// Its node.
    pub node: String,
    /// Its SPIFFE ID.
    pub identity: String,
}

/// Where the connection goes at first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialled {
    /// The address; `None` for names outside of the registry, which only the pod's resolver knows.
    pub address: Option<SocketAddr>,
    /// Whose address it is.
    pub what: String,
    /// What the port is declared to speak.
    pub speaks: String,
    /// Is it read as HTTP?
    pub http: bool,
}

/// The route that applies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// `namespace/name` of the VirtualService; `None`: the destination's own endpoints.
    pub virtual_service: Option<String>,
    /// Its hosts.
    pub hosts: Vec<String>,
    /// `http[0]` or `tcp[0]`; `None` when no entry matched.
    pub entry: Option<String>,
    /// The entry's name.
    pub name: Option<String>,
    /// What matched.
    pub matched: Option<String>,
    /// The entries before it (all, when none matched) and what they wanted.
    pub passed_over: Vec<String>,
    /// Who gets a copy of the request, besides.
    #[serde(default)]
    pub mirrors: Vec<String>,
}

/// A destination that may be chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Destination {
    /// Service, port and subset, or what else it is.
    pub to: String,
    /// Its share of the requests, percent; `None` without weights.
    pub share: Option<f64>,
    /// Chosen this time.
    pub chosen: bool,
    /// Its endpoints, as far as ready.
    pub endpoints: Vec<Endpoint>,
    /// There are more endpoints than listed.
    pub has_more: bool,
    /// What happens instead, when there is nothing to send to.
    pub refused: Option<Outcome>,
}

/// An endpoint that may be chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Address to dial; `None` when only the pod's resolver knows it.
    pub address: Option<SocketAddr>,
    /// `namespace/pod`, when it is a pod.
    pub pod: Option<String>,
    /// Its node.
    pub node: Option<String>,
    /// Chosen this time.
    pub chosen: bool,
    /// SPIFFE ID that the other end must prove; `None`: plain text.
    pub mtls: Option<String>,
    /// Why the wire is secured so.
    pub secured_because: String,
    /// What the destination's side says.
    pub server: Server,
    /// How it ends there.
    pub outcome: Outcome,
}

/// What the destination's side says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Mode that PeerAuthentications give the port; `None` where weft has no say.
    pub mtls_mode: Option<String>,
    /// The verdict in words.
    pub verdict: String,
    /// `namespace/name` of the AuthorizationPolicy that decided.
    pub policy: Option<String>,
    /// Index of its rule.
    pub rule: Option<usize>,
    /// AUDIT and dry-run policies that matched, in words.
    pub remarks: Vec<String>,
}

/// How it ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// In one word.
    pub end: End,
    /// Status that weft answers itself.
    pub status: Option<u16>,
    /// Envoy's response flag.
    pub flag: Option<String>,
    /// In a sentence.
    pub text: String,
}

/// How it ends, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// It reaches the application (or, outside of the mesh, its address).
    Delivered,
    /// weft answers instead.
    Answered,
    /// The connection is reset.
    Reset,
}

/// Answers a question from one snapshot.
///
/// # Errors
/// When the pod or the destination is unknown, with names that come near.
pub fn explain(snapshot: &Snapshot, question: &Question) -> Result<Explanation, ExplainError> {
    let source = pods::find(snapshot, &question.from).map_err(ExplainError::UnknownPod)?;
    let target = Target::parse(&question.to, question.tcp)?;
    let resolved = resolve::resolve(snapshot, source, &target)?;
    let protocol = outbound_protocol(snapshot, OriginalDst(resolved.address));
    let http = target.scheme == Scheme::Http && may_be_http(protocol);
    let (hosts, headers): (Vec<_>, Vec<_>) =
        question.headers.iter().cloned().partition(|(name, _)| name.eq_ignore_ascii_case("host"));
    let authority = hosts.last().map_or(target.authority.as_str(), |(_, value)| value);
    let request =
        Request { method: &question.method, scheme: "http", authority, target: &target.path, headers: &headers };
    let client = Client { snapshot, source, resolved: &resolved, request: http.then_some(&request) };
    let bypass = bypass::reason(source, &resolved);
    let (route, destinations) = match bypass {
        Some(_) => (None, vec![client.direct()]),
        None => {
            let (route, destinations) = client.routed();
            (Some(route), destinations)
        }
    };
    Ok(Explanation {
        answered_by: String::new(),
        snapshot_version: snapshot.version,
        source: who(source),
        asked: asked(question, &target),
        headers: question.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect(),
        dialled: Dialled {
            address: (!resolved.is_outside).then_some(resolved.address),
            what: resolved.what.clone(),
            speaks: words::protocol(protocol),
            http,
        },
        outcome: outcome(&destinations),
        notes: notes(snapshot, &target, &resolved, protocol),
        bypass,
        route,
        destinations,
    })
}

/// Is a request in HTTP, of whichever version, routed and judged as one on such a port?
fn may_be_http(protocol: AppProtocol) -> bool {
    matches!(protocol, AppProtocol::Http | AppProtocol::Http2 | AppProtocol::Grpc | AppProtocol::Undeclared)
}

fn who(source: &Workload) -> Source {
    Source { pod: source.pod.to_string(), node: source.node.to_string(), identity: source.identity.to_string() }
}

fn asked(question: &Question, target: &Target) -> String {
    match target.scheme {
        Scheme::Http => format!("{} http://{}{}", question.method, target.authority, target.path),
        Scheme::Https => format!("TLS of the application's own to {}:{}", target.host, target.port),
        Scheme::Tcp => format!("TCP {}:{}", target.host, target.port),
    }
}

/// What became of the drawn destination and endpoint.
fn outcome(destinations: &[Destination]) -> Outcome {
    let chosen = destinations.iter().find(|one| one.chosen).or(destinations.first());
    let endpoint = chosen.and_then(|one| one.endpoints.iter().find(|endpoint| endpoint.chosen));
    let outcome = endpoint.map(|endpoint| &endpoint.outcome).or(chosen.and_then(|one| one.refused.as_ref()));
    outcome.cloned().unwrap_or_else(|| Outcome {
        end: End::Reset,
        status: None,
        flag: None,
        text: "there is nothing to send it to".to_owned(),
    })
}

fn notes(snapshot: &Snapshot, target: &Target, resolved: &Resolved, protocol: AppProtocol) -> Vec<String> {
    let mut notes = Vec::new();
    let address = resolved.address;
    if let Some(service) = snapshot.service_by_vip(address.ip())
        && service.port(address.port()).is_none()
    {
        let ports: Vec<_> = service.ports.iter().map(|port| port.number.to_string()).collect();
        let has = if ports.is_empty() { "none".to_owned() } else { ports.join(", ") };
        notes.push(format!("Service {} has no port {}; it has {has}", service.name, address.port()));
    }
    match (target.scheme, protocol) {
        (Scheme::Http, protocol) if may_be_http(protocol) => {}
        (Scheme::Http, _) => notes.push(
            "the port's declaration makes the request pass as bytes: HTTP routes do not apply, and policies that name \
             HTTP fields count as for TCP; name the port http or http-... (or set appProtocol) to change it"
                .to_owned(),
        ),
        (Scheme::Tcp, AppProtocol::Http | AppProtocol::Http2 | AppProtocol::Grpc) => notes
            .push("the port is declared HTTP: bytes that are neither HTTP nor TLS are answered with 400".to_owned()),
        (Scheme::Https, _) => notes.push("weft does not look into TLS that is not its own".to_owned()),
        (Scheme::Tcp, _) => {}
    }
    notes
}
