//! A layer of an image: a folder's files as a compressed tar, and its two digests.
//!
//! tar(1), gzip(1) and sha256sum(1) do the work. Equal folders give equal layers, so that a registry and a node that
//! have one already need not get it again.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::run::Cmd;

/// The file that says that a layer is whole.
const RECORD: &str = "layer.json";

/// A layer on disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Layer {
    /// The compressed tar.
    pub file: PathBuf,
    /// Its length in bytes.
    pub size: u64,
    /// The SHA-256 of the compressed tar, by which registries know it.
    pub digest: String,
    /// The SHA-256 of the tar itself, by which nodes know its files.
    pub diff_id: String,
}

impl Layer {
    /// The layer that was packed into `folder` before, if it is whole.
    pub fn packed(folder: &Path) -> Option<Self> {
        let layer: Self = serde_json::from_slice(&fs::read(folder.join(RECORD)).ok()?).ok()?;
        layer.file.is_file().then_some(layer)
    }

    /// Packs what `fill` puts into an empty root.
    pub fn pack(folder: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<Self> {
        let _ = fs::remove_dir_all(folder);
        let root = folder.join("root");
        fs::create_dir_all(&root).with_context(|| format!("cannot make {}", root.display()))?;
        fill(&root)?;
        let tar = folder.join("layer.tar");
        // Everything belongs to root and has no age.
        Cmd::new("tar")
            .args(["--create", "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"])
            .args(["--file".as_ref(), tar.as_os_str(), "--directory".as_ref(), root.as_os_str(), ".".as_ref()])
            .read()?;
        let diff_id = sha256(&tar)?;
        // The quickest level: a layer travels over one machine only.
        Cmd::new("gzip").args(["-1".as_ref(), "--no-name".as_ref(), tar.as_os_str()]).read()?;
        let file = folder.join("layer.tar.gz");
        let size = fs::metadata(&file).with_context(|| format!("cannot look at {}", file.display()))?.len();
        let layer = Self { size, digest: sha256(&file)?, diff_id, file };
        fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()))?;
        let record = serde_json::to_vec(&layer).context("cannot write a layer as JSON")?;
        fs::write(folder.join(RECORD), record).with_context(|| format!("cannot write to {}", folder.display()))?;
        Ok(layer)
    }
}

/// The digest of a file as image formats write it.
pub fn sha256(file: &Path) -> Result<String> {
    let said = Cmd::new("sha256sum").args([file]).read()?;
    let sum = said.split_whitespace().next().context("sha256sum prints nothing")?;
    // A path with a backslash in it makes the line begin with one.
    Ok(format!("sha256:{}", sum.trim_start_matches('\\')))
}
