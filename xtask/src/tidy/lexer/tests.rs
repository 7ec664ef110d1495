//! Code, comments and strings are told apart; paths are read with their groups.

use super::*;

fn idents(text: &str) -> Vec<&str> {
    let idents = lex(text).code.into_iter().filter_map(|(token, _)| match token {
        Token::Ident(name) => Some(name),
        _ => None,
    });
    idents.collect()
}

fn joined(text: &str) -> Vec<String> {
    paths(&lex(text).code).iter().map(|path| path.parts.join("::")).collect()
}

#[test]
fn comments_and_strings_are_not_code() {
    assert_eq!(idents("a // b\n/* c /* d */ e */ f \"g \\\" h\" i"), ["a", "f", "i"]);
    assert_eq!(idents(r###"a r#"b " c"# d b"e" c"f" br##"g "# h"## i"###), ["a", "d", "i"]);
}

#[test]
fn comments_are_kept_with_their_lines() {
    let lexed = lex("a\n// one\nb /* two\n */ // three");
    assert_eq!(lexed.comments, [("// one", 2), ("/* two\n */", 3), ("// three", 4)]);
}

#[test]
fn characters_and_lifetimes() {
    assert_eq!(idents(r"a 'b' c '\'' d '\\' e b'f' g '{' h"), ["a", "c", "d", "e", "g", "h"]);
    assert_eq!(idents("fn f<'a, 'static>(x: &'a str) {}"), ["fn", "f", "x", "str"]);
    assert_eq!(idents("'outer: loop { break 'outer; }"), ["loop", "break"]);
    assert_eq!(idents("'ä' x"), ["x"]);
}

#[test]
fn lines_count_through_multi_line_strings() {
    let lexed = lex("\"one\ntwo\"\nx");
    assert_eq!(lexed.code.last(), Some(&(Token::Ident("x"), 3)));
}

#[test]
fn raw_identifiers_lose_their_mark() {
    assert_eq!(idents("r#type b r c"), ["type", "b", "r", "c"]);
}

#[test]
fn paths_and_groups() {
    assert_eq!(joined("std::net::IpAddr"), ["std::net::IpAddr"]);
    assert_eq!(
        joined("use crate::{net, tcp::{Relay as R, self}, http::*};"),
        ["use", "crate", "crate::net", "crate::tcp", "crate::tcp::Relay", "crate::tcp::self", "crate::http"]
    );
}

#[test]
fn a_path_in_a_group_has_its_own_line() {
    let lexed = lex("use crate::{\n    a,\n    b::C,\n};");
    let lines: Vec<(String, usize)> =
        paths(&lexed.code).iter().map(|path| (path.parts.join("::"), path.line)).collect();
    assert!(lines.contains(&("crate::a".to_owned(), 2)), "{lines:?}");
    assert!(lines.contains(&("crate::b::C".to_owned(), 3)), "{lines:?}");
}

#[test]
fn a_block_after_a_plain_path_is_not_a_group() {
    assert_eq!(joined("match a::B { c::D => e }"), ["match", "a::B", "c::D", "e"]);
}
