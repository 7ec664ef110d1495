//! A folder that looks like /proc, in which files stand for namespaces: equal ones are links to one file.

use std::{collections::BTreeSet, fs, path::PathBuf, sync::Arc};

use super::{Scan, Scanner};
use crate::net::netns::NetnsId;

const A: &str = "aaaaaaaa-0000-4000-8000-000000000001";
const B: &str = "bbbbbbbb-0000-4000-8000-000000000002";

struct FakeProc {
    folder: tempfile::TempDir,
}

impl FakeProc {
    fn new() -> Self {
        let made = Self { folder: tempfile::tempdir().unwrap() };
        for folder in ["proc", "netns", "spaces"] {
            fs::create_dir(made.path(folder)).unwrap();
        }
        made.process(1, "0::/init.scope\n", 1, "host");
        fs::write(made.path("proc/meminfo"), "no process").unwrap();
        made
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    fn process(&self, pid: u32, cgroup: &str, start: u64, namespace: &str) {
        let folder = self.path(&format!("proc/{pid}"));
        fs::create_dir_all(folder.join("ns")).unwrap();
        fs::write(folder.join("cgroup"), cgroup).unwrap();
        fs::write(folder.join("stat"), format!("{pid} (x) S{} {start} 0\n", " 0".repeat(18))).unwrap();
        fs::hard_link(self.space(namespace), folder.join("ns/net")).unwrap();
    }

    fn space(&self, namespace: &str) -> PathBuf {
        let path = self.path(&format!("spaces/{namespace}"));
        if !path.exists() {
            fs::write(&path, "").unwrap();
        }
        path
    }

    fn mount(&self, namespace: &str, name: &str) {
        fs::hard_link(self.space(namespace), self.path(&format!("netns/{name}"))).unwrap();
    }

    fn scan(&self, wanted: &[&str]) -> Scan {
        let wanted: BTreeSet<Arc<str>> = wanted.iter().map(|uid| Arc::from(*uid)).collect();
        Scanner { proc: self.path("proc"), mounts: self.path("netns") }.scan(&wanted).unwrap()
    }
}

fn cgroup(uid: &str, container: &str) -> String {
    format!("0::/kubepods/burstable/pod{uid}/{container}\n")
}

#[test]
fn the_oldest_process_of_a_pod_has_its_namespace() {
    let proc = FakeProc::new();
    proc.process(30, &cgroup(A, "app"), 300, "of-a-nested-container");
    proc.process(40, &cgroup(A, "sandbox"), 200, "pod-a");
    proc.process(50, &cgroup(A, "app"), 250, "pod-a");
    proc.process(60, &cgroup(B, "sandbox"), 210, "pod-b");
    let scan = proc.scan(&[A, B]);
    assert_eq!(scan.found[A].path, proc.path("proc/40/ns/net"));
    assert_eq!(scan.found[A].id, NetnsId::at(proc.space("pod-a")).unwrap());
    assert_eq!(scan.found[B].path, proc.path("proc/60/ns/net"));
    assert!(scan.missing.is_empty(), "{:?}", scan.missing);
}

#[test]
fn the_runtimes_mount_is_preferred_to_a_process() {
    let proc = FakeProc::new();
    proc.process(40, &cgroup(A, "sandbox"), 200, "pod-a");
    proc.mount("pod-b", "cni-b");
    proc.mount("pod-a", "cni-a");
    proc.mount("host", "host");
    assert_eq!(proc.scan(&[A]).found[A].path, proc.path("netns/cni-a"));
}

#[test]
fn processes_in_the_nodes_namespace_are_no_pods() {
    let proc = FakeProc::new();
    // CRI-O's monitor of a container runs in the pod's cgroup, but on the node's network, and is older.
    proc.process(39, &cgroup(A, "crio-conmon-1"), 199, "host");
    proc.process(40, &cgroup(A, "crio-1"), 200, "pod-a");
    proc.process(50, &cgroup(B, "sandbox"), 200, "host");
    let scan = proc.scan(&[A, B]);
    assert_eq!(scan.found[A].id, NetnsId::at(proc.space("pod-a")).unwrap());
    assert!(!scan.found.contains_key(B));
    assert_eq!(scan.missing.len(), 1);
    assert!(scan.missing[B].contains("node's own network"), "{:?}", scan.missing);
}

#[test]
fn pods_that_nobody_asked_for_and_pods_that_are_not_there() {
    let proc = FakeProc::new();
    proc.process(40, &cgroup(A, "sandbox"), 200, "pod-a");
    let scan = proc.scan(&[B]);
    assert!(scan.found.is_empty());
    assert!(scan.missing[B].contains("no process"), "{:?}", scan.missing);
    assert!(proc.scan(&[]).missing.is_empty());
}

#[test]
fn a_process_that_ends_meanwhile_is_skipped() {
    let proc = FakeProc::new();
    proc.process(40, &cgroup(A, "sandbox"), 200, "pod-a");
    proc.process(30, &cgroup(A, "sandbox"), 100, "gone");
    fs::remove_file(proc.path("proc/30/stat")).unwrap();
    proc.process(20, &cgroup(A, "sandbox"), 50, "gone");
    fs::remove_file(proc.path("proc/20/ns/net")).unwrap();
    assert_eq!(proc.scan(&[A]).found[A].path, proc.path("proc/40/ns/net"));
}
