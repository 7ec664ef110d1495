//! Container images without Docker: layers and a configuration as an OCI image layout, a folder that skopeo(1) pushes.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::layer::{Layer, sha256};

/// What a container does with the image when nobody says otherwise.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The program and its first arguments.
    pub entrypoint: Vec<&'static str>,
    /// Further arguments, which `args` of a pod replace.
    pub command: Vec<&'static str>,
    /// `NAME=value`, beside `PATH`.
    pub environment: Vec<&'static str>,
}

/// Writes the image into `folder`, which is emptied first.
pub fn write(folder: &Path, layers: &[&Layer], config: &Config) -> Result<()> {
    let _ = fs::remove_dir_all(folder);
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).with_context(|| format!("cannot make {}", blobs.display()))?;
    for layer in layers {
        let blob = blobs.join(hex(&layer.digest));
        // Layers in the cache may be on another file system than the image.
        fs::hard_link(&layer.file, &blob)
            .or_else(|_| fs::copy(&layer.file, &blob).map(|_length| ()))
            .with_context(|| format!("cannot copy {}", layer.file.display()))?;
    }
    let config = put(folder, "application/vnd.oci.image.config.v1+json", &configuration(layers, config))?;
    let manifest = put(folder, MANIFEST, &manifest(layers, &config))?;
    save(&folder.join("index.json"), &json!({"schemaVersion": 2, "manifests": [manifest]}))?;
    save(&folder.join("oci-layout"), &json!({"imageLayoutVersion": "1.0.0"}))
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn configuration(layers: &[&Layer], config: &Config) -> Value {
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let environment: Vec<&str> = [path].into_iter().chain(config.environment.iter().copied()).collect();
    json!({
        "architecture": architecture(),
        "os": "linux",
        "config": {"Entrypoint": config.entrypoint, "Cmd": config.command, "Env": environment},
        "rootfs": {"type": "layers", "diff_ids": layers.iter().map(|layer| &layer.diff_id).collect::<Vec<_>>()},
        "history": layers.iter().map(|_| json!({"created": "1970-01-01T00:00:00Z"})).collect::<Vec<_>>(),
    })
}

fn manifest(layers: &[&Layer], config: &Value) -> Value {
    let kind = "application/vnd.oci.image.layer.v1.tar+gzip";
    let entry = |layer: &&Layer| json!({"mediaType": kind, "digest": layer.digest, "size": layer.size});
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config,
        "layers": layers.iter().map(entry).collect::<Vec<_>>(),
    })
}

/// Stores a document as a blob and returns its descriptor.
fn put(folder: &Path, kind: &str, document: &Value) -> Result<Value> {
    let unnamed = folder.join("unnamed");
    save(&unnamed, document)?;
    let digest = sha256(&unnamed)?;
    let blob = folder.join("blobs/sha256").join(hex(&digest));
    fs::rename(&unnamed, &blob).with_context(|| format!("cannot write {}", blob.display()))?;
    Ok(json!({"mediaType": kind, "digest": digest, "size": document.to_string().len()}))
}

fn save(file: &Path, document: &Value) -> Result<()> {
    fs::write(file, document.to_string()).with_context(|| format!("cannot write {}", file.display()))
}

fn hex(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap_or(digest)
}

/// The image format's word for this machine.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests;
