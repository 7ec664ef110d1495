//! Processes of this machine: the test's own, and one that ends.

use std::{path::Path, process::Command};

use super::{Process, start_time};
use crate::net::netns::NetnsId;

const PROC: &str = "/proc";

#[test]
fn the_start_time_stands_behind_whatever_a_process_calls_itself() {
    let fields = "S 1 2 3 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 100 200 18446744073709551615 1 1";
    for name in ["sh", "a b", "x) S 1 2 3 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 5", "((("] {
        assert_eq!(start_time(&format!("4711 ({name}) {fields}\n")), Some(987_654), "{name}");
    }
    assert_eq!(start_time("4711 (sh) S 1 2"), None);
    assert_eq!(start_time(""), None);
}

#[test]
fn a_living_process_is_read_through_its_folder() {
    let own = Process::open(Path::new(PROC), std::process::id()).unwrap();
    assert!(own.cgroup().unwrap().contains(":/"), "{:?}", own.cgroup());
    assert!(own.start_time().unwrap() > 0);
    let netns = NetnsId::of(&own.netns().unwrap().metadata().unwrap());
    assert_eq!(netns, NetnsId::at("/proc/self/ns/net").unwrap());
}

#[test]
fn a_process_that_has_ended_is_not_mistaken_for_another() {
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let process = Process::open(Path::new(PROC), child.id()).unwrap();
    assert!(process.start_time().is_ok());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(process.start_time().is_err());
    assert!(process.cgroup().is_err());
    assert!(process.netns().is_err());
}
