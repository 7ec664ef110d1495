//! The destination's side: PeerAuthentication and AuthorizationPolicy of one endpoint.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use weft_model::{
    decision::{Access, InboundFacts, InboundPolicy, Verdict, inbound_protocol},
    identity::SpiffeId,
    outcome::Answer,
    policy::MtlsMode,
    request::Request,
    snapshot::Snapshot,
    workload::{Enrolment, Named, Workload},
};

use super::{End, Outcome, Server, words};

/// What arrives where.
pub(super) struct Arrival<'a> {
    pub(super) address: SocketAddr,
    pub(super) workload: Option<&'a Workload>,
    /// Identity proved by mesh mTLS; `None`: plain text.
    pub(super) principal: Option<&'a SpiffeId>,
    pub(super) sni: Option<&'a str>,
}

/// What the destination's side says, and how it ends.
pub(super) fn judge(
    snapshot: &Snapshot,
    source: &Workload,
    arrival: &Arrival<'_>,
    request: Option<&Request<'_>>,
) -> (Server, Outcome) {
    let port = arrival.address.port();
    let left_alone = match arrival.workload {
        None => Some("the destination is no pod of the mesh".to_owned()),
        Some(workload) => match workload.enrolment {
            Enrolment::NotEnrolled(why) => Some(format!("pod {} is not enrolled: {why}", workload.pod)),
            Enrolment::Enrolled if workload.capture.excludes_inbound(port) => {
                Some(format!("port {port} of pod {} is excluded from capture", workload.pod))
            }
            Enrolment::Enrolled => None,
        },
    };
    match (arrival.workload, left_alone) {
        (Some(workload), None) => enforced(snapshot, source, arrival, workload, request),
        (_, left_alone) => {
            let why = left_alone.unwrap_or_default();
            let server = Server { verdict: format!("nothing is enforced: {why}"), ..Server::default() };
            let outcome = match arrival.principal {
                // Only a DestinationRule's ISTIO_MUTUAL leads here.
                Some(_) => reset("the mTLS handshake fails, as nobody answers it there".to_owned()),
                None if snapshot.service_by_vip(arrival.address.ip()).is_some() => {
                    reset(format!("nothing listens on {}, as the Service has no such port", arrival.address))
                }
                None => delivered(arrival),
            };
            (server, outcome)
        }
    }
}

fn enforced(
    snapshot: &Snapshot,
    source: &Workload,
    arrival: &Arrival<'_>,
    workload: &Workload,
    request: Option<&Request<'_>>,
) -> (Server, Outcome) {
    let port = arrival.address.port();
    let policy = InboundPolicy::for_workload(snapshot, workload);
    let mode = policy.mtls_mode(port);
    let mut server = Server { mtls_mode: Some(words::mode(mode).to_owned()), ..Server::default() };
    if let Some((verdict, outcome)) = not_spoken(mode, arrival.principal) {
        verdict.clone_into(&mut server.verdict);
        return (server, outcome);
    }
    // What the source's side sends as HTTP under mTLS says so (ALPN); the rest goes by declaration.
    let declared = inbound_protocol(snapshot, workload, port);
    let is_http = arrival.principal.is_some() || super::may_be_http(declared);
    let request = request.filter(|_| is_http);
    let verdict = policy.authorize(&InboundFacts {
        peer: peer(source, arrival.address),
        principal: arrival.principal,
        destination: arrival.address,
        sni: arrival.sni,
        request,
    });
    fill(&mut server, &verdict);
    let outcome = if verdict.access.is_allowed() {
        delivered(arrival)
    } else if request.is_some() {
        let Answer { status, body, .. } = Answer::RBAC_DENIED;
        let text = format!("{status} {body} ({})", server.verdict);
        Outcome { end: End::Answered, status: Some(status), flag: None, text }
    } else {
        reset(format!("RBAC: access denied ({})", server.verdict))
    };
    (server, outcome)
}

/// The mode forbids what is spoken.
fn not_spoken(mode: MtlsMode, principal: Option<&SpiffeId>) -> Option<(&'static str, Outcome)> {
    match (mode, principal) {
        (MtlsMode::Strict, None) => Some((
            "refused: the port takes mesh mTLS only",
            Outcome {
                flag: Some("NR".to_owned()),
                ..reset("PeerAuthentication is STRICT, and this arrives as plain text".to_owned())
            },
        )),
        (MtlsMode::Disable, Some(_)) => Some((
            "mTLS is switched off for the port, while a DestinationRule asks for ISTIO_MUTUAL",
            reset("PeerAuthentication is DISABLE, so nobody answers the mTLS handshake".to_owned()),
        )),
        _ => None,
    }
}

fn fill(server: &mut Server, verdict: &Verdict) {
    let (words, policy, rule) = in_words(&verdict.access);
    server.verdict = words;
    server.policy = policy.map(ToString::to_string);
    server.rule = rule;
    let audited = verdict.audited.iter().map(|policy| format!("AUDIT policy {} matches", policy.name));
    let dry_run = verdict.dry_run.iter().map(|(policy, would)| {
        let would = if *would { "allow" } else { "deny" };
        format!("dry-run policy {} would {would} it", policy.name)
    });
    server.remarks = audited.chain(dry_run).collect();
}

fn in_words(access: &Access) -> (String, Option<&Named>, Option<usize>) {
    match access {
        Access::AllowedByDefault => ("allowed: no AuthorizationPolicy is in the way".to_owned(), None, None),
        Access::AllowedBy(policy, rule) => {
            (format!("allowed by policy {policy} rule {rule}"), Some(policy), Some(*rule))
        }
        Access::DeniedBy(policy, rule) => (format!("denied by policy {policy} rule {rule}"), Some(policy), Some(*rule)),
        Access::NotAllowed(policy) => {
            (format!("denied: ALLOW policies apply (such as {policy}), and none matches"), Some(policy), None)
        }
    }
}

fn delivered(arrival: &Arrival<'_>) -> Outcome {
    let to = match arrival.workload {
        Some(workload) => format!("delivered to {} of pod {}", arrival.address, workload.pod),
        None => "passed on, out of the mesh".to_owned(),
    };
    Outcome { end: End::Delivered, status: None, flag: None, text: to }
}

fn reset(why: String) -> Outcome {
    Outcome { end: End::Reset, status: None, flag: None, text: format!("connection reset: {why}") }
}

/// The source's address of the destination's family.
fn peer(source: &Workload, destination: SocketAddr) -> IpAddr {
    let same = source.addresses.iter().find(|ip| ip.is_ipv4() == destination.is_ipv4());
    same.or(source.addresses.first()).copied().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}
