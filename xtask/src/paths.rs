//! Where things are: the repository, what is built, what is cached between builds, which programs exist.
//!
//! Called by every task; changes nothing on disk except that [`cache`] makes its folder.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The root of the repository: the folder above this crate.
pub fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// Where the kernel programs are built and left for the agent's build script to embed.
///
/// Always below `target/`, also with `CARGO_TARGET_DIR` set: the build script looks for them relative to its crate.
pub fn ebpf_target() -> PathBuf {
    root().join("target/ebpf")
}

/// The folder that keeps what was fetched or built once: `$XDG_CACHE_HOME/weft`, else `~/.cache/weft`.
pub fn cache() -> Result<PathBuf> {
    let cache = cache_below(env::var_os("XDG_CACHE_HOME").as_deref(), env::var_os("HOME").as_deref())
        .context("no cache folder: set HOME or XDG_CACHE_HOME to a folder that you may write")?;
    std::fs::create_dir_all(&cache)
        .with_context(|| format!("cannot make the cache folder {}: set XDG_CACHE_HOME to another", cache.display()))?;
    Ok(cache)
}

/// The XDG base directory rules: an unset, empty or relative `XDG_CACHE_HOME` does not count.
fn cache_below(xdg_cache_home: Option<&OsStr>, home: Option<&OsStr>) -> Option<PathBuf> {
    let absolute = |path: &OsStr| Path::new(path).is_absolute().then(|| PathBuf::from(path));
    let base = xdg_cache_home.and_then(absolute).or_else(|| Some(home.and_then(absolute)?.join(".cache")))?;
    Some(base.join("weft"))
}

/// The full path of a program, as a shell would find it.
///
/// Looks into the `sbin` folders too: `ip`, `nft` and `nginx` live there and are not on every user's `PATH`.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
}

#[cfg(test)]
mod tests;
