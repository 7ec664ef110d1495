//! `weft uninstall`: weft off a cluster.

use std::{process::ExitCode, time::Duration};

use super::{ApiServerArgs, ask};
use crate::install::{
    progress::Progress,
    uninstall::{self, Removal},
};

/// Arguments of `weft uninstall`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "What stays: CRDs of which objects exist (--purge removes both), and the namespace istio-system \
    while something else is in it.\n\
    Exit codes: 0 removed, 1 something is left that has to go (run it again to go on), 2 wrong usage."
)]
pub struct Args {
    /// Keep the certificate authority's keys, so that a later installation has the same root
    #[arg(long)]
    pub keep_ca: bool,
    /// Remove the CRDs with all objects of their kinds, also Istio's objects of yours
    #[arg(long)]
    pub purge: bool,
    /// Leave the nodes as they are; `weft cleanup --all` on each is then up to you
    #[arg(long)]
    pub skip_nodes: bool,
    /// How long it may take, in all
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub timeout: u32,
    #[command(flatten)]
    cluster: ApiServerArgs,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let removal = Removal {
        keep_ca: args.keep_ca,
        purge: args.purge,
        skip_nodes: args.skip_nodes,
        timeout: Duration::from_secs(args.timeout.into()),
    };
    ask::block_on(async {
        let client = args.cluster.client().await?;
        let mut progress = Progress::stdout();
        let remains = uninstall::uninstall(&client, &removal, &mut progress).await?;
        for kept in &remains.kept {
            progress.say(&format!("kept: {kept}"))?;
        }
        for undone in &remains.undone {
            eprintln!("weft: still to do: {undone}");
        }
        Ok(if remains.undone.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}
