//! Which compiler builds this tree, and what it is made of.
//!
//! Everything below depends on its exact version: `rust-src` has to be its own source, `bpf-linker` has to use the
//! LLVM that wrote the bitcode.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::paths;
use crate::run::Cmd;

/// The pinned compiler.
pub struct Toolchain {
    /// Its version, such as `1.95.0`.
    pub version: String,
    /// The major version of the LLVM inside, such as `22`.
    pub llvm_major: u32,
    /// The folder with its `bin` and `lib`.
    pub sysroot: PathBuf,
}

/// Asks rustc, and insists on the version that `rust-toolchain.toml` pins.
pub fn find() -> Result<Toolchain> {
    let next = "install Rust with rustup (https://rustup.rs), which reads rust-toolchain.toml";
    let verbose = rustc(&["-vV"]).with_context(|| format!("no rustc here: {next}"))?;
    let toolchain = Toolchain {
        version: field(&verbose, "release")?.to_owned(),
        llvm_major: llvm_major(field(&verbose, "LLVM version")?)?,
        sysroot: PathBuf::from(rustc(&["--print", "sysroot"])?.trim_end()),
    };
    let path = paths::root().join("rust-toolchain.toml");
    let file = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let wanted = channel(&file).with_context(|| format!("{} names no channel", path.display()))?;
    ensure!(
        toolchain.version == wanted,
        "rustc is {}, rust-toolchain.toml pins {wanted}: run `rustup toolchain install {wanted}`",
        toolchain.version
    );
    eprintln!("    rustc {} with LLVM {} in {}", wanted, toolchain.llvm_major, toolchain.sysroot.display());
    Ok(toolchain)
}

impl Toolchain {
    /// The folder with its shared libraries.
    pub fn lib(&self) -> PathBuf {
        self.sysroot.join("lib")
    }

    /// The linker's name for the LLVM that this compiler brings, such as `LLVM-22-rust-1.95.0-stable`.
    pub fn llvm_library(&self) -> Result<String> {
        let lib = self.lib();
        let entries = fs::read_dir(&lib).with_context(|| format!("cannot read {}", lib.display()))?;
        entries
            .filter_map(|entry| llvm_link_name(&entry.ok()?.file_name().to_string_lossy()))
            .next()
            .with_context(|| no_llvm(&lib))
    }
}

fn no_llvm(lib: &Path) -> String {
    format!(
        "no libLLVM-*.so in {}: this rustc does not bring its LLVM; use a toolchain that rustup installs",
        lib.display()
    )
}

/// `libLLVM-22-rust-1.95.0-stable.so` is linked as `-l LLVM-22-rust-1.95.0-stable`.
fn llvm_link_name(file_name: &str) -> Option<String> {
    let name = file_name.strip_prefix("lib")?.strip_suffix(".so")?;
    name.starts_with("LLVM-").then(|| name.to_owned())
}

fn rustc(args: &[&str]) -> Result<String> {
    Cmd::new("rustc").args(args).read()
}

/// The value of a `name: value` line of `rustc -vV`.
fn field<'a>(verbose: &'a str, name: &str) -> Result<&'a str> {
    verbose
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
        .with_context(|| format!("`rustc -vV` prints no `{name}`: which compiler is this?"))
}

fn llvm_major(version: &str) -> Result<u32> {
    let major = version.split('.').next().unwrap_or(version);
    major.parse().with_context(|| format!("`rustc -vV` names the LLVM version {version:?}, which has no number"))
}

/// The `channel = "..."` of a `rust-toolchain.toml`.
fn channel(file: &str) -> Option<&str> {
    let value = file.lines().find_map(|line| line.trim().strip_prefix("channel")?.trim_start().strip_prefix('='))?;
    value.trim().strip_prefix('"')?.split('"').next()
}

#[cfg(test)]
mod tests;
