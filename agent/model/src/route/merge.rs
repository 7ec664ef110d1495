//! Which of the traffic policies of a DestinationRule counts for one port of one subset.

use super::{ClientTls, DestinationRule, LoadBalancer, Subset, TrafficPolicy};

/// What is left after merging.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EffectivePolicy {
    /// `None`: auto mTLS decides.
    pub tls: Option<ClientTls>,
    /// How endpoints take turns.
    pub load_balancer: LoadBalancer,
}

impl DestinationRule {
    /// The policy for `port` (of the Service), narrowed to `subset`.
    ///
    /// Istio's order, each overriding the one before: the rule's policy, its settings for the port, the subset's
    /// policy, the subset's settings for the port. Settings for a port replace what came before as a whole: "traffic
    /// settings specified at the destination level will not be inherited when overridden by port-level settings"
    /// (DestinationRule reference, `TrafficPolicy.portLevelSettings`).
    pub fn effective_policy(&self, subset: Option<&Subset>, port: u16) -> EffectivePolicy {
        let outer = overlay((None, None), &self.policy, port);
        let (tls, load_balancer) = subset.map_or(outer, |subset| overlay(outer, &subset.policy, port));
        EffectivePolicy { tls, load_balancer: load_balancer.unwrap_or_default() }
    }
}

type Settings = (Option<ClientTls>, Option<LoadBalancer>);

fn overlay(outer: Settings, policy: &TrafficPolicy, port: u16) -> Settings {
    match policy.ports.get(&port) {
        Some(of_port) => (of_port.tls, of_port.load_balancer),
        None => (policy.tls.or(outer.0), policy.load_balancer.or(outer.1)),
    }
}
