//! What must hold for AuthorizationPolicies: policies and calls are made up by proptest.

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::{
    identity::SpiffeId,
    policy::{Action, Operation, PathPattern, Rule, Source},
    workload::Named,
};

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let values = |all: &'static [&'static str]| vec(select(all.to_vec()), 0..2);
    let source = (values(&["*/sa/sentences", "*/sa/age", "*"]), values(&["*/sa/age"]), values(&["default", "x*"]));
    let operation = (values(&["GET", "POST"]), values(&["/", "/a*", "*b"]), vec(select(vec![5000u16, 8000]), 0..2));
    let rule = (vec(source, 0..2), vec(operation, 0..2)).prop_map(|(from, to)| Rule {
        from: from
            .into_iter()
            .map(|(principals, not, namespaces)| Source {
                principals: patterns(&principals),
                not_principals: patterns(&not),
                namespaces: patterns(&namespaces),
                ..Source::default()
            })
            .collect(),
        to: to
            .into_iter()
            .map(|(methods, paths, ports)| Operation {
                methods: patterns(&methods),
                paths: patterns(&paths).into_iter().map(PathPattern::Plain).collect(),
                ports,
                ..Operation::default()
            })
            .collect(),
        when: vec![],
    });
    vec(rule, 0..3)
}

/// Policies for all pods of `default`, of either action.
fn policies() -> impl Strategy<Value = Vec<AuthorizationPolicy>> {
    vec((select(vec![Action::Allow, Action::Deny, Action::Audit]), rules(), any::<bool>()), 0..4).prop_map(|seeds| {
        let make = |(index, (action, rules, dry_run)): (usize, (Action, Vec<Rule>, bool))| AuthorizationPolicy {
            dry_run,
            ..authorization(&format!("ap-{index}"), None, action, rules)
        };
        seeds.into_iter().enumerate().map(make).collect()
    })
}

/// Service account over mTLS, method, path, port, and whether it is HTTP.
type Call = (Option<&'static str>, &'static str, &'static str, u16, bool);

fn calls() -> impl Strategy<Value = Call> {
    let who = select(vec![None, Some("sentences"), Some("age")]);
    (who, select(vec!["GET", "POST"]), select(vec!["/", "/a", "/a/../b"]), select(vec![5000u16, 8000]), any::<bool>())
}

fn judge(policies: &[AuthorizationPolicy], call: Call) -> Verdict {
    let mut world = sentences();
    world.authorization_policies = policies.to_vec();
    let snapshot = world.snapshot();
    let (who, method, target, port, http) = call;
    let principal: Option<SpiffeId> =
        who.map(|account| format!("spiffe://cluster.local/ns/default/sa/{account}").parse().unwrap());
    let headers = headers(&[]);
    let request = crate::request::Request { method, ..get("name", target, &headers) };
    InboundPolicy::for_workload(&snapshot, workload(&snapshot, "name-v1")).authorize(&InboundFacts {
        peer: ip("10.0.0.1"),
        principal: principal.as_ref(),
        destination: socket(&format!("10.0.1.1:{port}")),
        sni: None,
        request: http.then_some(&request),
    })
}

proptest! {
    #[test]
    fn deny_always_beats_allow(policies in policies(), more in policies(), call in calls()) {
        let with = |added: AuthorizationPolicy| judge(&[policies.clone(), vec![added]].concat(), call).access;
        prop_assert!(matches!(with(authorization("z", None, Action::Deny, vec![Rule::default()])), Access::DeniedBy(..)));
        let before = judge(&policies, call).access;
        let mut renamed = more;
        for (index, policy) in renamed.iter_mut().enumerate() {
            policy.name = Named::new("default", format!("zz-{index}"));
        }
        let after = judge(&[policies.clone(), renamed].concat(), call).access;
        if matches!(before, Access::DeniedBy(..)) {
            prop_assert_eq!(before, after, "no policy undoes a DENY");
        }
    }

    #[test]
    fn nothing_is_allowed_but_by_an_allow_rule_or_in_their_absence(policies in policies(), call in calls()) {
        let enforced = |action: Action| policies.iter().filter(move |one| one.action == action && !one.dry_run);
        let verdict = judge(&policies, call);
        match &verdict.access {
            Access::AllowedByDefault => prop_assert_eq!(enforced(Action::Allow).count(), 0),
            Access::AllowedBy(name, rule) => {
                let by = enforced(Action::Allow).find(|one| one.name == *name).expect("an enforced ALLOW policy");
                let alone = judge(&[AuthorizationPolicy { rules: vec![by.rules[*rule].clone()], ..by.clone() }], call);
                prop_assert!(alone.access.is_allowed());
            }
            Access::DeniedBy(name, _) => prop_assert!(enforced(Action::Deny).any(|one| one.name == *name)),
            Access::NotAllowed(_) => prop_assert!(enforced(Action::Allow).count() > 0),
        }
        let empty = [policies.iter().filter(|one| one.action != Action::Allow).cloned().collect(),
            vec![authorization("allow-nothing", None, Action::Allow, vec![])]].concat();
        prop_assert!(!judge(&empty, call).access.is_allowed());
    }

    #[test]
    fn policies_for_others_audits_and_dry_runs_change_nothing(policies in policies(), call in calls(), rules in rules()) {
        let access = judge(&policies, call).access;
        let mut others = vec![
            authorization("z-other-app", Some("age"), Action::Deny, vec![Rule::default()]),
            authorization("z-audit", None, Action::Audit, rules),
        ];
        others.push(AuthorizationPolicy {
            name: Named::new("elsewhere", "z"), ..authorization("z", None, Action::Allow, vec![])
        });
        for action in [Action::Allow, Action::Deny] {
            let dry = authorization(&format!("z-dry-{action:?}"), None, action, vec![Rule::default()]);
            others.push(AuthorizationPolicy { dry_run: true, ..dry });
        }
        prop_assert_eq!(judge(&[policies, others].concat(), call).access, access);
    }

    #[test]
    fn a_dry_run_tells_what_enforcing_it_would_do(policies in policies(), call in calls()) {
        let now = judge(&policies, call);
        for (index, policy) in policies.iter().enumerate().filter(|(_, one)| one.dry_run && one.action != Action::Audit) {
            let mut enforced = policies.clone();
            enforced[index].dry_run = false;
            let then = judge(&enforced, call).access.is_allowed();
            let told = now.dry_run.iter().find(|(one, _)| one.name == policy.name).map(|(_, would)| *would);
            prop_assert_eq!(told, (then != now.access.is_allowed()).then_some(then), "{}", policy.name);
        }
    }

    /// Read as opaque TCP a policy set never allows what it would refuse to the same peer for every request.
    #[test]
    fn tcp_is_never_more_open_than_http(policies in policies(), call in calls()) {
        let (who, method, target, port, _) = call;
        if judge(&policies, (who, method, target, port, false)).access.is_allowed() {
            prop_assert!(judge(&policies, (who, method, target, port, true)).access.is_allowed());
        }
    }
}
