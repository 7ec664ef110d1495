//! `weft stats`: a pod's metrics as Prometheus reads them.

use super::{
    StateDir, ask, client, output,
    pod::{self, Namespace},
};

/// Arguments of `weft stats`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The pod: name, pod/name or namespace/name
    pub pod: String,
    #[command(flatten)]
    namespace: Namespace,
    #[command(flatten)]
    state: StateDir,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let pod = pod::qualify(&args.pod, args.namespace.namespace.as_deref())?;
    let page = ask::block_on(async {
        let agents = client::agents(&args.state.state_dir)?;
        client::ask_pods_agent(&agents, &client::page("/stats", [("pod", pod.as_str())])).await
    })?;
    output::print(&page.1)
}
