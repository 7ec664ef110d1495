//! Decisions on small worlds. `Kxx` and `Exx` are the public exercises that a test stands for.

mod addressing;
mod enforcement;
mod policy_properties;
mod properties;
mod protocol;
mod routing;
mod security;

use super::*;
use crate::testing::*;

/// The sentences application: `sentences` calls `name` (v1 and v2) and `age`; all enrolled, in namespace `default`.
fn sentences() -> TestWorld {
    let mut world = TestWorld::new();
    world.pod("default", "sentences-a", "10.0.0.1", &[("app", "sentences"), ("mode", "sentence")]);
    world.pod("default", "age-a", "10.0.0.2", &[("app", "age"), ("mode", "age")]);
    world.pod("default", "name-v1", "10.0.1.1", &[("app", "name"), ("version", "v1")]);
    world.pod("default", "name-v2", "10.0.1.2", &[("app", "name"), ("version", "v2")]);
    world.service("default", "age", "10.96.0.2", &[(5000, 5000)], &[("app", "age")]);
    world.service("default", "name", "10.96.0.3", &[(5000, 5000)], &[("app", "name")]);
    world.service("default", "name-v1", "10.96.0.4", &[(5000, 5000)], &[("app", "name"), ("version", "v1")]);
    world.service("default", "name-v2", "10.96.0.5", &[(5000, 5000)], &[("app", "name"), ("version", "v2")]);
    world
}

/// Cluster IP of `name` with its port.
const NAME: &str = "10.96.0.3:5000";

fn workload<'s>(snapshot: &'s Snapshot, name: &str) -> &'s Workload {
    snapshot.workloads.values().find(|pod| &*pod.pod.name == name).expect("a pod of that name")
}

/// GET / of `sentences-a` with these headers.
fn ask(snapshot: &Snapshot, destination: &str, host: &str, with: &[(&str, &str)], draw: &mut dyn Draw) -> Decision {
    let headers = headers(with);
    let source = workload(snapshot, "sentences-a");
    decide_request(snapshot, source, dialled(destination), &get(host, "/", &headers), draw)
}

fn connect(snapshot: &Snapshot, destination: &str) -> Decision {
    decide_connection(snapshot, workload(snapshot, "sentences-a"), dialled(destination), &mut Dice::new(1))
}

fn forward(decision: Decision) -> Forward {
    match decision {
        Decision::Forward(forward) => forward,
        other => panic!("not forwarded: {other:?}"),
    }
}

fn answer(decision: Decision) -> (Answer, Cluster, RuleRef) {
    match decision {
        Decision::Answer { answer, cluster, rule } => (answer, cluster, rule),
        other => panic!("not answered: {other:?}"),
    }
}

fn refusal(decision: Decision) -> (Refusal, Cluster) {
    match decision {
        Decision::Refuse { reason, cluster, .. } => (reason, cluster),
        other => panic!("not refused: {other:?}"),
    }
}

fn cluster_name(cluster: &Cluster) -> String {
    match cluster {
        Cluster::Service { service, port, subset } => {
            format!("{}:{port}{}", service.name, subset.as_ref().map(|s| format!("/{s}")).unwrap_or_default())
        }
        Cluster::Pod(pod) => format!("pod {}", pod.pod),
        Cluster::Unknown(host) => format!("unknown {host}"),
        Cluster::Passthrough => "passthrough".to_owned(),
        Cluster::BlackHole => "black hole".to_owned(),
    }
}

/// How many of `count` requests to `name` reach each pod.
fn shares(snapshot: &Snapshot, with: &[(&str, &str)], count: usize) -> std::collections::BTreeMap<String, usize> {
    let mut dice = Dice::new(7);
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..count {
        let forward = forward(ask(snapshot, NAME, "name:5000", with, &mut dice));
        let pod = forward.workload.expect("a pod").pod.name.to_string();
        *seen.entry(pod).or_insert(0) += 1;
    }
    seen
}

fn only(pod: &str, count: usize) -> std::collections::BTreeMap<String, usize> {
    [(pod.to_owned(), count)].into()
}
