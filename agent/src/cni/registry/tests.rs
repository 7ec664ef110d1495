//! Files stand for namespaces where only their path and identity matter.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Registry, UNSEEN_MAX};
use crate::net::{Place, PodPlaces, netns::NetnsId};

struct Desk {
    folder: tempfile::TempDir,
    places: PodPlaces,
    registry: Registry,
}

impl Desk {
    fn new() -> Self {
        let places = PodPlaces::default();
        Self { folder: tempfile::tempdir().unwrap(), registry: Registry::new(places.clone()), places }
    }

    /// Notes a sandbox with a namespace of its own.
    fn add(&self, uid: &str, container: &str) -> String {
        let path = self.folder.path().join(container);
        fs::write(&path, "").unwrap();
        self.set(uid, &path, Some(container));
        path.to_string_lossy().into_owned()
    }

    fn set(&self, uid: &str, path: &Path, container: Option<&str>) {
        let id = NetnsId::at(path).unwrap();
        let container = container.map(str::to_owned);
        self.registry.set(&mut self.registry.entries(), uid, path, id, container, Vec::new()).unwrap();
    }

    fn place(&self, uid: &str) -> Option<String> {
        self.places.get(uid).map(|Place { netns, .. }| netns.to_string())
    }
}

fn uids(of: &[&str]) -> BTreeSet<Arc<str>> {
    of.iter().map(|uid| Arc::from(*uid)).collect()
}

#[test]
fn a_late_call_about_an_earlier_sandbox_changes_nothing() {
    let desk = Desk::new();
    desk.add("u1", "first");
    let second = desk.add("u1", "second");
    assert_eq!(desk.place("u1").as_deref(), Some(&*second));
    desk.registry.delete("first");
    assert_eq!(desk.place("u1").as_deref(), Some(&*second), "the pod has another sandbox by now");
    desk.registry.delete("second");
    assert_eq!(desk.place("u1"), None);
    desk.registry.delete("second");
}

#[test]
fn a_place_whose_path_leads_elsewhere_is_none() {
    let desk = Desk::new();
    let path = desk.add("u1", "one");
    desk.add("u2", "two");
    let all = || desk.registry.without_place(uids(&["u1", "u2", "u3"]).into_iter());
    assert_eq!(all(), uids(&["u3"]));
    fs::rename(desk.folder.path().join("two"), &path).unwrap();
    assert_eq!(all(), uids(&["u1", "u2", "u3"]), "one has the other's namespace, the other none");
    desk.registry.lost("u1");
    assert_eq!(desk.place("u1"), None);
    desk.add("u2", "two");
    desk.registry.lost("u2");
    assert!(desk.place("u2").is_some(), "a place that is current is not lost");
}

#[test]
fn pods_that_have_left_the_world_are_forgotten() {
    let desk = Desk::new();
    for uid in ["left", "stays", "to-come"] {
        desk.add(uid, uid);
    }
    let now = Instant::now();
    desk.registry.retain(&uids(&["left", "stays"]), now);
    assert!(desk.place("to-come").is_some(), "the world has not heard of it yet");
    desk.registry.retain(&uids(&["stays"]), now);
    assert_eq!(desk.place("left"), None);
    assert!(desk.place("stays").is_some() && desk.place("to-come").is_some());
    desk.registry.retain(&uids(&["stays"]), now + UNSEEN_MAX + Duration::from_secs(1));
    assert_eq!(desk.place("to-come"), None, "it never came");
    assert!(desk.place("stays").is_some());
}

#[test]
fn a_new_sandbox_of_a_pod_that_was_seen_is_forgotten_with_the_pod() {
    let desk = Desk::new();
    desk.add("u1", "first");
    desk.registry.retain(&uids(&["u1"]), Instant::now());
    desk.add("u1", "second");
    desk.registry.retain(&BTreeSet::new(), Instant::now());
    assert_eq!(desk.place("u1"), None);
}
