//! Arguments that say which API server is meant.

use std::path::PathBuf;

use clap::Args;

use crate::kubernetes::ApiServer;

/// Which API server. Without any: `$KUBECONFIG`, then `~/.kube/config`, then the service account of the pod.
#[derive(Clone, Debug, Default, Args)]
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
