//! Names by digest: manifests that pin an image by its digest run an image of ours under that name.
//!
//! A registry cannot help there, because the digest of an answer is checked. A node that knows the name already does not
//! ask, as long as the manifest's pull policy is not `Always`, which for names by digest it is not by default.

use anyhow::{Context as _, Result};

use super::layout::{Layout, Node};
use super::process;
use crate::image::catalogue::Image;
use crate::run::Cmd;

/// Tells every node the names; a node that is added later gets them by the next push.
pub fn provide(layout: &Layout, images: &[Image]) -> Result<()> {
    for image in images.iter().filter(|image| !image.digests.is_empty()) {
        let Some(name) = image.names.first() else { continue };
        for node in layout.all_nodes() {
            ctr(node, &["pull", "--hosts-dir", "/etc/containerd/certs.d", name])?;
            for digest in &image.digests {
                ctr(node, &["tag", "--force", name, digest])?;
            }
        }
    }
    Ok(())
}

/// containerd's own tool, inside the node.
fn ctr(node: Node<'_>, args: &[&str]) -> Result<()> {
    let first = process::first_of(node.cluster, &node.name())?
        .with_context(|| format!("{} does not run: `cargo xtask cluster up` starts it", node.name()))?;
    Cmd::new("nsenter")
        .args([format!("--target={first}"), "--mount".to_owned(), "--pid".to_owned(), "--net".to_owned()])
        .args(["ctr", "--namespace=k8s.io", "images"])
        .args(args)
        .env("PATH", process::PATH)
        .read()
        .map(|_said| ())
}
