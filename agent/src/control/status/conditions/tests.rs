use kube::core::DynamicObject;
use weft_model::{
    snapshot::Snapshot,
    testing::{TestWorld, destination_rule, fqdn},
};

use super::*;
use crate::control::{
    judgement::{judge, settings},
    references::References,
};

fn snapshot() -> Snapshot {
    let mut world = TestWorld::new();
    world.pod("default", "name-v1", "10.1.0.1", &[("app", "name"), ("version", "v1")]);
    world.service("default", "name", "10.96.0.2", &[(5000, 5000)], &[("app", "name")]);
    world.destination_rules.push(destination_rule("name", &fqdn("default", "name"), &["v1"]));
    world.snapshot()
}

/// The status of an object of version 3 of its specification.
fn status_of(text: &str, before: &IstioStatus, now: &str) -> IstioStatus {
    let object: DynamicObject = serde_yaml_ng::from_str(text).unwrap();
    let judged = judge(&object, &settings(&"cluster.local".into()));
    let snapshot = snapshot();
    let missing =
        judged.content.as_ref().map(|content| References::new(&snapshot).missing(content)).unwrap_or_default();
    let facts = Facts { judged: &judged, missing: &missing, generation: Some(3), root_namespace: "istio-system" };
    status(&facts, before, now)
}

fn first(text: &str) -> IstioStatus {
    status_of(text, &IstioStatus::default(), "2026-01-01T00:00:00Z")
}

/// Conditions as `kubectl get` would show them.
fn shown(status: &IstioStatus) -> Vec<String> {
    let line = |one: &Condition| format!("{}={} {}: {}", one.kind, one.status, one.reason, one.message);
    status.conditions.iter().map(line).collect()
}

fn codes(status: &IstioStatus) -> Vec<(&str, Level)> {
    status.validation_messages.iter().map(|one| (one.kind.code.as_str(), one.level)).collect()
}

fn virtual_service(spec: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: r, namespace: default}}\nspec: {spec}"
    )
}

fn to(subset: &str) -> String {
    format!("{{hosts: [name], http: [{{route: [{{destination: {{host: name, subset: {subset}}}}}]}}]}}")
}

#[test]
fn an_object_that_is_all_right_says_how_it_was_understood() {
    let status = first(&virtual_service(&to("v1")));
    assert_eq!(
        shown(&status),
        [
            "Accepted=True Accepted: 1 http route for name.default.svc.cluster.local",
            "ResolvedRefs=True ResolvedRefs: everything it refers to is there",
            "Enforced=True Enforced: all of it has an effect",
        ]
    );
    assert_eq!((codes(&status), &status.observed_generation), (vec![], &Some(3.into())));
    assert!(status.conditions.iter().all(|one| one.observed_generation == Some(3.into())));
}

#[test]
fn what_is_missing_and_what_has_no_effect_is_named() {
    let spec = "{hosts: [name], http: [{timeout: 1s, route: [{destination: {host: name, subset: v3}, weight: 1}, \
                {destination: {host: nobody}, weight: 1}]}]}";
    let status = first(&virtual_service(spec));
    let shown = shown(&status);
    assert!(
        shown[1].starts_with("ResolvedRefs=False BackendNotFound: spec.http[0].route[0].destination.subset: "),
        "{shown:?}"
    );
    assert!(
        shown[1].contains("\nspec.http[0].route[1].destination.host: there is no Service nobody.default"),
        "{shown:?}"
    );
    assert_eq!(shown[2], "Enforced=False PartlyEnforced: spec.http[0].timeout is accepted and not enforced yet");
    let expected = [("IST0101", Level::Error), ("IST0101", Level::Error), ("IST0133", Level::Warning)];
    assert_eq!(codes(&status), expected);
    let url = "https://istio.io/docs/reference/config/analysis/ist0101/";
    assert_eq!(status.validation_messages[0].documentation_url, url);
}

#[test]
fn a_broken_object_is_not_accepted_and_nothing_else() {
    let status = first(&virtual_service("{hosts: [name], http: [{}]}"));
    let message =
        "Accepted=False Invalid: spec.http[0]: leads nowhere; add route, redirect, directResponse or delegate";
    assert_eq!(shown(&status), [message]);
    assert_eq!(codes(&status), [("IST0106", Level::Error)]);
}

#[test]
fn a_route_for_a_gateway_has_no_effect_yet() {
    let status =
        first(&virtual_service("{hosts: [a.example.com], gateways: [shop/gw, mesh], http: [{redirect: {uri: /}}]}"));
    let enforced = &shown(&status)[2];
    assert!(enforced.contains("spec.gateways[0]: gateways are not enforced yet"), "{enforced}");
    assert!(!enforced.contains("gateways[1]"), "{enforced}");
}

#[test]
fn each_kind_says_what_it_does() {
    let accepted = |group: &str, kind: &str, namespace: &str, spec: &str| {
        let status = first(&format!(
            "apiVersion: {group}.istio.io/v1\nkind: {kind}\nmetadata: {{name: r, namespace: {namespace}}}\nspec: {spec}"
        ));
        (status.conditions[0].message.clone(), status.conditions[1].reason.clone())
    };
    let table = [
        (
            "networking",
            "DestinationRule",
            "default",
            "{host: name, subsets: [{name: v1, labels: {version: v1}}]}",
            "subsets v1 of name.default.svc.cluster.local",
            "ResolvedRefs",
        ),
        (
            "networking",
            "DestinationRule",
            "default",
            "{host: nobody, trafficPolicy: {tls: {mode: DISABLE}}}",
            "traffic policy for nobody.default.svc.cluster.local",
            "BackendNotFound",
        ),
        (
            "security",
            "PeerAuthentication",
            "default",
            "{mtls: {mode: STRICT}}",
            "STRICT for all workloads of namespace default",
            "ResolvedRefs",
        ),
        (
            "security",
            "PeerAuthentication",
            "istio-system",
            "{mtls: {mode: PERMISSIVE}}",
            "PERMISSIVE for all workloads of the mesh",
            "ResolvedRefs",
        ),
        (
            "security",
            "PeerAuthentication",
            "default",
            "{selector: {matchLabels: {app: nobody}}, portLevelMtls: {'5000': {mode: DISABLE}}}",
            "the mode that applies otherwise for workloads of namespace default with app=nobody, DISABLE on port 5000",
            "NoMatchingWorkloads",
        ),
        (
            "security",
            "AuthorizationPolicy",
            "default",
            "{}",
            "ALLOW without rules, so everything is denied, for all workloads of namespace default",
            "ResolvedRefs",
        ),
        (
            "security",
            "AuthorizationPolicy",
            "default",
            "{selector: {matchLabels: {app: name}}, action: DENY, rules: [{}]}",
            "DENY by 1 rule for workloads of namespace default with app=name",
            "ResolvedRefs",
        ),
    ];
    for (group, kind, namespace, spec, message, reason) in table {
        assert_eq!(accepted(group, kind, namespace, spec), (message.to_owned(), reason.to_owned()));
    }
}

#[test]
fn a_condition_keeps_its_time_until_it_changes() {
    let before = first(&virtual_service(&to("v3")));
    let after = status_of(&virtual_service(&to("v1")), &before, "2026-02-02T00:00:00Z");
    let times: Vec<&str> = after.conditions.iter().filter_map(|one| one.last_transition_time.as_deref()).collect();
    assert_eq!(times, ["2026-01-01T00:00:00Z", "2026-02-02T00:00:00Z", "2026-01-01T00:00:00Z"]);
}

#[test]
fn only_what_says_something_else_is_written() {
    let before = first(&virtual_service(&to("v1")));
    let again = status_of(&virtual_service(&to("v1")), &before, "2026-02-02T00:00:00Z");
    assert!(!differs(&before, &again));
    // Another controller's condition, and another order.
    let mut present = before.clone();
    present
        .conditions
        .insert(0, Condition { kind: "Reconciled".to_owned(), status: "True".to_owned(), ..Condition::default() });
    assert!(!differs(&present, &again));
    let other = status_of(&virtual_service(&to("v3")), &before, "2026-02-02T00:00:00Z");
    assert!(differs(&before, &other));
    let mut newer = again.clone();
    newer.observed_generation = Some(4.into());
    assert!(differs(&before, &newer), "another version of the specification was read");
    let broken = status_of(&virtual_service("{hosts: [name], http: [{}]}"), &before, "2026-02-02T00:00:00Z");
    assert!(differs(&before, &broken), "conditions that no longer hold are taken away");
}
