use std::sync::Arc;

use weft_model::{
    policy::{Action, MtlsMode},
    testing::{
        TestWorld, authorization, destination_rule, fqdn, labels, peer_authentication, route, to, virtual_service,
    },
};

use super::*;

/// Service `name` with two pods `version=v1` and `v2`, and a DestinationRule for the subset v1.
fn world() -> TestWorld {
    let mut world = TestWorld::new();
    world.pod("default", "name-v1", "10.1.0.1", &[("app", "name"), ("version", "v1")]);
    world.pod("default", "name-v2", "10.1.0.2", &[("app", "name"), ("version", "v2")]);
    world.service("default", "name", "10.96.0.2", &[(5000, 5000)], &[("app", "name")]);
    world.destination_rules.push(destination_rule("name", &fqdn("default", "name"), &["v1"]));
    world
}

fn missing(world: &TestWorld, content: &Content) -> Vec<(String, What)> {
    let snapshot = world.snapshot();
    let found = References::new(&snapshot).missing(content);
    found.into_iter().map(|one| (one.field, one.what)).collect()
}

fn rule(destinations: Vec<weft_model::route::WeightedDestination>) -> Content {
    Content::VirtualService(Arc::new(virtual_service("r", "name", vec![route(destinations)])))
}

#[test]
fn a_route_needs_a_service_its_port_and_a_subset_that_is_defined() {
    let world = world();
    let name = &*fqdn("default", "name");
    assert_eq!(missing(&world, &rule(vec![to(name, None, None), to(name, Some("v1"), None)])), []);
    let field = |at: usize, name: &str| format!("spec.http[0].route[{at}].destination.{name}");
    assert_eq!(
        missing(&world, &rule(vec![to(name, Some("v1"), None), to(name, Some("v3"), None)])),
        [(field(1, "subset"), What::Subset)]
    );
    assert_eq!(
        missing(&world, &rule(vec![to("nobody.default.svc.cluster.local", None, None)])),
        [(field(0, "host"), What::Host)]
    );
    let mut elsewhere = to(name, None, None);
    elsewhere.destination.port = Some(81);
    assert_eq!(missing(&world, &rule(vec![elsewhere])), [(field(0, "port.number"), What::Port)]);
    assert_eq!(missing(&world, &rule(vec![to("name.default", None, None)])), [], "the registry knows name.namespace");
}

#[test]
fn messages_say_what_follows() {
    let snapshot = world().snapshot();
    let name = &*fqdn("default", "name");
    let found = References::new(&snapshot).missing(&rule(vec![to(name, Some("v3"), None)]));
    assert_eq!(
        found[0].message,
        "no DestinationRule for name.default.svc.cluster.local defines the subset v3: requests routed to it fail with \
         503 until one does"
    );
}

#[test]
fn rules_for_a_suffix_define_subsets_too() {
    let mut world = world();
    world.destination_rules = vec![destination_rule("all", "*.default.svc.cluster.local", &["v1"])];
    assert_eq!(missing(&world, &rule(vec![to(&fqdn("default", "name"), Some("v1"), None)])), []);
    world.destination_rules = vec![destination_rule("all", "*.other.svc.cluster.local", &["v1"])];
    assert_eq!(missing(&world, &rule(vec![to(&fqdn("default", "name"), Some("v1"), None)])).len(), 1);
}

#[test]
fn a_destination_rule_needs_its_service_and_pods_in_its_subsets() {
    let world = world();
    let rule = |host: &str, subsets: &[&str]| Content::DestinationRule(Arc::new(destination_rule("d", host, subsets)));
    let name = &*fqdn("default", "name");
    assert_eq!(missing(&world, &rule(name, &["v1", "v2"])), []);
    assert_eq!(missing(&world, &rule(name, &["v1", "v3"])), [("spec.subsets[1].labels".to_owned(), What::Workloads)]);
    assert_eq!(
        missing(&world, &rule("nobody.default.svc.cluster.local", &["v1"])),
        [("spec.host".to_owned(), What::Host)]
    );
    assert_eq!(missing(&world, &rule("*.example.com", &["v1"])), [], "nobody knows what a suffix names");
    let mut whole = destination_rule("d", name, &["whole"]);
    whole.subsets[0].labels = labels(&[]);
    assert_eq!(missing(&world, &Content::DestinationRule(whole.into())), [], "a subset without labels has all pods");
}

#[test]
fn policies_need_pods_in_their_namespace_or_from_the_root_in_any() {
    let world = world();
    let peer = |namespace: &str, selector: &[(&str, &str)]| {
        Content::PeerAuthentication(Arc::new(peer_authentication(namespace, "p", selector, Some(MtlsMode::Strict))))
    };
    let (field, name) = ("spec.selector.matchLabels".to_owned(), [("app", "name")]);
    assert_eq!(missing(&world, &peer("default", &name)), []);
    assert_eq!(missing(&world, &peer("istio-system", &name)), []);
    assert_eq!(missing(&world, &peer("other", &name)), [(field.clone(), What::Workloads)]);
    assert_eq!(missing(&world, &peer("other", &[])), []);
    let policy = authorization("a", Some("nobody"), Action::Allow, Vec::new());
    assert_eq!(missing(&world, &Content::AuthorizationPolicy(policy.into())), [(field, What::Workloads)]);
}

#[test]
fn before_anything_was_read_nothing_is_missing() {
    let snapshot = Snapshot::default();
    assert_eq!(References::new(&snapshot).missing(&rule(vec![to("nobody", None, None)])), []);
}
