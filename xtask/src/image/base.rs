//! The two images without which no cluster starts: the pod's pause process, and CoreDNS.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::archive::{self, Config};
use crate::paths;
use crate::run::Cmd;

/// What containerd is told to hold pods with.
pub const PAUSE: &str = "registry.k8s.io/pause:weft";

/// What the cluster's DNS runs.
pub const COREDNS: &str = "registry.k8s.io/coredns/coredns:v1.13.1";

/// An archive and the name under which it is pushed.
pub type Named = (PathBuf, &'static str);

/// Builds both where they are missing; `kube` is the Kubernetes binary.
pub fn provide(kube: &Path) -> Result<[Named; 2]> {
    let version = kube.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
    let pause = cached("pause-1", &["/pause"], |root| {
        let source = paths::root().join("xtask/src/image/pause.c");
        let program = root.join("pause");
        Cmd::new("cc")
            .args(["-static", "-Os", "-s", "-o"])
            .args([program.as_os_str(), source.as_os_str()])
            .read()
            .map(|_said| ())
            .context("cannot build the pause program: it needs a C compiler and the static C library (libc6-dev)")
    })?;
    let coredns = cached(&format!("coredns-{version}"), &["/kube", "coredns"], |root| {
        fs::create_dir_all(root.join("tmp")).context("cannot make a folder in the image")?;
        fs::hard_link(kube, root.join("kube")).with_context(|| format!("cannot link {}", kube.display()))
    })?;
    Ok([(pause, PAUSE), (coredns, COREDNS)])
}

/// The archive of this name in the cache; `fill` puts files into an empty root where it is missing.
fn cached(name: &str, entrypoint: &[&str], fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let folder = paths::cache()?.join("images").join(name);
    let archive = folder.join("image.tar");
    let marker = folder.join("complete");
    if marker.is_file() {
        return Ok(archive);
    }
    let root = folder.join("root");
    let _ = fs::remove_dir_all(&root);
    fs::create_dir_all(&root).with_context(|| format!("cannot make {}", root.display()))?;
    fill(&root)?;
    let entrypoint = entrypoint.iter().map(|&word| word.to_owned()).collect();
    archive::pack(&root, &Config { entrypoint, ..Config::default() }, &folder)?;
    fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()))?;
    fs::write(&marker, "").with_context(|| format!("cannot write {}", marker.display()))?;
    Ok(archive)
}
