//! The two images without which no cluster starts: the pod's pause process, and CoreDNS.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::catalogue::Image;
use super::oci::Config;
use crate::paths;
use crate::run::Cmd;

/// What containerd is told to hold pods with.
pub const PAUSE: &str = "registry.k8s.io/pause:weft";

/// What the cluster's DNS runs.
const COREDNS: &str = "registry.k8s.io/coredns/coredns:v1.13.1";

/// Builds both where they are missing; `kube` is the Kubernetes binary.
pub fn provide(kube: &Path) -> Result<[Image; 2]> {
    let version = kube.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
    let pause = super::cached("pause", |root, _scratch| {
        let source = paths::root().join("xtask/src/image/pause.c");
        Cmd::new("cc")
            .args(["-static", "-Os", "-s", "-o"])
            .args([root.join("pause").as_os_str(), source.as_os_str()])
            .read()
            .map(|_said| ())
            .context("cannot build the pause program: it needs a C compiler and the static C library (libc6-dev)")
    })?;
    let coredns = super::cached(&version, |root, _scratch| {
        fs::create_dir_all(root.join("tmp")).context("cannot make a folder in the image")?;
        fs::hard_link(kube, root.join("kube")).with_context(|| format!("cannot link {}", kube.display()))
    })?;
    let config = |entrypoint: &[&'static str]| Config { entrypoint: entrypoint.to_vec(), ..Config::default() };
    let folder = folder()?;
    Ok([
        Image::new(&folder, &[PAUSE], &[&pause], config(&["/pause"])),
        Image::new(&folder, &[COREDNS], &[&coredns], config(&["/kube", "coredns"])),
    ])
}

/// Where they lie: they do not depend on this tree.
pub fn folder() -> Result<PathBuf> {
    Ok(paths::cache()?.join("images"))
}
