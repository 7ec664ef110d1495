//! The grounds stay clean: `weft-model` decides without I/O, clock, randomness or async, and `weft-ebpf-common` has no
//! standard library.
//!
//! Tests of the model are held to it, too: a test that needs a clock tests something else.

use super::lexer::{Token, paths};
use super::tree::{Source, Tree};
use super::{Finding, Severity};

/// What the model must not name. A path breaks the rule where it contains these parts in a row.
const IMPURE: [&[&str]; 16] = [
    &["std", "fs"],
    &["std", "env"],
    &["std", "process"],
    &["std", "thread"],
    &["Instant", "now"],
    &["SystemTime", "now"],
    &["TcpStream"],
    &["TcpListener"],
    &["UdpSocket"],
    &["UnixStream"],
    &["UnixListener"],
    &["UnixDatagram"],
    &["ToSocketAddrs"],
    &["tokio"],
    &["rand"],
    &["getrandom"],
];

/// Checks both crates.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings: Vec<Finding> = tree.below("agent/model/src/").flat_map(impurities).collect();
    findings.extend(tree.file("ebpf/common/src/lib.rs").filter(|lib| !is_no_std(lib)).map(with_std));
    findings
}

fn impurities(file: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in paths(&file.lex().code) {
        let named = |impure: &&&[&str]| match impure {
            // A crate is named by the first part of a path; elsewhere the word is somebody's own.
            [only] if only.starts_with(char::is_lowercase) => path.parts.len() > 1 && path.parts[0] == *only,
            // `use std::fs as f` has to end at the module, too: compare parts, wherever they stand.
            _ => path.parts.windows(impure.len()).any(|parts| parts == **impure),
        };
        if let Some(impure) = IMPURE.iter().find(named) {
            findings.push(Finding {
                path: file.path.clone(),
                line: path.line,
                severity: Severity::Failure,
                rule: "purity",
                problem: format!("weft-model names `{}`", impure.join("::")),
                advice: "take the time, the random number or the bytes as an argument; the caller above does the I/O",
            });
        }
    }
    findings
}

/// `#![no_std]`, also inside `#![cfg_attr(not(test), no_std)]`.
fn is_no_std(lib: &Source) -> bool {
    let code = lib.lex().code;
    let mut attributes = code.windows(3).enumerate().filter(|(_, window)| {
        matches!(window, [(Token::Punct('#'), _), (Token::Punct('!'), _), (Token::Punct('['), _)])
    });
    attributes.any(|(at, _)| {
        let inside = code[at + 3..].iter().take_while(|(token, _)| *token != Token::Punct(']'));
        inside.into_iter().any(|(token, _)| *token == Token::Ident("no_std"))
    })
}

fn with_std(lib: &Source) -> Finding {
    Finding {
        path: lib.path.clone(),
        line: 1,
        severity: Severity::Failure,
        rule: "no_std",
        problem: "weft-ebpf-common is not `no_std`".to_owned(),
        advice: "write `#![no_std]` after the file's `//!`: the kernel programs are built from this crate",
    }
}
