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
    /// Does anything on this machine say where a cluster is?
    pub(super) fn is_known(&self) -> bool {
        let is_set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let usual = || is_set("HOME").is_some_and(|home| PathBuf::from(home).join(".kube/config").exists());
        self.kubeconfig.is_some() || self.context.is_some() || is_set("KUBECONFIG").is_some() || usual()
    }

    /// A client for it.
    ///
    /// # Errors
    /// When nothing says where it is.
    pub(super) async fn client(&self) -> anyhow::Result<kube::Client> {
        let server = ApiServer { kubeconfig: self.kubeconfig.clone(), context: self.context.clone() };
        Ok(server.client().await?)
    }
}
