//! `bpf-linker`, which turns rustc's LLVM bitcode into one BPF object with BTF.
//!
//! Built from crates.io against the LLVM library that rustc itself brings, so that both understand the same bitcode
//! and no LLVM has to be installed. Takes a minute or two once; kept per compiler version, because the library's path
//! is written into the binary.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::Toolchain;
use crate::paths;
use crate::run::Cmd;

/// The first release with rustc 1.95's LLVM 22.
const VERSION: &str = "0.13.0";

/// The linker's path, after building it where it is missing or does not start.
pub fn provide(toolchain: &Toolchain) -> Result<PathBuf> {
    let root = paths::cache()?.join(format!("bpf-linker-{VERSION}-{}", toolchain.version));
    let linker = root.join("bin/bpf-linker");
    if starts(&linker) {
        eprintln!("    from the cache");
        return Ok(linker);
    }
    eprintln!("    building bpf-linker {VERSION}, which takes a minute or two");
    install(toolchain, &root)
        .with_context(|| format!("cannot build bpf-linker {VERSION}: it needs crates.io and a C++ linker (`c++`)"))?;
    Cmd::new(&linker).args(["--version"]).read().context("the bpf-linker just built does not start")?;
    Ok(linker)
}

fn starts(linker: &Path) -> bool {
    linker.is_file() && Cmd::new(linker).args(["--version"]).read().is_ok()
}

fn install(toolchain: &Toolchain, root: &Path) -> Result<()> {
    let lib = toolchain.lib();
    let lib = lib.to_str().with_context(|| format!("the toolchain's path {} is not UTF-8", lib.display()))?;
    let flags = [
        format!("-Lnative={lib}"),
        format!("-ldylib={}", toolchain.llvm_library()?),
        format!("-Clink-arg=-Wl,-rpath,{lib}"),
    ];
    Cmd::cargo()
        .args(["install", "bpf-linker", "--version", VERSION, "--locked", "--force", "--quiet"])
        // The LLVM is linked by the flags, not found by bpf-linker's own search.
        .args(["--no-default-features", "--features", &format!("llvm-{},no-llvm-linking", toolchain.llvm_major)])
        .args(["--root".as_ref(), root.as_os_str()])
        // The encoded form allows spaces in paths and goes before every other way to give flags.
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .run()
}
