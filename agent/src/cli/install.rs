//! `weft install`: weft onto a cluster.

use std::{process::ExitCode, time::Duration};

use super::{
    ApiServerArgs, ask,
    output::{self, YamlOrJson},
};
use crate::install::{self, Setup, manifests, options::Options, progress::Progress};

/// Arguments of `weft install`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The namespace is always istio-system: Istio's tools and Kiali look for a control plane there.\n\
    Exit codes: 0 installed and ready, 1 not installed or not ready in time (run it again to go on), 2 wrong usage."
)]
pub struct Args {
    #[command(flatten)]
    objects: Objects,
    /// Print what would be applied, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Form in which it is printed; implies --dry-run
    #[arg(short, long, value_enum)]
    pub output: Option<YamlOrJson>,
    /// Take over objects and fields that belong to others, such as an Istio that was not removed
    #[arg(long)]
    pub force: bool,
    /// Do not wait until everything is ready
    #[arg(long)]
    pub no_wait: bool,
    /// How long to wait, in all
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub timeout: u32,
    #[command(flatten)]
    cluster: ApiServerArgs,
}

/// What may be chosen about the objects.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Objects")]
struct Objects {
    /// Image of agents and control plane [default: ghcr.io/weft-mesh/weft with this version's tag]
    #[arg(long, value_name = "IMAGE", env = "WEFT_IMAGE")]
    image: Option<String>,
    /// When the image is pulled [default: IfNotPresent]
    #[arg(long, value_name = "POLICY", value_parser = ["Always", "IfNotPresent", "Never"])]
    image_pull_policy: Option<String>,
    /// What agents and control plane log: a level, or filters [default: info]
    #[arg(long, value_name = "FILTER")]
    mesh_log_level: Option<String>,
    /// Replicas of the control plane [default: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    control_replicas: Option<u16>,
    /// The nodes' folder of CNI configurations [default: /etc/cni/net.d]
    #[arg(long, value_name = "DIR")]
    cni_conf_dir: Option<String>,
    /// The nodes' folder of CNI plugins [default: /opt/cni/bin]
    #[arg(long, value_name = "DIR")]
    cni_bin_dir: Option<String>,
}

impl Objects {
    fn options(&self) -> Options {
        Options {
            image: self.image.clone(),
            image_pull_policy: self.image_pull_policy.clone(),
            log_level: self.mesh_log_level.clone(),
            control_replicas: self.control_replicas,
            cni_conf_dir: self.cni_conf_dir.clone(),
            cni_bin_dir: self.cni_bin_dir.clone(),
        }
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let options = args.objects.options();
    if args.dry_run || args.output.is_some() {
        output::print(&print(&options, args.output.unwrap_or(YamlOrJson::Yaml))?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let setup =
        Setup { options, force: args.force, wait: !args.no_wait, timeout: Duration::from_secs(args.timeout.into()) };
    ask::block_on(async {
        let client = args.cluster.client().await?;
        let mut progress = Progress::stdout();
        install::install(&client, &setup, &mut progress).await?;
        progress
            .say("\nNext: kubectl label namespace default istio-injection=enabled   (its running pods join, too)")?;
        progress.say("      weft status")?;
        Ok(ExitCode::SUCCESS)
    })
}

/// All objects, as they would be applied.
pub(super) fn print(options: &Options, form: YamlOrJson) -> anyhow::Result<String> {
    let objects: Vec<_> = manifests::manifests(options)?.into_iter().map(|manifest| manifest.object).collect();
    match form {
        YamlOrJson::Yaml => {
            let documents = objects.iter().map(serde_yaml_ng::to_string).collect::<Result<Vec<_>, _>>()?;
            Ok(documents.join("---\n"))
        }
        YamlOrJson::Json => {
            let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects});
            form.data(&list)
        }
    }
}
