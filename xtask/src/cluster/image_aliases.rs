//! Names by digest: manifests that pin an image by its digest run an image of ours under that name.
//!
//! A registry cannot help there, because the digest of an answer is checked. A node that knows the name already does not
//! ask, as long as the manifest's pull policy is not `Always`, which for names by digest it is not by default.

use anyhow::{Context as _, Result};

use super::layout::{Layout, Node};
use super::process;
use crate::image::catalogue::Image;
use crate::run::Cmd;

/// Tells every node the names that it does not know; a node that is added later gets them by the next push.
pub fn provide(layout: &Layout, images: &[Image]) -> Result<()> {
    for node in layout.all_nodes() {
        let known = ctr(node, &["list"])?;
        for image in images {
            let digest = image.manifest_digest()?;
            for alias in image.digests.iter().filter(|alias| !means(&known, alias, &digest)) {
                let name = image.names.first().context("an image without a name cannot have another one")?;
                ctr(node, &["pull", "--hosts-dir", "/etc/containerd/certs.d", name])?;
                ctr(node, &["tag", "--force", name, alias])?;
            }
        }
    }
    Ok(())
}

/// Whether `name` is the image of this digest in what `ctr images list` says: name, type and digest in columns.
fn means(list: &str, name: &str, digest: &str) -> bool {
    list.lines().any(|line| {
        let mut columns = line.split_whitespace();
        columns.next() == Some(name) && columns.nth(1) == Some(digest)
    })
}

/// containerd's own tool, inside the node.
fn ctr(node: Node<'_>, args: &[&str]) -> Result<String> {
    let first = process::first_of(node.cluster, &node.name())?
        .with_context(|| format!("{} does not run: `cargo xtask cluster up` starts it", node.name()))?;
    Cmd::new("nsenter")
        .args([format!("--target={first}"), "--mount".to_owned(), "--pid".to_owned(), "--net".to_owned()])
        .args(["ctr", "--namespace=k8s.io", "images"])
        .args(args)
        .env("PATH", process::PATH)
        .read()
}

#[cfg(test)]
mod tests;
