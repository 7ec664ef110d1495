//! Root file systems with tools, out of Debian's packages: fetched with everything they depend on and unpacked.
//!
//! No maintainer script runs, so what those would have made and a container needs is written here.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

use crate::run::Cmd;

/// These come by dependencies that only installing and configuring a whole system has.
const NOT_NEEDED: [&str; 12] = [
    "adduser_",
    "debconf_",
    "dpkg_",
    "init-system-helpers_",
    "libfile-find-",
    "libnumber-compare-",
    "libperl",
    "libtext-glob-",
    "passwd_",
    "perl",
    "sensible-utils_",
    "usrmerge_",
];

/// The folders of the root that are links into `/usr` since Debian 12.
const MERGED: [&str; 3] = ["bin", "sbin", "lib"];

/// What no program in a container reads.
const DOCUMENTS: [&str; 5] =
    ["usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "usr/share/lintian"];

/// Unpacks the packages and what they depend on into `root`; `scratch` is a folder to fetch them into.
pub fn unpack(packages: &[&str], root: &Path, scratch: &Path) -> Result<()> {
    fetch(packages, scratch).with_context(|| {
        format!(
            "cannot fetch the Debian packages {}: has `apt-get update` run, and is there a network?",
            packages.join(" ")
        )
    })?;
    prepare(root)?;
    let mut unpacked = 0;
    for entry in fs::read_dir(scratch).with_context(|| format!("cannot read {}", scratch.display()))? {
        let package = entry.with_context(|| format!("cannot read {}", scratch.display()))?.path();
        let name = package.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".deb") && !NOT_NEEDED.iter().any(|prefix| name.starts_with(prefix)) {
            Cmd::new("dpkg-deb").args(["--extract".as_ref(), package.as_os_str(), root.as_os_str()]).read()?;
            unpacked += 1;
        }
    }
    ensure!(unpacked >= packages.len(), "of {} packages only {unpacked} came", packages.len());
    finish(root)
}

/// As for a machine on which nothing is installed.
fn fetch(packages: &[&str], scratch: &Path) -> Result<()> {
    let partial = scratch.join("partial");
    fs::create_dir_all(&partial).with_context(|| format!("cannot make {}", partial.display()))?;
    let download = || {
        Cmd::new("apt-get")
            .args(["install", "--yes", "-qq", "--download-only", "--no-install-recommends"])
            .args(["-o", "Dir::State::status=/dev/null", "-o", "APT::Sandbox::User=root"])
            .args(["-o".to_owned(), format!("Dir::Cache::archives={}", scratch.display())])
            .args(packages)
            .read()
    };
    // The list of packages may be missing or older than the mirror.
    if download().is_err() {
        Cmd::new("apt-get").args(["update", "-qq"]).read()?;
        download()?;
    }
    Ok(())
}

fn prepare(root: &Path) -> Result<()> {
    for name in MERGED {
        let folder = root.join("usr").join(name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let link = root.join(name);
        symlink(Path::new("usr").join(name), &link)
            .with_context(|| format!("cannot make the link {}", link.display()))?;
    }
    fs::create_dir_all(root.join("usr/lib64")).context("cannot make a folder in the image")?;
    symlink("usr/lib64", root.join("lib64")).context("cannot make a link in the image")
}

fn finish(root: &Path) -> Result<()> {
    for folder in DOCUMENTS {
        let _ = fs::remove_dir_all(root.join(folder));
    }
    for folder in ["etc", "tmp", "run", "root", "var/log", "var/tmp", "usr/local/bin"] {
        let folder = root.join(folder);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let users = "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n\
        tcpdump:x:100:100::/nonexistent:/usr/sbin/nologin\n\
        nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
    put(root, "etc/passwd", users)?;
    put(root, "etc/group", "root:x:0:\nwww-data:x:33:\ntcpdump:x:100:\nnogroup:x:65534:\n")?;
    put(root, "etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")?;
    let shell = root.join("usr/bin/sh");
    if fs::symlink_metadata(&shell).is_err() {
        symlink("dash", &shell).context("cannot make /bin/sh in the image")?;
    }
    Cmd::new(crate::paths::find_program("ldconfig").context("there is no ldconfig(8)")?)
        .args(["-r".as_ref(), root.as_os_str()])
        .read()
        .map(|_said| ())
}

fn put(root: &Path, file: &str, text: &str) -> Result<()> {
    fs::write(root.join(file), text).with_context(|| format!("cannot write /{file} in the image"))
}
