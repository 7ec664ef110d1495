//! Two agents and one node, in one process: locks belong to open files, not to processes.

use std::{fs, path::PathBuf, thread};

use super::*;

struct Node {
    _folder: tempfile::TempDir,
    lock: PathBuf,
    desk: PathBuf,
}

impl Node {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (lock, desk) = (folder.path().join("a.lock"), folder.path().join("a.handover"));
        Self { _folder: folder, lock, desk }
    }

    fn claim(&self) -> Option<Ownership> {
        Ownership::claim(&self.lock).unwrap()
    }

    /// The second agent asks in a thread of its own, as it would in a process of its own.
    fn ask(&self) -> thread::JoinHandle<io::Result<Option<(Ownership, Predecessor)>>> {
        let (desk, lock) = (self.desk.clone(), self.lock.clone());
        thread::spawn(move || Predecessor::ask(&desk, &lock))
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_node_has_one_owner_at_a_time() {
    let node = Node::new();
    let first = node.claim().unwrap();
    assert!(node.claim().is_none());
    drop(first);
    let second = node.claim().unwrap();
    second.end().unwrap();
    assert!(!node.lock.exists());
    assert!(node.claim().is_some());
}

#[test]
fn who_locked_a_file_that_has_been_removed_owns_nothing() {
    let node = Node::new();
    let first = node.claim().unwrap();
    fs::remove_file(&node.lock).unwrap();
    let second = node.claim().unwrap();
    assert!(node.claim().is_none(), "the named file is locked");
    drop(first);
    assert!(node.claim().is_none());
    drop(second);
}

#[test]
fn the_node_is_passed_on_without_being_free_in_between() {
    let node = Node::new();
    runtime().block_on(async {
        let desk = Desk::open(&node.desk).unwrap();
        let asking = node.ask();
        let first = node.claim().unwrap();
        let mut successor = desk.asked().await.unwrap().grant(first).unwrap();
        let (second, predecessor) = asking.join().unwrap().unwrap().unwrap();
        assert!(node.claim().is_none(), "the second one has it");
        assert!(predecessor.lives());
        predecessor.announce_serving();
        assert_eq!(successor.word().await, Word::Serving);
        drop((second, predecessor));
        assert_eq!(successor.word().await, Word::Gone);
        assert!(node.claim().is_some(), "and it ended with the second one");
    });
}

#[test]
fn a_predecessor_that_ends_is_noticed() {
    let node = Node::new();
    runtime().block_on(async {
        let desk = Desk::open(&node.desk).unwrap();
        let asking = node.ask();
        let successor = desk.asked().await.unwrap().grant(node.claim().unwrap()).unwrap();
        let (second, predecessor) = asking.join().unwrap().unwrap().unwrap();
        drop(successor);
        assert!(!predecessor.lives());
        predecessor.announce_serving();
        assert!(node.claim().is_none());
        drop(second);
    });
}

#[test]
fn who_asks_and_dies_gets_nothing() {
    let node = Node::new();
    runtime().block_on(async {
        let desk = Desk::open(&node.desk).unwrap();
        drop(BlockingStream::connect(&node.desk).unwrap());
        let (first, _error) = desk.asked().await.unwrap().grant(node.claim().unwrap()).unwrap_err();
        assert!(node.claim().is_none(), "the first one still has it");
        // And one that dies when it has the lock in its hands.
        let desk_path = node.desk.clone();
        let dying = thread::spawn(move || {
            let stream = BlockingStream::connect(desk_path).unwrap();
            let passed = passing::receive(&stream, &mut [0]).unwrap().1;
            assert!(passed.is_some());
        });
        let (first, _error) = desk.asked().await.unwrap().grant(first).unwrap_err();
        dying.join().unwrap();
        assert!(node.claim().is_none());
        drop(first);
    });
}

#[test]
fn nobody_owns_and_nobody_answers() {
    let node = Node::new();
    assert!(Predecessor::ask(&node.desk, &node.lock).unwrap().is_none());
    runtime().block_on(async {
        let first = Desk::open(&node.desk).unwrap();
        let second = Desk::open(&node.desk).unwrap();
        drop(first);
        assert!(node.desk.exists(), "the name is the second one's");
        drop(second);
        assert!(!node.desk.exists());
    });
}
