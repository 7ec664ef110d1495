//! The one Kubernetes binary: all components and kubectl, etcd and CoreDNS, built from the Go module in `xtask/kube`.
//!
//! Takes about ten minutes once; kept in the cache folder for as long as neither the module nor Go changes.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::lock;
use crate::paths;
use crate::run::{Cmd, Steps};
use crate::setup::go;

/// What the binary says it is; the module's go.mod requires the same.
const VERSION: &str = "v1.35.4";

/// How often a person is told how far the build is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(15);

/// The binary's path, after building it where it is missing.
pub fn provide(steps: &mut Steps) -> Result<PathBuf> {
    steps.step(&format!("Kubernetes {VERSION}"), || {
        let _alone = lock::take(&paths::cache()?.join("kube.lock"), "the Kubernetes binary")?;
        let go = go::provide()?;
        let folder = paths::cache()?.join(format!("kube-{VERSION}-{:016x}", key(&go)?));
        let kube = folder.join("kube");
        if kube.is_file() {
            eprintln!("    from the cache");
            return Ok(kube);
        }
        eprintln!("    building it from Go modules, which takes about ten minutes once");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let unfinished = folder.join("kube.unfinished");
        build(&go, &unfinished)?;
        fs::rename(&unfinished, &kube).with_context(|| format!("cannot move {} to its place", unfinished.display()))?;
        Ok(kube)
    })
}

fn module() -> PathBuf {
    paths::root().join("xtask/kube")
}

/// Everything that the binary depends on.
fn key(go: &Path) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    for file in ["go.mod", "go.sum", "main.go"] {
        let path = module().join(file);
        fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?.hash(&mut hasher);
    }
    go::version(go, &module())?.hash(&mut hasher);
    link_flags().hash(&mut hasher);
    Ok(hasher.finish())
}

/// The version that kubectl and the API server report; without it kubelet and API server refuse each other.
fn link_flags() -> String {
    let minor = VERSION.split('.').nth(1).unwrap_or_default();
    let set = |name: &str, value: &str| format!("-X k8s.io/component-base/version.{name}={value}");
    format!("-s -w {} {} {}", set("gitVersion", VERSION), set("gitMajor", "1"), set("gitMinor", minor))
}

fn build(go: &Path, output: &Path) -> Result<()> {
    let network = "cannot fetch the Go modules: does GOPROXY (`go env GOPROXY`) answer from here?";
    go::command(go, &module()).args(["mod", "download"]).read().context(network)?;
    let packages =
        go::command(go, &module()).env("CGO_ENABLED", "0").args(["list", "-deps", "."]).read()?.lines().count();
    let mut child = Command::new(go)
        .current_dir(module())
        .envs(go::ENVIRONMENT)
        .env("CGO_ENABLED", "0")
        .args(["build", "-v", "-trimpath", "-ldflags", &link_flags(), "-o"])
        .arg(output)
        .arg(".")
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", go.display()))?;
    let mut said = Vec::new();
    let (started, mut told) = (Instant::now(), Instant::now());
    if let Some(stderr) = child.stderr.take() {
        // One line for each package; anything else is an error's text.
        for line in BufReader::new(stderr).lines() {
            said.push(line.context("cannot read what go says")?);
            if told.elapsed() > PROGRESS_INTERVAL {
                eprintln!("    {} of {packages} packages after {} s", said.len(), started.elapsed().as_secs());
                told = Instant::now();
            }
        }
    }
    let status = child.wait().context("cannot wait for go")?;
    if !status.success() {
        let last = said.len().saturating_sub(20);
        bail!("`go build` in {} failed ({status}):\n    {}", module().display(), said[last..].join("\n    "));
    }
    Cmd::new(output).args(["kubectl", "version", "--client"]).read().context("the binary just built does not start")?;
    Ok(())
}
