//! What rustc and `rust-toolchain.toml` say is read correctly.

use super::*;

const VERBOSE: &str = "rustc 1.95.0 (59807616e 2026-04-14)\nbinary: rustc\nrelease: 1.95.0\nLLVM version: 22.1.2\n";

#[test]
fn reads_the_fields_of_rustc() {
    assert_eq!(field(VERBOSE, "release").unwrap(), "1.95.0");
    assert_eq!(llvm_major(field(VERBOSE, "LLVM version").unwrap()).unwrap(), 22);
}

#[test]
fn a_missing_field_is_named() {
    assert!(field(VERBOSE, "hash").unwrap_err().to_string().contains("`hash`"));
    assert!(llvm_major("unknown").unwrap_err().to_string().contains("unknown"));
}

#[test]
fn reads_the_pinned_channel() {
    assert_eq!(channel("[toolchain]\nchannel = \"1.95.0\"\nprofile = \"minimal\"\n"), Some("1.95.0"));
    assert_eq!(channel("[toolchain]\nprofile = \"minimal\"\n"), None);
}

#[test]
fn only_the_development_name_of_llvm_links() {
    let name = llvm_link_name("libLLVM-22-rust-1.95.0-stable.so");
    assert_eq!(name.as_deref(), Some("LLVM-22-rust-1.95.0-stable"));
    assert_eq!(llvm_link_name("libLLVM.so.22.1-rust-1.95.0-stable"), None);
    assert_eq!(llvm_link_name("librustc_driver-6108105cd7e839cf.so"), None);
}
