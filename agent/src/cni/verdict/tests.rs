use std::time::SystemTime;

use weft_model::{
    testing::TestWorld,
    workload::{Enrolment, Named},
};

use super::{Verdict, verdict};
use crate::{
    cni::message::Sandbox,
    ebpf::manager::{CaptureState, States},
};

const NETNS: u64 = 7;

fn sandbox() -> Sandbox {
    Sandbox { namespace: "default".into(), name: "a".into(), uid: "u1".into(), ..Sandbox::default() }
}

fn world() -> TestWorld {
    let mut world = TestWorld::new();
    world.pod("default", "a", "10.1.0.1", &[]).uid = "u1".into();
    world
}

fn states(state: CaptureState) -> States {
    [(Named::new("default", "a"), state)].into()
}

fn proven(netns: u64) -> States {
    states(CaptureState::Proven { at: SystemTime::now(), netns })
}

fn of(world: &TestWorld, states: &States) -> Verdict {
    verdict(&sandbox(), NETNS, "node-a", &world.snapshot(), states)
}

#[test]
fn an_enrolled_pod_passes_once_its_own_namespace_is_proven() {
    assert!(matches!(of(&world(), &proven(NETNS)), Verdict::Pass(_)));
    let waits = |states: &States, word: &str| match of(&world(), states) {
        Verdict::Pending(reason) => assert!(reason.contains(word), "{reason}"),
        other => panic!("{other:?}"),
    };
    waits(&States::new(), "not begun");
    waits(&proven(NETNS + 1), "earlier sandbox");
    waits(&states(CaptureState::Unproven { reason: "no answer".into() }), "no answer");
    waits(&states(CaptureState::Failed { reason: "no route".into() }), "no route");
}

#[test]
fn a_pod_outside_the_mesh_passes() {
    let mut world = world();
    world.pods[0].enrolment = Enrolment::NotEnrolled("a test");
    let Verdict::Pass(reason) = of(&world, &States::new()) else { panic!("it passes") };
    assert!(reason.contains("a test"), "{reason}");
}

#[test]
fn an_earlier_pod_of_the_name_says_nothing_about_this_one() {
    let mut earlier = world();
    earlier.pods[0].uid = "u0".into();
    earlier.pods[0].enrolment = Enrolment::NotEnrolled("the earlier one was not");
    assert_eq!(of(&earlier, &proven(NETNS)), Verdict::Unknown);
    let mut elsewhere = world();
    elsewhere.pods[0].node = "node-b".into();
    assert_eq!(of(&elsewhere, &proven(NETNS)), Verdict::Unknown);
    assert_eq!(of(&TestWorld::new(), &States::new()), Verdict::Unknown);
}

#[test]
fn without_uids_the_name_has_to_do() {
    let mut by_hand = world();
    by_hand.pods[0].uid = "".into();
    assert!(matches!(of(&by_hand, &proven(NETNS)), Verdict::Pass(_)));
    let nameless = Sandbox { uid: String::new(), ..sandbox() };
    let found = verdict(&nameless, NETNS, "node-a", &world().snapshot(), &proven(NETNS));
    assert!(matches!(found, Verdict::Pass(_)));
}
