//! The server side: what applies to one workload, and its answer to a connection or request.
//!
//! Enforcement is always at the destination, whatever address was dialled: pod IP, cluster IP and headless name meet
//! the same policy.

use std::sync::Arc;

use super::{Access, InboundFacts, Verdict};
use crate::{
    policy::{Action, AuthorizationPolicy, Evaluation, MtlsMode, PortModes},
    snapshot::Snapshot,
    workload::{Workload, selects},
};

/// Server side: everything that applies to one workload, collected once per snapshot.
///
/// The default is Istio's without any policy: PERMISSIVE, and everything allowed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InboundPolicy {
    mtls: PortModes,
    /// Those that apply, by namespace and name.
    policies: Vec<Arc<AuthorizationPolicy>>,
    /// `trustDomain` and its aliases.
    trust_domains: Vec<Arc<str>>,
}

impl InboundPolicy {
    /// Collects what applies to `workload`: policies of its namespace and of the root namespace whose selector, if
    /// any, selects it.
    pub fn for_workload(snapshot: &Snapshot, workload: &Workload) -> Self {
        let mesh = &snapshot.mesh;
        let applies = |policy: &&Arc<AuthorizationPolicy>| {
            let place = &policy.name.namespace;
            (*place == workload.pod.namespace || *place == mesh.root_namespace)
                && policy.selector.as_ref().is_none_or(|selector| selects(selector, &workload.labels))
        };
        let trust_domain = std::iter::once(&mesh.trust_domain);
        Self {
            mtls: snapshot.index.peers.of_workload(workload),
            policies: snapshot.authorization_policies.iter().filter(applies).cloned().collect(),
            trust_domains: trust_domain.chain(&mesh.trust_domain_aliases).cloned().collect(),
        }
    }

    /// mTLS mode of a port of the workload.
    pub fn mtls_mode(&self, port: u16) -> MtlsMode {
        self.mtls.mode(port)
    }

    /// The AuthorizationPolicies that apply, by namespace and name.
    pub fn policies(&self) -> &[Arc<AuthorizationPolicy>] {
        &self.policies
    }

    /// May this pass? DENY policies are asked first, then ALLOW ones; AUDIT and dry-run policies only report.
    ///
    /// For opaque TCP (`facts.request` is `None`) Istio's rules for fields that only HTTP has apply: an ALLOW rule
    /// that uses one matches nothing, a DENY (or AUDIT) rule is read without it and so denies more.
    pub fn authorize(&self, facts: &InboundFacts<'_>) -> Verdict {
        let mut verdict = Verdict { access: Access::AllowedByDefault, audited: Vec::new(), dry_run: Vec::new() };
        if self.policies.is_empty() {
            return verdict;
        }
        let evaluation = Evaluation::new(facts, &self.trust_domains);
        let matching = |policy: &AuthorizationPolicy| evaluation.rule_of(policy);
        verdict.access = self.access(&matching);
        verdict.audited =
            self.with_action(Action::Audit, false).filter(|policy| matching(policy).is_some()).cloned().collect();
        verdict.dry_run = self.dry_run(&verdict.access, &matching);
        verdict
    }

    fn with_action(&self, action: Action, dry_run: bool) -> impl Iterator<Item = &Arc<AuthorizationPolicy>> {
        self.policies.iter().filter(move |policy| policy.action == action && policy.dry_run == dry_run)
    }

    fn access(&self, matching: &dyn Fn(&AuthorizationPolicy) -> Option<usize>) -> Access {
        let found = |policy: &Arc<AuthorizationPolicy>| Some((policy.name.clone(), matching(policy)?));
        if let Some((name, rule)) = self.with_action(Action::Deny, false).find_map(found) {
            return Access::DeniedBy(name, rule);
        }
        let Some(first) = self.with_action(Action::Allow, false).next() else {
            return Access::AllowedByDefault;
        };
        match self.with_action(Action::Allow, false).find_map(found) {
            Some((name, rule)) => Access::AllowedBy(name, rule),
            None => Access::NotAllowed(first.name.clone()),
        }
    }

    /// Each dry-run policy alone: what would the answer be, were it enforced beside the others?
    fn dry_run(
        &self,
        access: &Access,
        matching: &dyn Fn(&AuthorizationPolicy) -> Option<usize>,
    ) -> Vec<(Arc<AuthorizationPolicy>, bool)> {
        let denies =
            self.with_action(Action::Deny, true).filter(|policy| access.is_allowed() && matching(policy).is_some());
        let allows = self.with_action(Action::Allow, true).filter_map(|policy| {
            let would = match (access, matching(policy).is_some()) {
                // The first ALLOW policy turns "everything" into "only what it names".
                (Access::AllowedByDefault, false) => false,
                (Access::NotAllowed(_), true) => true,
                _ => return None,
            };
            Some((policy.clone(), would))
        });
        denies.map(|policy| (policy.clone(), false)).chain(allows).collect()
    }
}
