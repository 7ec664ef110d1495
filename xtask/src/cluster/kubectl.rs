//! kubectl against one cluster, as the administrator.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::layout::Layout;
use super::pki;
use crate::run::Cmd;

/// How kubectl is started for one cluster.
pub struct Kubectl {
    kube: PathBuf,
    kubeconfig: PathBuf,
}

impl Kubectl {
    /// For this cluster.
    pub fn new(layout: &Layout) -> Self {
        Self { kube: layout.kube(), kubeconfig: pki::kubeconfig(layout, pki::ADMIN) }
    }

    /// A command with these arguments.
    pub fn args<I, S>(&self, args: I) -> Cmd
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        Cmd::new(&self.kube).args(["kubectl"]).args(args).env("KUBECONFIG", &self.kubeconfig)
    }
}

impl Kubectl {
    /// Every node that is ready, with the identity of the start at which it said so.
    pub fn ready_nodes(&self) -> Result<BTreeMap<String, String>> {
        let line =
            r#"{.metadata.name} {.status.nodeInfo.bootID} {.status.conditions[?(@.type=="Ready")].status}{"\n"}"#;
        let path = format!("jsonpath={{range .items[*]}}{line}{{end}}");
        let said = self.args(["--request-timeout=5s", "get", "nodes", "--output", &path]).read()?;
        let ready = said.lines().filter_map(|line| line.strip_suffix(" True")?.split_once(' '));
        Ok(ready.map(|(name, boot)| (name.to_owned(), boot.to_owned())).collect())
    }
}

/// Puts the Kubernetes binary and a `kubectl` into the cluster's `bin` folder.
pub fn provide_programs(layout: &Layout, kube: &Path) -> Result<()> {
    let folder = layout.path("bin");
    let place = || format!("cannot write to {}", folder.display());
    fs::create_dir_all(&folder).with_context(place)?;
    provide_program(layout, "kube", kube)?;
    let kubectl = folder.join("kubectl");
    fs::write(&kubectl, format!("#!/bin/sh\nexec {} kubectl \"$@\"\n", layout.kube().display())).with_context(place)?;
    fs::set_permissions(&kubectl, fs::Permissions::from_mode(0o755)).with_context(place)
}

/// Puts a link to `program` into the cluster's `bin` folder, which is on the `PATH` of its shell.
pub fn provide_program(layout: &Layout, name: &str, program: &Path) -> Result<()> {
    let (link, unfinished) = (layout.path("bin").join(name), layout.path("bin").join(format!("{name}.unfinished")));
    let place = || format!("cannot make the link {}", link.display());
    let _ = fs::remove_file(&unfinished);
    symlink(program, &unfinished).with_context(place)?;
    fs::rename(&unfinished, &link).with_context(place)
}

/// Writes the kubeconfig for people: whole in one file, so that it can be copied.
pub fn write_kubeconfig(layout: &Layout) -> Result<()> {
    let text = Kubectl::new(layout).args(["config", "view", "--flatten", "--output=yaml"]).read()?;
    let file = layout.kubeconfig();
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))
        .with_context(|| format!("cannot protect {}", file.display()))
}

/// Becomes `program` with a `kubectl` for this cluster on its `PATH`.
pub fn become_program(layout: &Layout, program: &OsStr, args: &[String]) -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = [layout.path("bin")].into_iter().chain(std::env::split_paths(&path));
    let path = std::env::join_paths(folders).context("the cluster's folder has a colon in its name")?;
    let error = Command::new(program).args(args).env("PATH", path).env("KUBECONFIG", layout.kubeconfig()).exec();
    Err(error).with_context(|| format!("cannot start {}", program.display()))
}
