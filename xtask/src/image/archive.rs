//! A container image without Docker: one layer out of a folder, in the form that `docker save` writes.
//!
//! tar(1) packs and sha256sum(1) names the layer; equal folders give equal images, so that pushing one again costs nothing.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::run::Cmd;

/// What a container does with the image when nobody says otherwise.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The program and its first arguments.
    pub entrypoint: Vec<String>,
    /// Further arguments, which `args` of a pod replace.
    pub command: Vec<String>,
    /// `NAME=value`, beside `PATH`.
    pub environment: Vec<String>,
}

/// Packs the folder `root` into an image in `folder`, and returns the archive's path.
pub fn pack(root: &Path, config: &Config, folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let layer = folder.join("layer.tar");
    tar(&layer, root, &["."])?;
    let layer_sum = sha256(&layer)?;
    let image = json!({
        "architecture": architecture(),
        "os": "linux",
        "config": {
            "Entrypoint": config.entrypoint,
            "Cmd": config.command,
            "Env": environment(config),
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer_sum}")]},
        "history": [{"created": "1970-01-01T00:00:00Z"}],
    });
    let manifest = json!([{"Config": "config.json", "RepoTags": [], "Layers": ["layer.tar"]}]);
    write(&folder.join("config.json"), &image.to_string())?;
    write(&folder.join("manifest.json"), &manifest.to_string())?;
    let archive = folder.join("image.tar");
    tar(&archive, folder, &["config.json", "manifest.json", "layer.tar"])?;
    fs::remove_file(&layer).with_context(|| format!("cannot remove {}", layer.display()))?;
    Ok(archive)
}

/// Everything in the archive belongs to root and has no age.
fn tar(archive: &Path, folder: &Path, what: &[&str]) -> Result<()> {
    Cmd::new("tar")
        .args(["--create", "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--format=gnu"])
        .args(["--file".as_ref(), archive.as_os_str(), "--directory".as_ref(), folder.as_os_str()])
        .args(what)
        .read()
        .map(|_said| ())
}

fn sha256(file: &Path) -> Result<String> {
    let said = Cmd::new("sha256sum").args(["--binary".as_ref(), file.as_os_str()]).read()?;
    let sum = said.split_whitespace().next().context("sha256sum prints nothing")?;
    // A path with a backslash in it makes the line begin with one.
    Ok(sum.trim_start_matches('\\').to_owned())
}

fn environment(config: &Config) -> Vec<String> {
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned();
    [path].into_iter().chain(config.environment.iter().cloned()).collect()
}

/// The image format's word for this machine.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}
