//! The source's side: asks the model, with dice and without.

use std::net::SocketAddr;

use weft_model::{
    address::OriginalDst,
    balance::{ClusterKey, Draw},
    decision::{Cluster, Decision, Forward, RuleRef, UpstreamTls, decide_connection, decide_request},
    request::Request,
    route::{MatchFacts, VirtualService, WeightedDestination},
    snapshot::Snapshot,
    workload::Workload,
};

use super::{
    Destination, Endpoint, Route, reasons,
    resolve::Resolved,
    server::{self, Arrival},
    words,
};

/// Endpoints listed per destination.
const ENDPOINTS_MAX: usize = 50;

/// One question about one snapshot.
pub(super) struct Client<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) source: &'a Workload,
    pub(super) resolved: &'a Resolved,
    /// `None`: opaque bytes.
    pub(super) request: Option<&'a Request<'a>>,
}

/// Real dice: what the data plane's would be.
struct Chance;

impl Draw for Chance {
    fn below(&mut self, bound: u32) -> u32 {
        fastrand::u32(..bound)
    }

    fn turn(&mut self, _cluster: &ClusterKey) -> usize {
        fastrand::usize(..)
    }
}

/// Loaded dice: the first throw chooses the destination where there are several, the next the endpoint.
struct Loaded {
    destination: Option<u32>,
    endpoint: usize,
}

impl Draw for Loaded {
    fn below(&mut self, bound: u32) -> u32 {
        let wanted = self.destination.take().unwrap_or_else(|| u32::try_from(self.endpoint).unwrap_or(0));
        wanted % bound
    }

    fn turn(&mut self, _cluster: &ClusterKey) -> usize {
        self.endpoint
    }
}

/// One of the ways the dice may fall.
struct Branch {
    /// Percent; `None` where there is nothing to choose between.
    share: Option<f64>,
    /// The throw that leads there; `None` where none is made.
    throw: Option<u32>,
    chosen: bool,
}

impl<'a> Client<'a> {
    /// What weft would do.
    pub(super) fn routed(&self) -> (Route, Vec<Destination>) {
        let drawn = self.decide(&mut Chance);
        let rule = rule_of(&drawn).clone();
        let chosen_address = match &drawn {
            Decision::Forward(forward) => Some(forward.address),
            _ => None,
        };
        let destinations = self.weighted(&rule).unwrap_or_default();
        let branches = branches(destinations, matched(&rule).map(|(_, destination)| destination));
        let destinations = branches
            .iter()
            .zip(destinations.iter().map(Some).chain(std::iter::repeat(None)))
            .map(|(branch, destination)| self.destination(branch, destination, chosen_address))
            .collect();
        (self.route(&rule), destinations)
    }

    /// What happens to a connection that weft does not capture at its source: the cluster network delivers it.
    pub(super) fn direct(&self) -> Destination {
        let address = self.resolved.address;
        let service = self.snapshot.service_by_vip(address.ip());
        let mut arrivals: Vec<(SocketAddr, Option<&Workload>)> = match service {
            Some(service) => service
                .endpoints
                .iter()
                .filter(|endpoint| endpoint.ready)
                .filter_map(|endpoint| {
                    let port = endpoint.ports.get(&address.port())?;
                    Some((SocketAddr::new(endpoint.address, *port), endpoint.workload.as_deref()))
                })
                .collect(),
            None => vec![(address, self.snapshot.workload_by_ip(address.ip()).map(|found| &**found))],
        };
        let has_more = arrivals.len() > ENDPOINTS_MAX;
        arrivals.truncate(ENDPOINTS_MAX);
        let chosen = fastrand::usize(..arrivals.len().max(1));
        let endpoint = |(index, (address, workload))| {
            let arrival = Arrival { address, workload, principal: None, sni: None };
            let because = "the source's side of weft has no part in it".to_owned();
            self.endpoint(&arrival, None, because, index == chosen)
        };
        let endpoints: Vec<_> = arrivals.into_iter().enumerate().map(endpoint).collect();
        Destination {
            to: service.map_or_else(|| self.resolved.what.clone(), |service| format!("Service {}", service.name)),
            share: None,
            chosen: true,
            refused: endpoints.is_empty().then(|| reasons::nobody_listens(address)),
            endpoints,
            has_more,
        }
    }

    fn decide(&self, draw: &mut dyn Draw) -> Decision {
        let dialled = OriginalDst(self.resolved.address);
        match self.request {
            Some(request) => decide_request(self.snapshot, self.source, dialled, request, draw),
            None => decide_connection(self.snapshot, self.source, dialled, draw),
        }
    }

    fn virtual_service(&self, rule: &RuleRef) -> Option<&'a VirtualService> {
        let name = match rule {
            RuleRef::Default => return None,
            RuleRef::Http { virtual_service, .. } | RuleRef::Tcp { virtual_service, .. } => virtual_service,
        };
        self.snapshot.virtual_services.iter().find(|one| one.name == *name).map(|one| &**one)
    }

    /// The destinations of the entry that matched.
    fn weighted(&self, rule: &RuleRef) -> Option<&'a [WeightedDestination]> {
        let virtual_service = self.virtual_service(rule)?;
        let (entry, _) = matched(rule)?;
        match rule {
            RuleRef::Default => None,
            RuleRef::Http { .. } => virtual_service.http.get(entry).map(|route| &*route.destinations),
            RuleRef::Tcp { .. } => virtual_service.tcp.get(entry).map(|route| &*route.destinations),
        }
    }

    fn destination(
        &self,
        branch: &Branch,
        configured: Option<&WeightedDestination>,
        chosen_address: Option<SocketAddr>,
    ) -> Destination {
        let mut destination = Destination {
            to: configured.map(|one| words::destination(&one.destination)).unwrap_or_default(),
            share: branch.share,
            chosen: branch.chosen,
            endpoints: Vec::new(),
            has_more: false,
            refused: None,
        };
        if branch.share == Some(0.0) {
            return destination;
        }
        let mut seen = Vec::new();
        for endpoint in 0..=ENDPOINTS_MAX {
            let forward = match self.decide(&mut Loaded { destination: branch.throw, endpoint }) {
                Decision::Forward(forward) => forward,
                Decision::Answer { answer, cluster, .. } => {
                    destination.to = words::cluster(&cluster);
                    destination.refused = Some(reasons::answered(self.snapshot, &answer, &cluster));
                    break;
                }
                Decision::Refuse { reason, cluster, .. } => {
                    destination.to = words::cluster(&cluster);
                    destination.refused = Some(reasons::refused(self.snapshot, reason, &cluster));
                    break;
                }
            };
            destination.to = words::cluster(&forward.cluster);
            if seen.contains(&forward.address) {
                break;
            }
            if seen.len() == ENDPOINTS_MAX {
                destination.has_more = true;
                break;
            }
            seen.push(forward.address);
            let chosen = branch.chosen && chosen_address == Some(forward.address);
            destination.endpoints.push(self.forwarded(&forward, chosen));
        }
        destination
    }

    fn forwarded(&self, forward: &Forward, chosen: bool) -> Endpoint {
        let because = reasons::secured(self.snapshot, self.source, forward);
        let (principal, mtls) = match &forward.tls {
            UpstreamTls::Plaintext => (None, None),
            UpstreamTls::Mutual(expected) => (Some(&self.source.identity), Some(expected.to_string())),
        };
        let sni = principal.map(|_| crate::dataplane::dial::server_name(forward).to_str().into_owned());
        let arrival = Arrival {
            address: forward.address,
            workload: forward.workload.as_deref(),
            principal,
            sni: sni.as_deref().filter(|_| matches!(forward.cluster, Cluster::Service { .. })),
        };
        self.endpoint(&arrival, mtls, because, chosen)
    }

    fn endpoint(&self, arrival: &Arrival<'_>, mtls: Option<String>, because: String, chosen: bool) -> Endpoint {
        let (server, outcome) = server::judge(self.snapshot, self.source, arrival, self.request);
        let is_placeholder = self.resolved.is_outside && arrival.address == self.resolved.address;
        Endpoint {
            address: (!is_placeholder).then_some(arrival.address),
            pod: arrival.workload.map(|workload| workload.pod.to_string()),
            node: arrival.workload.map(|workload| workload.node.to_string()),
            chosen,
            mtls,
            secured_because: because,
            server,
            outcome,
        }
    }

    /// The rule in words.
    fn route(&self, rule: &RuleRef) -> Route {
        let Some(virtual_service) = self.virtual_service(rule) else { return Route::default() };
        let entry = matched(rule).map(|(entry, _)| entry);
        let (kind, wants): (_, Vec<String>) = match rule {
            RuleRef::Tcp { .. } => ("tcp", virtual_service.tcp.iter().map(words::tcp_route).collect()),
            _ => ("http", virtual_service.http.iter().map(words::http_route).collect()),
        };
        let before = wants.iter().enumerate().take(entry.unwrap_or(wants.len()));
        let mirrors = entry.filter(|_| kind == "http").and_then(|entry| virtual_service.http.get(entry));
        let mirrors = mirrors.into_iter().flat_map(|route| &route.mirrors);
        Route {
            virtual_service: Some(virtual_service.name.to_string()),
            hosts: virtual_service.hosts.iter().map(ToString::to_string).collect(),
            entry: entry.map(|entry| format!("{kind}[{entry}]")),
            name: entry
                .filter(|_| kind == "http")
                .and_then(|entry| virtual_service.http.get(entry)?.name.as_ref())
                .map(ToString::to_string),
            matched: entry.and_then(|entry| {
                let block = self.request.and_then(|request| self.matching_block(virtual_service, entry, request));
                block.or_else(|| wants.get(entry).cloned())
            }),
            passed_over: before.map(|(index, want)| format!("{kind}[{index}] wants {want}")).collect(),
            mirrors: mirrors.map(words::mirror).collect(),
        }
    }

    /// The `match` block of the entry that matched, with its index.
    fn matching_block(&self, virtual_service: &VirtualService, entry: usize, request: &Request<'_>) -> Option<String> {
        let facts = MatchFacts { request, port: self.resolved.address.port(), source: self.source };
        let blocks = &virtual_service.http.get(entry)?.matches;
        let index = blocks.iter().position(|block| block.matches(&facts))?;
        Some(format!("match[{index}]: {}", words::http_match(blocks.get(index)?)))
    }
}

fn rule_of(decision: &Decision) -> &RuleRef {
    match decision {
        Decision::Forward(forward) => &forward.rule,
        Decision::Answer { rule, .. } | Decision::Refuse { rule, .. } => rule,
    }
}

fn matched(rule: &RuleRef) -> Option<(usize, usize)> {
    match rule {
        RuleRef::Default => None,
        RuleRef::Http { matched, .. } | RuleRef::Tcp { matched, .. } => *matched,
    }
}

/// The ways [`weft_model::route::draw_weighted`] may choose.
fn branches(destinations: &[WeightedDestination], chosen: Option<usize>) -> Vec<Branch> {
    if destinations.len() <= 1 {
        let share = destinations.first().map(|_| 100.0);
        return vec![Branch { share, throw: None, chosen: true }];
    }
    let weights: Vec<u64> = destinations.iter().map(|one| u64::from(one.weight.unwrap_or(0))).collect();
    let total: u64 = weights.iter().sum();
    let mut before = 0;
    let mut all = Vec::with_capacity(weights.len());
    for (index, weight) in weights.iter().enumerate() {
        // All zero: each is as likely as the other.
        let (part, whole, throw) = match total {
            0 => (1, weights.len() as u64, index as u64),
            _ => (*weight, total, before),
        };
        before += weight;
        all.push(Branch {
            share: Some(part as f64 * 100.0 / whole as f64),
            throw: Some(u32::try_from(throw).unwrap_or(u32::MAX)),
            chosen: chosen == Some(index),
        });
    }
    all
}
