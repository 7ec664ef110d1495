//! Which package counts as the compiler's own source, and how it gets into the sysroot.

use super::*;

const MADISON: &str = " rust-src | 1.95.1+dfsg1-1 | http://mirror.example/debian sid/main amd64 Packages
 rust-src | 1.95.0~beta.5+dfsg1-1~exp1 | http://mirror.example/debian experimental/main amd64 Packages
 rust-src | 1.95.0+dfsg1-2~bpo13+1 | http://mirror.example/debian trixie-backports/main amd64 Packages
";

#[test]
fn takes_exactly_the_upstream_version() {
    assert_eq!(package_version(MADISON, "1.95.0"), Some("1.95.0+dfsg1-2~bpo13+1"));
    assert_eq!(package_version(MADISON, "1.95.1"), Some("1.95.1+dfsg1-1"));
    assert_eq!(package_version(MADISON, "1.95"), None);
    assert_eq!(package_version("", "1.95.0"), None);
}

#[test]
fn a_stale_link_is_replaced() {
    let folder = std::env::temp_dir().join(format!("weft-rust-src-{}", std::process::id()));
    let source = folder.join("source");
    fs::create_dir_all(source.join("library")).unwrap();
    fs::write(source.join("library/Cargo.lock"), "").unwrap();
    let place = folder.join("sysroot/src/rust");
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    symlink(folder.join("gone"), &place).unwrap();
    assert!(!is_source(&place));

    link(&source, &place).unwrap();
    let linked = is_source(&place);
    fs::remove_dir_all(&folder).unwrap();
    assert!(linked);
}

#[test]
fn the_reason_is_what_rustup_said() {
    let error = anyhow::anyhow!("`rustup component add` failed:\n    info: syncing\n    error: could not download\n");
    assert_eq!(first_line(&error), "could not download");
    assert_eq!(first_line(&anyhow::anyhow!("cannot start `rustup`")), "cannot start `rustup`");
}
