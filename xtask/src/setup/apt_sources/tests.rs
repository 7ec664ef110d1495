//! Both forms of apt sources, and what must not be taken for the Debian archive.

use super::*;

#[test]
fn one_line_form_with_options_and_comments() {
    let text = "# deb http://commented.example/debian trixie main\n\
        deb http://mirror.example/debian-security trixie-security main\n\
        deb-src http://source.example/debian trixie main\n\
        deb [arch=amd64 signed-by=/k.gpg] https://mirror.example/debian/ trixie main # ours\n";
    assert_eq!(mirror_in_lines(text).as_deref(), Some("https://mirror.example/debian"));
}

#[test]
fn stanza_form_skips_disabled_source_only_and_foreign_stanzas() {
    let text = "Types: deb\n# a comment\nURIs: https://other.example/node_20.x\nSuites: nodistro\n\n\
        Types: deb\nEnabled: no\nURIs: http://disabled.example/debian\n\n\
        Types: deb-src\nURIs: http://source.example/debian\n\n\
        Types: deb deb-src\nURIs: http://mirror.example/debian/\nSuites: trixie\n";
    assert_eq!(mirror_in_stanzas(text).as_deref(), Some("http://mirror.example/debian"));
}

#[test]
fn foreign_archives_and_local_files_are_not_debian() {
    assert_eq!(mirror_in_lines("deb http://archive.ubuntu.com/ubuntu noble main\n"), None);
    assert_eq!(mirror_in_lines("deb file:///media/debian trixie main\n"), None);
}

#[test]
fn without_sources_there_is_no_mirror() {
    let none = std::env::temp_dir().join("weft-no-such-folder");
    assert_eq!(debian_mirror(&none), None);
}
