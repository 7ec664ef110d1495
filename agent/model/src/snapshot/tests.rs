//! Indexing: conflicts, and size.

use std::sync::Arc;

use super::Snapshot;
use crate::testing::{TestWorld, destination_rule, fqdn, ip, labels};

#[test]
fn a_ready_pod_has_the_address_whatever_the_order() {
    let mut world = TestWorld::new();
    world.pod("default", "a-ending", "10.0.0.1", &[]).ready = false;
    world.pod("default", "b-begun", "10.0.0.1", &[]);
    world.pod("default", "c-later", "10.0.0.1", &[]);
    world.pod("default", "d-host", "10.0.0.2", &[]).host_network = true;
    for _ in 0..2 {
        let snapshot = world.snapshot();
        assert_eq!(&*snapshot.workload_by_ip(ip("10.0.0.1")).expect("a pod").pod.name, "b-begun");
        assert!(snapshot.workload_by_ip(ip("10.0.0.2")).is_none(), "the node's address names no pod");
        assert_eq!(snapshot.workloads.len(), 4);
        world.pods.reverse();
    }
}

#[test]
fn services_are_found_by_address_and_host() {
    let mut world = TestWorld::new();
    world.service("default", "name", "10.96.0.1", &[(80, 80)], &[]);
    let snapshot = world.snapshot();
    assert_eq!(snapshot.service_by_vip(ip("10.96.0.1")).map(|one| &*one.host), Some("name.default.svc.cluster.local"));
    assert!(snapshot.service_by_vip(ip("10.96.0.2")).is_none());
    assert!(snapshot.services.contains_key(&fqdn("default", "name")));
}

/// 1,000 Services with 10 endpoints each and two subsets. The bound is generous for busy machines; what is meant to be
/// caught is a table that grows with the square of its input.
#[test]
fn a_large_world_is_indexed_quickly() {
    let mut world = TestWorld::new();
    for service in 0..1000u32 {
        let name = format!("service-{service}");
        let vip = format!("10.96.{}.{}", service / 250, service % 250 + 1);
        world.service("default", &name, &vip, &[(80, 8080), (81, 8081)], &[("app", &name)]);
        for pod in 0..10u32 {
            let address = format!("10.{}.{}.{}", pod + 1, service / 250, service % 250 + 1);
            let version = if pod % 2 == 0 { "v1" } else { "v2" };
            let name = format!("{name}-{pod}");
            let labels = labels(&[("app", &format!("service-{service}")), ("version", version)]);
            world.pod("default", &name, &address, &[]).labels = std::sync::Arc::new(labels);
        }
        world.destination_rules.push(destination_rule(&name, &name, &["v1", "v2"]));
    }
    // Endpoints by hand: the builder compares every Service with every pod.
    let pods: Vec<_> = world.pods.iter().cloned().map(Arc::new).collect();
    let services = std::mem::take(&mut world.services);
    let mut parts = world.world();
    for (index, (mut service, _)) in services.into_iter().enumerate() {
        service.endpoints = pods[index * 10..(index + 1) * 10]
            .iter()
            .map(|pod| crate::service::Endpoint {
                address: pod.addresses[0],
                ports: [(80, 8080), (81, 8081)].into(),
                workload: Some(pod.clone()),
                ready: true,
            })
            .collect();
        parts.services.push(Arc::new(service));
    }
    let snapshot = Snapshot::new(parts);
    let backend = snapshot.index.backend(&fqdn("default", "service-7")).expect("the Service");
    let rule = backend.rule_for("default", "istio-system").expect("its rule");
    assert_eq!(rule.subset("v2", 1).map(|(_, pool)| pool.upstreams.len()), Some(5));
}
