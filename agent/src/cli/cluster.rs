//! Which cluster is meant, as kubectl is told.

use std::path::PathBuf;

use clap::Args;

use crate::kubernetes::ApiServer;

/// Which cluster.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Cluster")]
pub struct ClusterArgs {
    /// The kubeconfig [default: $KUBECONFIG, then ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The context in it [default: its current one]
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

impl ClusterArgs {
    /// A client for it.
    ///
    /// # Errors
    /// When nothing says where it is.
    pub(super) async fn client(&self) -> anyhow::Result<kube::Client> {
        let server = ApiServer { kubeconfig: self.kubeconfig.clone(), context: self.context.clone() };
        Ok(server.client().await?)
    }
}
