//! Each rule on small trees: one that keeps it, and one for each way to break it.

use super::*;

const LIB: (&str, &str) =
    ("agent/src/lib.rs", "//! l\npub mod net;\nmod identity;\npub(crate) mod ebpf;\nmod telemetry;\n");

/// The findings as `path:line rule severity`.
fn found(files: &[(&str, &str)]) -> Vec<String> {
    let findings = check(&Tree::of(files));
    findings.iter().map(|f| format!("{}:{} {} {:?}", f.path, f.line, f.rule, f.severity)).collect()
}

/// `lines` lines that begin with the door comment.
fn file_of(lines: usize) -> String {
    format!("//! d\n{}", "\n".repeat(lines - 1))
}

/// A file with one function of `lines` lines, from line 2 on.
fn function_of(lines: usize) -> String {
    format!("//! d\nfn long(x: [u8; 4]) {{{}}}\n", "\n".repeat(lines - 1))
}

#[test]
fn naming_modules_above_and_oneself_is_fine() {
    let ebpf = "//! e\nuse crate::{net::Addr, identity};\nuse crate::ebpf::maps;\npub(in crate::ebpf) fn f() {}\n";
    assert!(
        found(&[LIB, ("agent/src/ebpf.rs", ebpf), ("agent/src/ebpf/maps.rs", "//! m\nuse crate::net;\n")]).is_empty()
    );
}

#[test]
fn naming_a_higher_layer_fails_in_every_form() {
    let net = "//! n\nuse crate::identity::Key;\nuse crate::{\n    net::X,\n    ebpf::{self, Maps},\n};\nfn f() { crate::telemetry::emit(\"crate::identity\"); }\n";
    let expected = ["2", "5", "7"].map(|line| format!("agent/src/net.rs:{line} layers Failure"));
    assert_eq!(found(&[LIB, ("agent/src/net.rs", net)]), expected);
}

#[test]
fn layers_hold_below_the_module_too() {
    let deep = ("agent/src/net/a/b.rs", "//! d\nuse crate::identity;\n");
    assert_eq!(found(&[LIB, deep]), ["agent/src/net/a/b.rs:2 layers Failure"]);
}

#[test]
fn an_item_at_the_root_and_an_undeclared_module_fail() {
    let net = ("agent/src/net.rs", "//! n\nuse crate::Error;\n");
    let orphan = ("agent/src/orphan.rs", "//! o\n");
    assert_eq!(
        found(&[LIB, net, orphan]),
        ["agent/src/net.rs:2 layers Failure", "agent/src/orphan.rs:1 layers Failure"]
    );
}

#[test]
fn main_and_comments_may_name_everything() {
    let main = ("agent/src/main.rs", "//! m\nuse crate::telemetry;\n");
    let net = ("agent/src/net.rs", "//! See crate::telemetry::emit.\n/* crate::identity::Key */\n");
    assert!(found(&[LIB, main, net]).is_empty());
}

#[test]
fn the_model_is_pure() {
    let pure = "//! p\nuse std::net::{IpAddr, SocketAddr};\nuse std::time::{Duration, Instant};\nfn f(now: Instant, rand: u64) {}\n";
    assert!(found(&[("agent/model/src/route.rs", pure)]).is_empty());
    let impure = [
        "use std::net::{IpAddr, TcpStream};",
        "use std::net::UdpSocket;",
        "use std::fs;",
        "use std::{fmt, fs::File};",
        "fn f() { std::env::var(\"X\"); }",
        "fn f() { Instant::now(); }",
        "fn f() { std::time::SystemTime::now(); }",
        "use tokio::sync::watch;",
        "fn f() { rand::random::<u8>(); }",
    ];
    for line in impure {
        let file = format!("//! i\n{line}\n");
        let findings = found(&[("agent/model/src/route.rs", &file)]);
        assert_eq!(findings, ["agent/model/src/route.rs:2 purity Failure"], "{line}");
        assert!(found(&[("demo-app/src/main.rs", &file)]).is_empty(), "only the model: {line}");
    }
}

#[test]
fn the_shared_records_are_no_std() {
    for good in ["//! c\n#![no_std]\n", "//! c\n#![warn(missing_docs)]\n#![cfg_attr(not(test), no_std)]\n"] {
        assert!(found(&[("ebpf/common/src/lib.rs", good)]).is_empty(), "{good}");
    }
    for bad in ["//! c\n", "//! c\n// #![no_std]\n", "//! c\nfn no_std() {}\n"] {
        assert_eq!(found(&[("ebpf/common/src/lib.rs", bad)]), ["ebpf/common/src/lib.rs:1 no_std Failure"], "{bad}");
    }
}

#[test]
fn a_file_opens_with_its_story() {
    for bad in ["", "fn f() {}\n", "\n//! late\n", "// no\n", "/// item\nfn f() {}\n"] {
        assert_eq!(found(&[("tests/src/bed.rs", bad)]), ["tests/src/bed.rs:1 door Failure"], "{bad}");
    }
    assert!(found(&[("tests/src/bed/tests.rs", "use super::*;\n")]).is_empty());
    assert_eq!(found(&[("tests/tests/tests.rs", "fn f() {}\n")]), ["tests/tests/tests.rs:1 door Failure"]);
}

#[test]
fn file_sizes() {
    let severity = |path: &str, lines: usize| found(&[(path, &file_of(lines))]);
    assert!(severity("xtask/src/a.rs", 300).is_empty());
    assert_eq!(severity("xtask/src/a.rs", 301), ["xtask/src/a.rs:1 file size Warning"]);
    assert_eq!(severity("xtask/src/a.rs", 400), ["xtask/src/a.rs:1 file size Warning"]);
    assert_eq!(severity("xtask/src/a.rs", 401), ["xtask/src/a.rs:1 file size Failure"]);
    assert_eq!(severity("tests/src/bed.rs", 401), ["tests/src/bed.rs:1 file size Failure"]);
    for test in ["xtask/src/a/tests.rs", "tests/tests/mtls.rs", "tests/src/bed/tests.rs"] {
        assert!(severity(test, 600).is_empty());
        assert_eq!(severity(test, 601), [format!("{test}:1 file size Failure")]);
    }
}

#[test]
fn function_sizes() {
    let severity = |lines: usize| found(&[("xtask/src/a.rs", &function_of(lines))]);
    assert!(severity(70).is_empty());
    assert_eq!(severity(71), ["xtask/src/a.rs:2 function size Warning"]);
    assert_eq!(severity(100), ["xtask/src/a.rs:2 function size Warning"]);
    assert_eq!(severity(101), ["xtask/src/a.rs:2 function size Failure"]);
}

#[test]
fn a_long_trait_is_not_a_long_function() {
    let methods = "    fn f(&self);\n".repeat(120);
    assert!(found(&[("xtask/src/a.rs", &format!("//! t\ntrait T {{\n{methods}}}\n"))]).is_empty());
}

#[test]
fn nothing_is_left_open() {
    let todo = concat!("TO", "DO");
    let text = format!(
        "//! l\n// {todo}: later\nfn f() {{ todo!() }}\nfn g() {{ unimplemented!(\"x\") }}\n/* a\n FIX{} */\n",
        "ME"
    );
    let expected = ["2", "3", "4", "6"].map(|line| format!("xtask/src/a.rs:{line} leftover Failure"));
    assert_eq!(found(&[("xtask/src/a.rs", &text)]), expected);
    let quoted = format!("//! q\nconst WORD: &str = \"{todo} todo!()\";\nfn todo() {{}}\n");
    assert!(found(&[("xtask/src/a.rs", &quoted)]).is_empty());
}

#[test]
fn libraries_stay_with_their_owners() {
    let owners = [("aya", "ebpf"), ("prometheus", "telemetry"), ("kube", "discovery"), ("k8s_openapi", "discovery")];
    let lib = ("agent/src/lib.rs", "//! l\nmod discovery;\nmod ebpf;\nmod ebpf_other;\nmod telemetry;\n");
    for (library, owner) in owners {
        let text = format!("//! o\nuse {library}::{{A, b::C}};\n");
        for own in [format!("agent/src/{owner}.rs"), format!("agent/src/{owner}/part.rs")] {
            assert!(found(&[lib, (&own, &text)]).is_empty(), "{own}");
        }
        let foreign = "agent/src/ebpf_other.rs";
        assert_eq!(found(&[lib, (foreign, &text)]), [format!("{foreign}:2 owner Failure")], "{library}");
    }
    let relative = "//! r\nuse crate::discovery::kube::Watch;\nfn f() { self::kube::watch(); }\n";
    assert!(found(&[lib, ("agent/src/telemetry.rs", relative)]).is_empty());
}

#[test]
fn the_tree_leaves_out_what_is_built_or_hidden() {
    let root = std::env::temp_dir().join(format!("weft-tidy-{}", std::process::id()));
    for file in ["a/src/lib.rs", "a/target/debug/gen.rs", ".hidden/x.rs", "a/notes.txt", "build.rs"] {
        let path = root.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "//! d\n").unwrap();
    }
    let tree = Tree::read(&root);
    std::fs::remove_dir_all(&root).unwrap();
    let paths: Vec<String> = tree.unwrap().files().iter().map(|file| file.path.clone()).collect();
    assert_eq!(paths, ["a/src/lib.rs", "build.rs"]);
}
