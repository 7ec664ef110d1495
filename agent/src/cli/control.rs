//! Arguments of `weft control`.

use std::{net::SocketAddr, time::Duration};

use super::ApiServerArgs;
use crate::{
    control::{self, accounts::TrustedAccounts, ca::rotation::Timing},
    identity::ca_protocol::TOKEN_AUDIENCE,
    kubernetes::ApiServer,
};

/// Arguments of `weft control`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the API server is.
    #[command(flatten)]
    pub cluster: ApiServerArgs,
    /// Name of this replica, which no other may have: its pod's
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    pub name: String,
    /// Where certificates are signed (gRPC over TLS)
    #[arg(long, value_name = "IP:PORT", default_value = "[::]:15012")]
    pub ca_listen: SocketAddr,
    /// Where the API server calls webhooks (HTTPS)
    #[arg(long, value_name = "IP:PORT", default_value = "[::]:15017")]
    pub webhook_listen: SocketAddr,
    /// Where probes, Prometheus and Kiali are answered (HTTP)
    #[arg(long, value_name = "IP:PORT", default_value = "[::]:15014")]
    pub http_listen: SocketAddr,
    /// More DNS names for the certificate of these two, beside istiod.istio-system.svc and the like
    #[arg(long, value_name = "NAME,...", env = "WEFT_SERVER_NAMES", value_delimiter = ',')]
    pub server_names: Vec<String>,
    /// Service accounts of the nodes' agents, which may ask for the identities of their node's pods
    #[arg(
        long,
        value_name = "NAMESPACE/NAME,...",
        env = "CA_TRUSTED_NODE_ACCOUNTS",
        default_value = "istio-system/weft-agent"
    )]
    pub trusted_node_accounts: TrustedAccounts,
    /// Audiences of the tokens that are accepted
    #[arg(long, value_name = "NAME,...", env = "TOKEN_AUDIENCES", value_delimiter = ',', default_value = TOKEN_AUDIENCE)]
    pub token_audiences: Vec<String>,
    /// Port at which agents say which roots they trust
    #[arg(long, value_name = "PORT", default_value_t = 15021)]
    pub agent_port: u16,
    /// How long a new root is trusted before it signs
    #[arg(long, value_name = "SECONDS", default_value_t = seconds(Timing::default().spread))]
    pub root_spread_seconds: u64,
    /// How long an old root is trusted after it signed last; less than the certificates' life breaks connections
    #[arg(long, value_name = "SECONDS", default_value_t = seconds(Timing::default().retire))]
    pub root_retire_seconds: u64,
}

fn seconds(time: Duration) -> u64 {
    time.as_secs()
}

impl Args {
    /// What `control` takes.
    pub fn config(self) -> control::Config {
        control::Config {
            api: ApiServer { kubeconfig: self.cluster.kubeconfig, context: self.cluster.context },
            name: self.name,
            ca_address: self.ca_listen,
            webhook_address: self.webhook_listen,
            http_address: self.http_listen,
            server_names: self.server_names,
            accounts: self.trusted_node_accounts,
            agent_port: self.agent_port,
            audiences: self.token_audiences,
            rotation: Timing {
                spread: Duration::from_secs(self.root_spread_seconds),
                retire: Duration::from_secs(self.root_retire_seconds),
            },
        }
    }
}
