//! Embeds the eBPF object that `cargo xtask build-ebpf` makes, so that weft is one file.
//!
//! Without the object the build still succeeds (the model tier needs no eBPF toolchain); such a
//! binary says so when it is asked to capture.

use std::{env, fs, path::PathBuf};

fn main() {
    println!("cargo::rerun-if-env-changed=WEFT_EBPF_OBJECT");
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let object =
        env::var_os("WEFT_EBPF_OBJECT").map_or_else(|| manifest.join("../target/ebpf/weft-ebpf.o"), PathBuf::from);
    println!("cargo::rerun-if-changed={}", object.display());
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("weft-ebpf.o");
    let bytes = fs::read(&object).unwrap_or_default();
    if let Err(error) = fs::write(&out, bytes) {
        println!("cargo::error=cannot write {}: {error}", out.display());
    }
}
