//! The bound holds, and what is used stays.

use super::BoundedMap;

#[test]
fn the_entry_used_longest_ago_makes_room() {
    let mut map = BoundedMap::new(2);
    map.get_or_insert_with("a", || 1);
    map.get_or_insert_with("b", || 2);
    assert_eq!(map.get_mut(&"a"), Some(&mut 1));
    map.get_or_insert_with("c", || 3);
    assert_eq!(map.get_mut(&"b"), None, "b was used longest ago");
    assert_eq!(map.get_mut(&"a"), Some(&mut 1));
    assert_eq!(map.get_mut(&"c"), Some(&mut 3));
}

#[test]
fn an_existing_entry_is_neither_made_again_nor_evicts_another() {
    let mut map = BoundedMap::new(2);
    map.get_or_insert_with("a", || 1);
    map.get_or_insert_with("b", || 2);
    assert_eq!(*map.get_or_insert_with("b", || 9), 2);
    assert_eq!(map.get_mut(&"a"), Some(&mut 1));
}
