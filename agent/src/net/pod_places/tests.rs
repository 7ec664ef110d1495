use super::*;

fn place(netns: &str, address: &str) -> Place {
    Place { netns: netns.into(), addresses: vec![address.parse().unwrap()] }
}

#[test]
fn what_one_clone_notes_the_other_finds_until_it_is_removed() {
    let places = PodPlaces::default();
    let reader = places.clone();
    assert_eq!(reader.get("u1"), None);
    places.set("u1", place("/run/netns/a", "10.0.0.1")).unwrap();
    places.set("u2", place("/run/netns/b", "10.0.0.2")).unwrap();
    places.set("u1", place("/run/netns/c", "10.0.0.3")).unwrap();
    assert_eq!(reader.get("u1"), Some(place("/run/netns/c", "10.0.0.3")));
    places.remove("u1");
    assert_eq!(reader.get("u1"), None);
    assert_eq!(reader.get("u2"), Some(place("/run/netns/b", "10.0.0.2")));
}

#[test]
fn waiters_are_woken_by_changes_only() {
    let places = PodPlaces::default();
    let mut changes = places.changed();
    let mut woken = || {
        let has_changed = changes.has_changed().unwrap();
        changes.mark_unchanged();
        has_changed
    };
    places.set("u1", place("/run/netns/a", "10.0.0.1")).unwrap();
    assert!(woken(), "a new pod");
    places.set("u1", place("/run/netns/a", "10.0.0.1")).unwrap();
    assert!(!woken(), "the same again");
    places.set("u1", place("/run/netns/a", "10.0.0.2")).unwrap();
    assert!(woken(), "another address");
    places.remove("u2");
    assert!(!woken(), "nobody left");
    places.remove("u1");
    assert!(woken(), "a pod left");
}

#[test]
fn there_is_room_for_a_bounded_number_of_pods() {
    let places = PodPlaces::default();
    for number in 0..MAX_PLACES {
        places.set(&number.to_string(), place("/run/netns/a", "10.0.0.1")).unwrap();
    }
    assert_eq!(places.set("another", place("/run/netns/a", "10.0.0.1")), Err(TooMany));
    places.set("0", place("/run/netns/b", "10.0.0.2")).unwrap();
    places.remove("1");
    places.set("another", place("/run/netns/a", "10.0.0.1")).unwrap();
}
