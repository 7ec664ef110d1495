//! `oha`, the HTTP load generator of the benchmark: the one such tool that also speaks HTTP/2 and reports percentiles
//! of a fixed request rate without coordinated omission. Not in Debian, so built from crates.io and kept in the cache.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::Toolchain;
use crate::paths;
use crate::run::Cmd;

/// Declares rustc 1.88; numbers of a benchmark compare only between runs of one version.
const VERSION: &str = "1.16.0";

/// Where [`provide`] leaves it.
pub fn path() -> Result<PathBuf> {
    Ok(paths::cache()?.join(format!("oha-{VERSION}/bin/oha")))
}

/// Builds it where it is missing.
pub fn provide(toolchain: &Toolchain) -> Result<()> {
    let oha = path()?;
    if oha.is_file() {
        eprintln!("    from the cache");
        return Ok(());
    }
    let root = oha.parent().and_then(|bin| bin.parent()).context("the cache folder has no parent")?;
    eprintln!("    building oha {VERSION} with rustc {}, which takes some minutes", toolchain.version);
    Cmd::cargo()
        .args(["install", "oha", "--version", VERSION, "--locked", "--force", "--quiet"])
        .args(["--root".as_ref(), root.as_os_str()])
        .run()
        .with_context(|| format!("cannot build oha {VERSION}: it needs crates.io, a C compiler and cmake"))
}
