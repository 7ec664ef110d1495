//! Arguments that say which API server is meant.

use std::path::PathBuf;

use clap::Args;

use crate::kubernetes::ApiServer;

/// Which API server. Without any: `$KUBECONFIG`, then `~/.kube/config`, then the service account of the pod.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Cluster")]
pub struct ApiServerArgs {
    /// Kubeconfig of the API server [default: $KUBECONFIG, ~/.kube/config, or the pod's service account]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context in the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

impl From<ApiServerArgs> for ApiServer {
    fn from(args: ApiServerArgs) -> Self {
        Self { kubeconfig: args.kubeconfig, context: args.context }
    }
}

impl ApiServerArgs {
    /// A client for it.
    ///
    /// # Errors
    /// When nothing says where it is.
    pub(super) async fn client(&self) -> anyhow::Result<kube::Client> {
        Ok(ApiServer::from(self.clone()).client().await?)
    }

    /// Does anything on this machine say where a cluster is?
    pub(super) fn is_known(&self) -> bool {
        let is_set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let usual = || is_set("HOME").is_some_and(|home| PathBuf::from(home).join(".kube/config").exists());
        self.is_named() || is_set("KUBECONFIG").is_some() || usual()
    }

    /// Is a cluster named by an argument?
    pub(super) fn is_named(&self) -> bool {
        self.kubeconfig.is_some() || self.context.is_some()
    }
}
