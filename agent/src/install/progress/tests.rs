//! What a terminal and a file get to see.

use super::{super::fixture::Written, Progress, State, wrap};

#[test]
fn a_file_gets_lines_of_what_is_done() {
    let written = Written::default();
    let mut progress = written.progress();
    progress.set("control", State::Waiting, "0 of 2", &[]).unwrap();
    progress.set("control", State::Done, "2 of 2", &[]).unwrap();
    progress.set("control", State::Done, "2 of 2", &[]).unwrap();
    let reasons: Vec<String> = (1..8).map(|number| format!("reason {number}")).collect();
    progress.set("agents", State::Failed, "0 of 7", &reasons).unwrap();
    let indent = " ".repeat(24);
    let expected = [
        "  ok      control       2 of 2".to_owned(),
        "  FAILED  agents        0 of 7".to_owned(),
        format!("{indent}reason 1"),
        format!("{indent}reason 2"),
        format!("{indent}reason 3"),
        format!("{indent}reason 4"),
        format!("{indent}and 3 more"),
    ];
    assert_eq!(written.text().lines().collect::<Vec<_>>(), expected);
}

#[test]
fn a_terminal_is_redrawn_in_place_and_lines_never_wrap() {
    let written = Written::default();
    let mut progress = Progress::new(Box::new(written.clone()), Some(30));
    progress.set("control", State::Waiting, "0 of 2", &["a very long reason indeed".to_owned()]).unwrap();
    progress.set("control", State::Done, "2 of 2", &[]).unwrap();
    progress.say("end").unwrap();
    let indent = " ".repeat(24);
    let waiting = format!("  ...     control       0 of \n{indent}a ver\n{indent} ... \n{indent}ndeed\n");
    let done = "  ok      control       2 of \n";
    assert_eq!(written.text(), format!("{waiting}\x1b[4A\x1b[J{done}\x1b[1A\x1b[Jend\n{done}"));
}

#[test]
fn a_long_reason_keeps_its_beginning_and_its_end() {
    assert_eq!(wrap("short", 10), ["short"]);
    let long = format!("pod x: {} i/o timeout", "y".repeat(100));
    let lines = wrap(&long, 10);
    assert_eq!(lines, ["pod x: yyy", "yyy ...  i", "/o timeout"]);
}
