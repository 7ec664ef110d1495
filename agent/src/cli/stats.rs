//! `weft stats`: a pod's metrics as Prometheus reads them.

use super::{ask, client, mesh::Where, output, pod::Namespace};

/// Arguments of `weft stats`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The pod: name, pod/name or namespace/name
    pub pod: String,
    #[command(flatten)]
    namespace: Namespace,
    #[command(flatten)]
    mesh: Where,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let page = ask::block_on(async {
        let mesh = args.mesh.find().await?;
        let pod = mesh.pod(&args.pod, args.namespace.namespace.as_deref())?;
        mesh.ask_pods_agent(&pod, &client::page("/stats", [("pod", pod.as_str())])).await
    })?;
    output::print(&page.1)
}
