//! The Go compiler, which builds the Kubernetes binary: the one on `PATH`, else Debian's.
//!
//! Go from 1.21 on fetches the version that a module asks for by itself. An older one (Debian 12 has 1.19) is only used
//! to fetch a newer one, which comes from the module proxy like everything else.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::packages;
use crate::paths;
use crate::run::Cmd;

/// The first release that fetches others.
const FETCHES_OTHERS: (u32, u32) = (1, 21);

/// What an older Go fetches.
const TOOLCHAIN: &str = "golang.org/toolchain@v0.0.1-go1.25.5.linux-amd64";

/// Debian turns fetching off.
pub const ENVIRONMENT: [(&str, &str); 2] = [("GOTOOLCHAIN", "auto"), ("GOFLAGS", "")];

/// A go that can build the module.
pub fn provide() -> Result<PathBuf> {
    let go = match paths::find_program("go") {
        Some(go) => go,
        None => {
            packages::provide_one(("go", "golang-go"))?;
            paths::find_program("go").context("after installing golang-go there is still no `go`")?
        }
    };
    let said = Cmd::new(&go).args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local").read()?;
    let release = release(&said).with_context(|| format!("{} says its version is {said:?}", go.display()))?;
    if release >= FETCHES_OTHERS { Ok(go) } else { fetch(&go) }
}

/// The exact version that builds the module in `folder`.
pub fn version(go: &Path, folder: &Path) -> Result<String> {
    command(go, folder).args(["env", "GOVERSION"]).read()
}

/// A go command in this folder.
pub fn command(go: &Path, folder: &Path) -> Cmd {
    ENVIRONMENT.iter().fold(Cmd::new(go).dir(folder), |cmd, (name, value)| cmd.env(name, value))
}

/// `go1.26.8` is 1.26.
fn release(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.trim().strip_prefix("go")?.split(['.', '-', 'r', 'b']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Lets the old go fetch a newer one as the module that it is.
fn fetch(old: &Path) -> Result<PathBuf> {
    ensure!(cfg!(target_arch = "x86_64"), "{} is too old for this: install Go 1.25 or newer", old.display());
    let folder = paths::cache()?.join("go");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    eprintln!("    fetching {TOOLCHAIN}");
    let said = Cmd::new(old).args(["mod", "download", "-json", TOOLCHAIN]).dir(&folder).read()?;
    let found: serde_json::Value = serde_json::from_str(&said).context("`go mod download -json` prints no JSON")?;
    let root = PathBuf::from(found["Dir"].as_str().context("`go mod download` names no folder")?);
    // Modules carry no permission to execute.
    for programs in ["bin", "pkg/tool/linux_amd64"] {
        let programs = root.join(programs);
        let place = || format!("cannot make the programs in {} executable", programs.display());
        fs::set_permissions(&programs, fs::Permissions::from_mode(0o755)).with_context(place)?;
        for program in fs::read_dir(&programs).with_context(place)? {
            let program = program.with_context(place)?.path();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).with_context(place)?;
        }
    }
    Ok(root.join("bin/go"))
}

#[cfg(test)]
mod tests;
