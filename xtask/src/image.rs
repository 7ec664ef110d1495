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

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use self::catalogue::Image;
use self::layer::Layer;
use crate::cluster::layout::Layout;
use crate::cluster::{image_aliases, kubectl, registry, store};
use crate::lock::{self, Lock};
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
        push(&images, &store::existing(cluster)?, steps)?;
    }
    eprint!("\n{}", steps.table());
    for name in images.images.iter().flat_map(|image| &image.names) {
        println!("{name}");
    }
    if args.push.is_none() {
        eprintln!("the images are below {}; --push CLUSTER makes them known to a cluster", built().display());
    }
    Ok(())
}

/// Images that were built, and the right to be the only one who changes them.
pub struct Built {
    images: Vec<Image>,
    weft: PathBuf,
    _alone: Lock,
}

/// Builds the images; `release` optimises.
pub fn build(what: What, release: bool, steps: &mut Steps) -> Result<Built> {
    let tools = setup::provide(Purpose::Cluster, steps)?;
    ebpf::build(&tools, steps)?;
    // Always together: built apart, each would have its dependencies compiled with other features.
    let programs = steps.step("weft and the demo application", || test::build_programs(release))?;
    steps.step("images", || {
        let alone = locked(&built())?;
        let mut images = Vec::new();
        if what != What::Apps {
            images.push(catalogue::weft(&built(), &programs.weft)?);
        }
        if what != What::Weft {
            images.extend(catalogue::applications(&built(), &programs.demo_app)?);
        }
        images.iter().try_for_each(write)?;
        Ok(Built { images, weft: programs.weft.clone(), _alone: alone })
    })
}

/// Makes the images known to a cluster.
pub fn push(built: &Built, layout: &Layout, steps: &mut Steps) -> Result<()> {
    steps.step(&format!("images to {}", layout.name), || {
        built.images.iter().try_for_each(|image| push_one(image, layout))?;
        kubectl::provide_program(layout, "weft", &built.weft)?;
        image_aliases::provide(layout, &built.images)
    })
}

/// Makes the images known without which no pod starts; `kube` is the Kubernetes binary.
pub fn push_base(kube: &Path, layout: &Layout) -> Result<()> {
    let _alone = locked(&base::folder()?)?;
    for image in base::provide(kube)? {
        write(&image)?;
        push_one(&image, layout)?;
    }
    Ok(())
}

fn push_one(image: &Image, layout: &Layout) -> Result<()> {
    image.names.iter().try_for_each(|name| registry::push(layout, &image.folder, name))
}

fn write(image: &Image) -> Result<()> {
    oci::write(&image.folder, &image.layers.iter().collect::<Vec<_>>(), &image.config)
}

fn built() -> PathBuf {
    paths::root().join("target/images")
}

/// Makes the folder and waits until nobody else works in it; the lock ends with the file.
fn locked(folder: &Path) -> Result<Lock> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    lock::take(&folder.join("lock"), "images")
}

/// The layer of this name in the cache folder, packed where it is missing: `fill` gets an empty root and a folder for scratch files.
fn cached(name: &str, fill: impl FnOnce(&Path, &Path) -> Result<()>) -> Result<Layer> {
    let folder = paths::cache()?.join("layers");
    let _alone = locked(&folder)?;
    let own = folder.join(name);
    if let Some(layer) = Layer::packed(&own) {
        return Ok(layer);
    }
    let scratch = folder.join(format!("{name}.scratch"));
    let layer = Layer::pack(&own, |root| fill(root, &scratch))?;
    let _ = fs::remove_dir_all(&scratch);
    Ok(layer)
}
