use super::*;

#[test]
fn the_oldest_lines_make_room() {
    let mut ring = Ring::default();
    for number in 0..MAX_LINES + 3 {
        ring.push(&number.to_string());
    }
    let page = ring.since(0);
    assert_eq!(page.lines.len(), MAX_LINES);
    assert_eq!(&*page.lines[0], "3");
    assert_eq!(page.next, MAX_LINES as u64 + 3);
}

#[test]
fn long_lines_are_bounded_by_bytes() {
    let mut ring = Ring::default();
    let line = "x".repeat(MAX_BYTES / 4);
    for _ in 0..9 {
        ring.push(&line);
    }
    assert_eq!(ring.since(0).lines.len(), 4);
    ring.push(&"y".repeat(MAX_BYTES + 1));
    assert_eq!(ring.since(0).lines.len(), 0);
}

#[test]
fn a_reader_goes_on_where_it_stopped() {
    let mut ring = Ring::default();
    ring.push("a");
    ring.push("b");
    let page = ring.since(0);
    ring.push("c");
    let rest = ring.since(page.next);
    assert_eq!(rest.lines.iter().map(|line| &**line).collect::<Vec<_>>(), ["c"]);
    assert!(ring.since(rest.next).lines.is_empty());
    assert!(ring.since(99).lines.is_empty());
}
