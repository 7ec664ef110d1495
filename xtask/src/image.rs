//! `cargo xtask image`: container images of weft, of the demo applications and of the tools that the exercises use.
//!
//! Needs no Docker: layers are packed by tar(1), pushed by skopeo(1). What comes from Debian stays in the cache folder,
//! what is built from this tree is below `target/images`.

pub mod base;
pub mod catalogue;
mod debian;
mod layer;
mod nginx;
mod oci;
mod programs;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use self::catalogue::Image;
use self::layer::Layer;
use crate::cluster::{image_aliases, registry, store};
use crate::run::Steps;
use crate::setup::{self, Purpose};
use crate::{ebpf, paths, test};

/// What to build.
#[derive(clap::Args)]
pub struct Args {
    /// Push the images into the registry of the cluster of this name (`weft` is the usual one).
    #[arg(long, value_name = "CLUSTER")]
    push: Option<String>,
    /// Which images.
    #[arg(long, value_enum, default_value_t = What::All)]
    only: What,
    /// Optimise: takes minutes, and is what a measurement needs.
    #[arg(long)]
    release: bool,
}

/// The kinds of images.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum What {
    /// Everything below.
    All,
    /// weft itself.
    Weft,
    /// The exercises' applications and tools.
    Apps,
}

/// The task as typed.
pub fn run(args: &Args, steps: &mut Steps) -> Result<()> {
    let images = build(args.only, args.release, steps)?;
    if let Some(cluster) = &args.push {
        push(&images, cluster, steps)?;
    }
    eprint!("\n{}", steps.table());
    for name in images.iter().flat_map(|image| &image.names) {
        println!("{name}");
    }
    if args.push.is_none() {
        eprintln!("the images are below {}; --push CLUSTER makes them known to a cluster", built().display());
    }
    Ok(())
}

/// Builds the images; `release` optimises.
pub fn build(what: What, release: bool, steps: &mut Steps) -> Result<Vec<Image>> {
    let tools = setup::provide(Purpose::Cluster, steps)?;
    ebpf::build(&tools, steps)?;
    // Always together: built apart, each would have its dependencies compiled with other features.
    let programs = steps.step("weft and the demo application", || test::build_programs(release))?;
    let mut images = Vec::new();
    if what != What::Apps {
        images.push(steps.step("image of weft", || catalogue::weft(&built(), &programs.weft))?);
    }
    if what != What::Weft {
        images.extend(
            steps.step("images of the applications", || catalogue::applications(&built(), &programs.demo_app))?,
        );
    }
    for image in &images {
        oci::write(&folder(image), &image.layers.iter().collect::<Vec<_>>(), &image.config)?;
    }
    Ok(images)
}

/// Makes the images known to the cluster of this name.
pub fn push(images: &[Image], cluster: &str, steps: &mut Steps) -> Result<()> {
    let layout = store::existing(cluster)?;
    steps.step(&format!("push to {cluster}"), || {
        for image in images {
            image.names.iter().try_for_each(|name| registry::push(&layout, &folder(image), name))?;
        }
        image_aliases::provide(&layout, images)
    })
}

/// Where the image lies: named by its first name, which no other image has.
pub fn folder(image: &Image) -> PathBuf {
    let name = image.names.first().map(|name| name.replace(['/', ':'], "_")).unwrap_or_default();
    built().join(name)
}

/// Writes an image that a cluster needs before anything else, and returns where.
pub fn write(image: &Image) -> Result<PathBuf> {
    oci::write(&folder(image), &image.layers.iter().collect::<Vec<_>>(), &image.config)?;
    Ok(folder(image))
}

fn built() -> PathBuf {
    paths::root().join("target/images")
}

/// The layer of this name in the cache folder, packed where it is missing: `fill` gets an empty root and a folder for scratch files.
fn cached(name: &str, fill: impl FnOnce(&Path, &Path) -> Result<()>) -> Result<Layer> {
    let folder = paths::cache()?.join("layers");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let lock = folder.join("lock");
    let file = File::create(&lock).with_context(|| format!("cannot write {}", lock.display()))?;
    file.lock().with_context(|| format!("cannot lock {}", lock.display()))?;
    let own = folder.join(name);
    if let Some(layer) = Layer::packed(&own) {
        return Ok(layer);
    }
    let scratch = folder.join(format!("{name}.scratch"));
    let layer = Layer::pack(&own, |root| fill(root, &scratch))?;
    let _ = fs::remove_dir_all(&scratch);
    Ok(layer)
}
