use super::*;

#[test]
fn documents_are_found_with_their_lines() {
    let file = "# head\n---\na: 1\n--- # second\n\nb: |\n  ----\n  ---x\n...\n---\n# only a comment\n---\n--- {c: 1}\n";
    let found: Vec<_> = split(file).iter().map(|one| (one.lines_before, one.text.trim())).collect();
    assert_eq!(found, [(1, "a: 1"), (3, "# second\n\nb: |\n  ----\n  ---x"), (12, "{c: 1}")]);
}

#[test]
fn a_file_without_markers_is_one_document_and_an_empty_one_none() {
    assert_eq!(split("\u{feff}a: 1"), [Document { text: "a: 1", lines_before: 0 }]);
    assert_eq!(split(""), []);
    assert_eq!(split("%YAML 1.2\n---\n# nothing\n"), []);
    let windows = split("a: 1\r\n---\r\nb: 2\r\n");
    assert_eq!(windows.len(), 2);
    assert_eq!(windows[1].lines_before, 1);
}
