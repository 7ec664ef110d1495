//! `cargo xtask build-ebpf`: compiles `ebpf/` for the BPF target and leaves one object with BTF.
//!
//! The agent's build script embeds that object; it is replaced only when it changed, so that an unchanged kernel side
//! does not rebuild the agent. Tools come from `setup`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use crate::paths;
use crate::run::{Cmd, Steps};
use crate::setup::{self, EbpfTools, Purpose};

/// BPF has the byte order of the machine.
const TARGET: &str = if cfg!(target_endian = "little") { "bpfel-unknown-none" } else { "bpfeb-unknown-none" };

/// The binary of the crate in `ebpf/`.
const BINARY: &str = "weft-ebpf";

/// The task: sets up the tools where they are missing, and builds.
pub fn run(steps: &mut Steps) -> Result<()> {
    let tools = setup::provide(Purpose::Build, steps)?;
    build(&tools, steps).map(|_object| ())
}

/// Builds with tools that a task has set up already, and returns the object's path.
pub fn build(tools: &EbpfTools, steps: &mut Steps) -> Result<PathBuf> {
    steps.step("kernel programs", || compile(tools))
}

fn compile(tools: &EbpfTools) -> Result<PathBuf> {
    let folder = paths::root().join("ebpf");
    let manifest = folder.join("Cargo.toml");
    ensure!(manifest.is_file(), "there is no {}: the kernel programs are missing from this tree", manifest.display());
    let target = paths::ebpf_target();
    // The target's own settings, so that the proc macros and build scripts of the host are built as always; flags that
    // the caller gave to host builds would replace them. BTF is made from debug information.
    let variable = format!("CARGO_TARGET_{}", TARGET.to_uppercase().replace('-', "_"));
    Cmd::cargo()
        .args(["build", "--release", "-Zbuild-std=core", "--target", TARGET, "--bin", BINARY])
        .args(["--target-dir".as_ref(), target.as_os_str()])
        .env("RUSTC_BOOTSTRAP", "1")
        .env(&format!("{variable}_LINKER"), &tools.bpf_linker)
        .env(&format!("{variable}_RUSTFLAGS"), "-Cdebuginfo=2 -Clink-arg=--btf")
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET")
        .dir(&folder)
        .run()?;
    keep(&target.join(TARGET).join("release").join(BINARY), target.join(format!("{BINARY}.o")))
}

/// Copies `built` to `kept` unless they are equal: the time of `kept` is what the agent's build script looks at.
fn keep(built: &std::path::Path, kept: PathBuf) -> Result<PathBuf> {
    let object = fs::read(built).with_context(|| format!("the build left no {}", built.display()))?;
    if fs::read(&kept).is_ok_and(|before| before == object) {
        eprintln!("    unchanged: {}", kept.display());
        return Ok(kept);
    }
    // Renamed into place: a build that embeds it at the same time sees the old or the new object, never half of one.
    let partial = kept.with_extension("o.partial");
    fs::write(&partial, &object)
        .and_then(|()| fs::rename(&partial, &kept))
        .with_context(|| format!("cannot write {}", kept.display()))?;
    eprintln!("    {} ({} KiB)", kept.display(), object.len().div_ceil(1024));
    Ok(kept)
}

#[cfg(test)]
mod tests;
