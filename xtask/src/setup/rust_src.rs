//! The source of the standard library, of exactly the compiler's version: `-Zbuild-std=core` builds `core` from it.
//!
//! Asks, in this order: the sysroot, rustup, Debian's package `rust-src`. Debian's is fetched with a private apt
//! configuration (the machine's own sources and lists stay as they are) and linked into the sysroot. Needs no root
//! unless the toolchain belongs to root.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::Toolchain;
use super::apt_sources::debian_mirror;
use crate::paths;
use crate::run::Cmd;

/// Where a stable compiler of this year is looked for: each suite keeps one version, and drops it in time.
const SUITES: [&str; 4] = ["trixie-backports", "trixie", "forky", "sid"];

/// rustup fetches 3 MB; behind a network that drops packets it would wait much longer than a person does.
const RUSTUP_DEADLINE: Duration = Duration::from_secs(120);

/// The indexes of a suite are 10 MB.
const APT_DEADLINE: Duration = Duration::from_secs(300);

/// The keys that sign Debian's suites.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Makes `<sysroot>/lib/rustlib/src/rust/library` exist.
pub fn provide(toolchain: &Toolchain) -> Result<()> {
    if is_source(&sysroot_link(toolchain)) {
        eprintln!("    already in the sysroot");
        return Ok(());
    }
    let no_rustup = match from_rustup(toolchain) {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    eprintln!("    rustup has none: {}; asking Debian", first_line(&no_rustup));
    let source = from_debian(&toolchain.version).with_context(|| {
        format!(
            "no rust-src {0} to build eBPF with: `rustup component add rust-src --toolchain {0}`",
            toolchain.version
        )
    })?;
    link(&source, &sysroot_link(toolchain))
}

/// Where cargo looks for it.
fn sysroot_link(toolchain: &Toolchain) -> PathBuf {
    toolchain.sysroot.join("lib/rustlib/src/rust")
}

/// cargo resolves `core` with this lock file and stops without it.
fn is_source(rust: &Path) -> bool {
    rust.join("library/Cargo.lock").is_file()
}

fn from_rustup(toolchain: &Toolchain) -> Result<()> {
    Cmd::new("rustup")
        .args(["component", "add", "rust-src", "--toolchain", &toolchain.version])
        .env("RUSTUP_MAX_RETRIES", "1")
        .deadline(RUSTUP_DEADLINE)
        .read()?;
    ensure!(is_source(&sysroot_link(toolchain)), "rustup added rust-src to another toolchain than rustc's");
    eprintln!("    from rustup");
    Ok(())
}

/// What rustup itself said, which is the last line of its error, without our frame around it.
fn first_line(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    let reason = text.lines().map(str::trim).find(|line| line.starts_with("error:"));
    reason.or(text.lines().next()).unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// The unpacked package, from the cache or from the first suite that has it.
fn from_debian(version: &str) -> Result<PathBuf> {
    let source = paths::cache()?.join(format!("rust-src-{version}"));
    if is_source(&source) {
        eprintln!("    from the cache");
        return Ok(source);
    }
    for tool in ["apt-get", "dpkg-deb"] {
        ensure!(paths::find_program(tool).is_some(), "there is no {tool} here, so Debian's package is no way either");
    }
    ensure!(Path::new(KEYRING).is_file(), "Debian's keys are missing: `apt-get install debian-archive-keyring`");
    let fetch = source.with_added_extension("fetch");
    let fetched = fetch_into(&source, &fetch, version);
    let cleared = fs::remove_dir_all(&fetch).with_context(|| format!("cannot remove {}", fetch.display()));
    fetched.and(cleared).map(|()| source)
}

/// Makes `source` from the first suite that has the package, working in the folder `fetch`.
fn fetch_into(source: &Path, fetch: &Path, version: &str) -> Result<()> {
    let mirror = debian_mirror(Path::new("/etc/apt")).context(
        "no Debian mirror in /etc/apt/sources.list or sources.list.d: add one, or run `rustup component add rust-src`",
    )?;
    for suite in SUITES {
        let apt = PrivateApt::new(&fetch.join(suite), &mirror, suite)?;
        let listing = match apt.versions() {
            Ok(listing) => listing,
            Err(error) => {
                eprintln!("    {suite}: {error:#}");
                continue;
            }
        };
        let Some(found) = package_version(&listing, version) else {
            eprintln!("    {suite}: not this version");
            continue;
        };
        eprintln!("    {suite}: rust-src {found}");
        let unpacked = apt.unpack(found, version)?;
        ensure!(
            is_source(&unpacked),
            "Debian's rust-src {found} has no library/Cargo.lock: cargo cannot build from it"
        );
        // Whole or not at all: an interrupted set-up must not leave half a library that looks like one.
        return fs::rename(&unpacked, source).with_context(|| format!("cannot make {}", source.display()));
    }
    bail!("none of {} at {mirror} has rust-src {version}", SUITES.join(", "))
}

/// The version in a listing of `apt-cache madison` that was made from this upstream version.
fn package_version<'a>(madison: &'a str, upstream: &str) -> Option<&'a str> {
    madison.lines().find_map(|line| {
        let version = line.split('|').nth(1)?.trim();
        // `1.95.0+dfsg1-2` and `1.95.0-1` are 1.95.0; `1.95.0~beta.5` comes before it, `1.95.01` is another.
        version.strip_prefix(upstream)?.starts_with(['+', '-']).then_some(version)
    })
}

/// apt with sources, lists and cache of its own, for one suite.
struct PrivateApt {
    folder: PathBuf,
    options: Vec<String>,
}

impl PrivateApt {
    fn new(folder: &Path, mirror: &str, suite: &str) -> Result<Self> {
        for part in ["lists/partial", "cache/archives/partial"] {
            let part = folder.join(part);
            fs::create_dir_all(&part).with_context(|| format!("cannot make {}", part.display()))?;
        }
        let list = folder.join("sources.list");
        let line = format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n");
        fs::write(&list, line).with_context(|| format!("cannot write {}", list.display()))?;
        let options = [
            format!("Dir::Etc::sourcelist={}", list.display()),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            format!("Dir::State::lists={}", folder.join("lists").display()),
            format!("Dir::Cache={}", folder.join("cache").display()),
            // Only the package index: neither translations nor the descriptions for software centres.
            "Acquire::Languages=none".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
            // apt's download user may not enter a home folder.
            "APT::Sandbox::User=".to_owned(),
        ];
        Ok(Self {
            folder: folder.to_owned(),
            options: options.into_iter().flat_map(|option| ["-o".to_owned(), option]).collect(),
        })
    }

    /// What the suite has of `rust-src`, as `apt-cache madison` lists it.
    fn versions(&self) -> Result<String> {
        self.apt("apt-get", &["update", "--error-on=any"])?;
        self.apt("apt-cache", &["madison", "rust-src"])
    }

    /// Fetches the package and unpacks the `library` folder of it: a fifth of it, and all that cargo reads.
    fn unpack(&self, package_version: &str, upstream: &str) -> Result<PathBuf> {
        self.apt("apt-get", &["download", &format!("rust-src={package_version}")])?;
        let package = self.downloaded()?;
        let source = format!("usr/src/rustc-{upstream}");
        // A shell only for the pipe: tar picks the one folder, which dpkg-deb cannot. An incomplete archive fails in tar.
        Cmd::new("sh")
            .args(["-c", "dpkg-deb --fsys-tarfile \"$0\" | tar -x -C \"$1\" \"$2\""])
            .args([package.as_os_str(), self.folder.as_os_str()])
            .args([format!("./{source}/library")])
            .read()?;
        Ok(self.folder.join(source))
    }

    fn downloaded(&self) -> Result<PathBuf> {
        let entries = fs::read_dir(&self.folder).with_context(|| format!("cannot read {}", self.folder.display()))?;
        let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let package = paths.find(|path| path.extension().is_some_and(|extension| extension == "deb"));
        package.with_context(|| format!("apt-get downloaded no package into {}", self.folder.display()))
    }

    fn apt(&self, program: &str, args: &[&str]) -> Result<String> {
        Cmd::new(program).args(&self.options).args(args).dir(&self.folder).deadline(APT_DEADLINE).read()
    }
}

/// Points `link` at `source`, replacing a link that leads nowhere.
fn link(source: &Path, link: &Path) -> Result<()> {
    if link.is_symlink() {
        fs::remove_file(link).with_context(|| format!("cannot replace the stale link {}", link.display()))?;
    }
    if let Some(parent) = link.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}: whose is it?", parent.display()))?;
    }
    symlink(source, link).with_context(|| {
        format!("cannot link {}: clear that place, and run `cargo xtask setup` as its owner", link.display())
    })?;
    eprintln!("    linked into the sysroot");
    Ok(())
}

#[cfg(test)]
mod tests;
