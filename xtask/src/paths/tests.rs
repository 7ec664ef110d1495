//! The cache folder follows the XDG rules, programs are found as a shell finds them.

use super::*;

#[test]
fn xdg_cache_home_goes_before_home() {
    let found = cache_below(Some(OsStr::new("/x")), Some(OsStr::new("/home/me")));
    assert_eq!(found, Some(PathBuf::from("/x/weft")));
}

#[test]
fn empty_and_relative_xdg_cache_home_do_not_count() {
    for ignored in ["", "cache"] {
        let found = cache_below(Some(OsStr::new(ignored)), Some(OsStr::new("/home/me")));
        assert_eq!(found, Some(PathBuf::from("/home/me/.cache/weft")));
    }
    assert_eq!(cache_below(None, None), None);
}

#[test]
fn programs_are_found_by_name() {
    assert!(find_program("sh").is_some());
    assert_eq!(find_program("no-such-program-of-weft"), None);
}

#[test]
fn the_root_is_the_workspace() {
    assert!(root().join("rust-toolchain.toml").is_file());
}
