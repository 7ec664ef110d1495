//! When to look: at once for what is new, ever less often for what is not found.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use weft_model::testing::TestWorld;

use super::{CHECK, Finder, PAUSE_MAX, PAUSE_MIN};
use crate::{
    cni::{registry::Registry, scan::Scanner},
    net::PodPlaces,
};

fn finder() -> Finder {
    Finder::new("node-a".into(), Registry::new(PodPlaces::default()), Scanner::default())
}

fn uids(of: &[&str]) -> BTreeSet<Arc<str>> {
    of.iter().map(|uid| Arc::from(*uid)).collect()
}

#[test]
fn what_is_new_is_looked_for_at_once_and_what_is_missing_ever_less_often() {
    let mut finder = finder();
    let just_now = Some(Instant::now());
    assert_eq!(finder.wait(&uids(&[]), None), CHECK);
    assert_eq!(finder.wait(&uids(&["a"]), None), Duration::ZERO);
    finder.missing = uids(&["a"]);
    finder.pause = PAUSE_MAX;
    assert!(finder.wait(&uids(&["a"]), just_now) > PAUSE_MAX / 2);
    let wait = finder.wait(&uids(&["a", "b"]), just_now);
    assert!(wait <= PAUSE_MIN && !wait.is_zero(), "a storm of new pods is looked for once in a while: {wait:?}");
}

#[test]
fn only_enrolled_pods_of_this_node_need_a_place() {
    let mut world = TestWorld::new();
    world.pod("default", "here", "10.1.0.1", &[]).uid = "here".into();
    let elsewhere = world.pod("default", "elsewhere", "10.1.0.2", &[]);
    (elsewhere.uid, elsewhere.node) = ("elsewhere".into(), "node-b".into());
    let out = world.pod("default", "out", "10.1.0.3", &[]);
    (out.uid, out.enrolment) = ("out".into(), weft_model::workload::Enrolment::NotEnrolled("a test"));
    world.pod("default", "of-a-directory", "10.1.0.4", &[]);
    assert_eq!(finder().unplaced(&world.snapshot()), uids(&["here"]));
}

#[tokio::test]
async fn pods_that_are_not_there_are_missing_and_looked_for_less_often() {
    let mut world = TestWorld::new();
    world.pod("default", "gone", "10.1.0.1", &[]).uid = "11111111-2222-4333-8444-555555555555".into();
    let snapshot = world.snapshot();
    let mut finder = finder();
    for pause in [PAUSE_MIN, PAUSE_MIN * 2, PAUSE_MIN * 4] {
        let unplaced = finder.unplaced(&snapshot);
        finder.look(&snapshot, unplaced.clone()).await;
        assert_eq!(finder.missing, unplaced);
        assert_eq!(finder.pause, pause);
    }
}
