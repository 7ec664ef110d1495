use std::time::SystemTime;

use tokio::time::Instant;
use weft_model::{
    testing::TestWorld,
    workload::{Enrolment, Named},
};

use super::{Plan, RETRY_MAX, RETRY_MIN, SETTLING};
use crate::ebpf::manager::{CaptureState, States};

/// Pods `a`, enrolled, and `out`, outside of the mesh.
fn world() -> TestWorld {
    let mut world = TestWorld::new();
    world.pod("default", "a", "10.1.0.1", &[]).uid = "a".into();
    let out = world.pod("default", "out", "10.1.0.2", &[]);
    (out.uid, out.enrolment) = ("out".into(), Enrolment::NotEnrolled("a test"));
    world
}

fn states(state: CaptureState) -> States {
    [(Named::new("default", "a"), state)].into()
}

fn proven() -> States {
    states(CaptureState::Proven { at: SystemTime::now(), netns: 1 })
}

/// Writes all there is to write; what was written, as `uid status`.
fn write_all(plan: &mut Plan) -> Vec<String> {
    let mut written = Vec::new();
    while let Some(write) = plan.next(Instant::now()) {
        let status = write.condition.as_ref().map_or("none", |one| if one.is_true { "true" } else { "false" });
        written.push(format!("{} {status}", write.uid));
        plan.done(write);
    }
    written
}

#[test]
fn a_change_is_written_once() {
    let mut plan = Plan::new("node-a".into(), Instant::now());
    plan.follow(&world().snapshot(), &States::new(), Instant::now());
    assert_eq!(write_all(&mut plan), ["out none"], "an earlier agent may have left one; the other is being captured");
    plan.follow(&world().snapshot(), &proven(), Instant::now());
    assert_eq!(write_all(&mut plan), ["a true"]);
    plan.follow(&world().snapshot(), &proven(), Instant::now());
    assert_eq!(write_all(&mut plan), [""; 0], "proven anew is no change");
    plan.follow(&world().snapshot(), &states(CaptureState::Failed { reason: "x".to_owned() }), Instant::now());
    assert_eq!(write_all(&mut plan), ["a false"]);
}

#[test]
fn a_pod_that_leaves_the_mesh_loses_its_condition_and_one_that_never_was_in_it_is_not_asked_about() {
    let mut plan = Plan::new("node-a".into(), Instant::now());
    let mut world = world();
    plan.follow(&world.snapshot(), &proven(), Instant::now());
    write_all(&mut plan);
    world.pods[0].enrolment = Enrolment::NotEnrolled("left");
    let late = world.pod("default", "late", "10.1.0.3", &[]);
    (late.uid, late.enrolment) = ("late".into(), Enrolment::NotEnrolled("never in"));
    world.pod("default", "elsewhere", "10.1.0.4", &[]).node = "node-b".into();
    plan.follow(&world.snapshot(), &States::new(), Instant::now());
    assert_eq!(write_all(&mut plan), ["a none"]);
}

#[test]
fn what_fails_is_tried_again_ever_later_and_keeps_nobody_else_waiting() {
    let mut plan = Plan::new("node-a".into(), Instant::now());
    plan.follow(&world().snapshot(), &proven(), Instant::now());
    let now = Instant::now();
    let first = plan.next(now).unwrap();
    assert!(plan.failed(&first.uid, now), "the first to fail is worth a line in the log");
    let second = plan.next(now).unwrap();
    assert_ne!(first.uid, second.uid);
    assert!(!plan.failed(&second.uid, now));
    assert_eq!(plan.next(now), None);
    assert_eq!(plan.retry_in(now), Some(RETRY_MIN));
    assert_eq!(plan.next(now + RETRY_MIN).unwrap(), first);
    for _ in 0..20 {
        plan.failed(&first.uid, now);
    }
    assert_eq!(plan.next(now + RETRY_MAX).unwrap().uid, first.uid);
    plan.done(first);
    plan.follow(&TestWorld::new().snapshot(), &States::new(), Instant::now());
    assert_eq!(plan.retry_in(now), None, "who is gone is forgotten");
}

#[test]
fn a_pod_that_was_not_found_is_said_so_when_it_runs_and_the_agent_has_looked() {
    let begun = Instant::now();
    let pending = states(CaptureState::Pending { reason: "nowhere".to_owned() });
    let mut plan = Plan::new("node-a".into(), begun);
    let mut world = world();
    plan.follow(&world.snapshot(), &pending, begun);
    assert_eq!(write_all(&mut plan), ["out none"], "it may be found in a moment");
    world.pods[0].addresses.clear();
    plan.follow(&world.snapshot(), &pending, begun + SETTLING * 2);
    assert_eq!(write_all(&mut plan), [""; 0], "it has not begun");
    world.pods[0].addresses.push("10.1.0.1".parse().unwrap());
    plan.follow(&world.snapshot(), &pending, begun + SETTLING * 2);
    assert_eq!(write_all(&mut plan), ["a false"]);
}
