//! The mark in an environment, the fields of `stat`, and the life of a real process.

use super::*;

const STAT: &str = "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20";

#[test]
fn only_the_own_mark_counts() {
    let environment = b"PATH=/bin\0WEFT_CLUSTER_FOLDER=/c/weft\0WEFT_CLUSTER_PART=etcd\0";
    assert_eq!(part_of(environment, Path::new("/c/weft")).as_deref(), Some("etcd"));
    assert_eq!(part_of(environment, Path::new("/c/wef")), None);
    assert_eq!(part_of(environment, Path::new("/c/weft2")), None);
    assert_eq!(part_of(b"OTHER_WEFT_CLUSTER_FOLDER=/c/weft\0WEFT_CLUSTER_PART=etcd\0", Path::new("/c/weft")), None);
}

#[test]
fn a_program_name_with_parentheses_moves_no_field() {
    assert_eq!(start_time(STAT), Some(777));
    assert!(!is_zombie(STAT));
    assert!(is_zombie(&STAT.replace(") S", ") Z")));
}

#[test]
fn a_process_is_found_and_ended_with_what_it_started() {
    let folder = std::env::temp_dir().join(format!("weft-process-{}", std::process::id()));
    let layout = Layout { name: "test".to_owned(), index: 0, nodes: 1, dual_stack: false, folder: folder.clone() };
    let script = "trap '' TERM; sleep 600 & wait; wait".to_owned();
    start(&layout, "stubborn", Path::new("/bin/sh"), &["-c".to_owned(), script], &layout.log("stubborn")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    while all(&layout).unwrap().len() < 2 && Instant::now() < deadline {
        thread::sleep(POLL_INTERVAL);
    }
    let found = all(&layout).unwrap();
    assert_eq!(found.len(), 2, "{found:?}");
    slay(&found).unwrap();
    assert!(!is_running(&layout, "stubborn").unwrap());
    fs::remove_dir_all(folder).unwrap();
}
