//! `weft kube-inject`: prints its input. There is no container to inject; commands written for Istio go on working.

use std::{
    fs,
    io::{self, Read},
    path::PathBuf,
};

use anyhow::Context;

use super::output;

/// Arguments of `weft kube-inject`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The manifests; - is standard input
    #[arg(short, long, value_name = "FILE")]
    pub filename: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let mut text = String::new();
    if args.filename.as_os_str() == "-" {
        io::stdin().read_to_string(&mut text)?;
    } else {
        text =
            fs::read_to_string(&args.filename).with_context(|| format!("cannot read {}", args.filename.display()))?;
    }
    output::print(&text)
}
