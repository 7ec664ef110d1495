//! The object is replaced when it changed, and only then.

use std::time::{Duration, SystemTime};

use super::*;

#[test]
fn an_unchanged_object_keeps_its_time() {
    let folder = std::env::temp_dir().join(format!("weft-ebpf-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (built, kept) = (folder.join("built"), folder.join("kept.o"));
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    let age = |path: &PathBuf| fs::metadata(path).unwrap().modified().unwrap();

    fs::write(&built, "one").unwrap();
    keep(&built, kept.clone()).unwrap();
    fs::File::options().write(true).open(&kept).unwrap().set_modified(long_ago).unwrap();
    keep(&built, kept.clone()).unwrap();
    let unchanged = age(&kept);
    fs::write(&built, "two").unwrap();
    keep(&built, kept.clone()).unwrap();
    let (changed, content) = (age(&kept), fs::read(&kept).unwrap());
    fs::remove_dir_all(&folder).unwrap();

    assert_eq!(unchanged, long_ago);
    assert_ne!(changed, long_ago);
    assert_eq!(content, b"two");
}

#[test]
fn a_build_without_an_object_is_an_error() {
    let nowhere = std::env::temp_dir().join("weft-no-such-object");
    assert!(keep(&nowhere, nowhere.with_extension("o")).unwrap_err().to_string().contains("left no"));
}
