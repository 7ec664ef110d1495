//! The binaries are found in what cargo reports.

use super::*;

const REPORT: &str = r#"{"reason":"compiler-artifact","target":{"name":"weft","kind":["lib"]},"executable":null}
{"reason":"compiler-artifact","target":{"name":"weft","kind":["bin"]},"executable":"/t/debug/weft"}
not json
{"reason":"compiler-artifact","target":{"name":"demo-app","kind":["bin"]},"executable":"/t/debug/demo-app"}
{"reason":"build-finished","success":true}
"#;

#[test]
fn the_library_of_the_same_name_is_not_the_binary() {
    assert_eq!(executable(REPORT, "weft").unwrap(), PathBuf::from("/t/debug/weft"));
    assert_eq!(executable(REPORT, "demo-app").unwrap(), PathBuf::from("/t/debug/demo-app"));
}

#[test]
fn a_binary_that_was_not_built_is_named() {
    assert!(executable(REPORT, "gateway").unwrap_err().to_string().contains("`gateway`"));
}
