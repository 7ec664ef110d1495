use serde_json::{Value, json};
use weft_model::testing::{TestWorld, destination_rule, fqdn};

use super::*;

fn object(spec: Value) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": { "name": "name", "namespace": "default" },
        "spec": spec,
    })
}

fn request(operation: &str, object: &Value, old: &Value) -> AdmissionRequest<DynamicObject> {
    let kind = json!({ "group": "networking.istio.io", "version": "v1", "kind": "VirtualService" });
    let resource = json!({ "group": "networking.istio.io", "version": "v1", "resource": "virtualservices" });
    serde_json::from_value(json!({
        "uid": "u1", "kind": kind, "resource": resource, "name": "name", "namespace": "default",
        "operation": operation, "userInfo": {}, "object": object, "oldObject": old,
    }))
    .unwrap()
}

fn created(spec: Value) -> AdmissionResponse {
    validate(&request("CREATE", &object(spec), &Value::Null), &world().snapshot())
}

fn world() -> TestWorld {
    let mut world = TestWorld::new();
    world.pod("default", "name-v1", "10.1.0.1", &[("app", "name"), ("version", "v1")]);
    world.service("default", "name", "10.96.0.2", &[(5000, 5000)], &[("app", "name")]);
    world.destination_rules.push(destination_rule("name", &fqdn("default", "name"), &["v1"]));
    world
}

fn to(host: &str, subset: &str) -> Value {
    json!({ "hosts": ["name"], "http": [{ "route": [{ "destination": { "host": host, "subset": subset } }] }] })
}

#[test]
fn what_works_passes_in_silence() {
    let response = created(to("name", "v1"));
    assert_eq!((response.allowed, response.warnings, response.uid), (true, None, "u1".to_owned()));
}

#[test]
fn what_cannot_work_is_refused_with_every_reason() {
    let response = created(json!({ "hosts": ["name"], "http": [{ "timeout": "1s" }] }));
    assert!(!response.allowed);
    let message = "spec.http[0]: leads nowhere; add route, redirect, directResponse or delegate";
    assert_eq!(response.result.message, message);
    let wrong = json!({ "uri": { "exact": "a", "prefix": "b" } });
    let response = created(json!({ "hosts": ["na_me"], "http": [{ "match": [wrong], "redirect": {} }] }));
    let message = "2 mistakes:\n- spec.hosts[0]: \"na_me\" is no valid host name (invalid DNS label); use a Service name, \
                   a DNS name, *.suffix or *\n- spec.http[0].match[0].uri: says more than one way to match; use one of \
                   exact, prefix, regex";
    assert_eq!(response.result.message, message);
}

#[test]
fn what_has_no_effect_or_is_not_there_is_a_warning() {
    let mut spec = to("name", "v3");
    spec["http"][0]["timeout"] = "1s".into();
    let response = created(spec);
    assert!(response.allowed);
    assert_eq!(
        response.warnings.unwrap(),
        [
            "spec.http[0].timeout is accepted and not enforced yet",
            "spec.http[0].route[0].destination.subset: no DestinationRule for name.default.svc.cluster.local defines the \
             subset v3: requests routed to it fail with 503 until one does",
        ]
    );
}

#[test]
fn a_destination_rule_may_come_before_its_service() {
    let mut rule = object(json!({ "host": "later" }));
    rule["kind"] = "DestinationRule".into();
    let response = validate(&request("CREATE", &rule, &Value::Null), &world().snapshot());
    assert_eq!((response.allowed, response.warnings), (true, None));
}

#[test]
fn the_warnings_of_a_long_object_are_counted() {
    let route = json!({ "timeout": "1s", "route": [{ "destination": { "host": "name" } }] });
    let response = created(json!({ "hosts": ["name"], "http": vec![route; 20] }));
    let warnings = response.warnings.unwrap();
    assert_eq!(warnings.len(), WARNINGS_MAX);
    assert_eq!(warnings.last().unwrap(), "and 5 more; weft check --manifests prints all of them");
}

#[test]
fn a_broken_object_can_still_be_labelled_and_deleted() {
    let broken = object(json!({ "hosts": ["name"], "http": [{}] }));
    let snapshot = world().snapshot();
    let allowed =
        |operation: &str, object: &Value, old: &Value| validate(&request(operation, object, old), &snapshot).allowed;
    assert!(!allowed("CREATE", &broken, &Value::Null));
    let mut labelled = broken.clone();
    labelled["metadata"]["labels"] = json!({ "team": "4" });
    assert!(allowed("UPDATE", &labelled, &broken));
    let mut worse = broken.clone();
    worse["spec"]["hosts"] = json!(["other"]);
    assert!(!allowed("UPDATE", &worse, &broken));
    worse["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    assert!(allowed("UPDATE", &worse, &broken));
    assert!(allowed("DELETE", &Value::Null, &broken));
}

#[test]
fn kinds_without_effect_pass_with_a_warning() {
    let mut sidecar = object(json!({ "anything": 1 }));
    sidecar["kind"] = "Sidecar".into();
    let response = validate(&request("CREATE", &sidecar, &Value::Null), &world().snapshot());
    assert_eq!(
        (response.allowed, response.warnings.unwrap()),
        (true, vec!["this kind is accepted and not enforced yet".to_owned()])
    );
}

#[test]
fn a_policy_that_would_match_more_than_it_says_is_refused() {
    let mut policy = object(json!({ "rules": [{ "from": [{ "source": { "trustDomains": ["a"] } }] }] }));
    policy["apiVersion"] = "security.istio.io/v1".into();
    policy["kind"] = "AuthorizationPolicy".into();
    let response = validate(&request("CREATE", &policy, &Value::Null), &world().snapshot());
    let message = "spec.rules[0].from[0].source.trustDomains is not supported yet; use principals, for example \
                   cluster.local/ns/*";
    assert_eq!((response.allowed, response.result.message.as_str()), (false, message));
}
