//! `weft crds`: the CustomResourceDefinitions of the kinds that weft reads.

use super::output::{self, YamlOrJson};
use crate::discovery::crds;

/// Arguments of `weft crds`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Form of the definitions: a stream of YAML documents, or a list in JSON
    #[arg(short, long, value_enum, default_value = "yaml")]
    pub output: YamlOrJson,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let text = match args.output {
        YamlOrJson::Yaml => crds::yaml()?,
        YamlOrJson::Json => crds::json()?,
    };
    output::print(&text)
}
