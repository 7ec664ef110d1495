//! Where the CNI plugin is, for `weft agent`, which installs it, and `weft cleanup`, which removes it.

use std::path::PathBuf;

use clap::Args;

use crate::{
    app::CniConfig,
    cni::install::{self, binary},
    kubernetes::SYSTEM_NAMESPACE,
};

/// Defaults of the arguments below: the folders are those of container runtimes. The socket is not called `.sock`, by
/// which agents are found.
const BIN_DIR: &str = "/opt/cni/bin";
const CONF_DIR: &str = "/etc/cni/net.d";
const SOCKET: &str = "/run/weft/cni.socket";
const STATE_FILE: &str = "/var/lib/weft/cni-state.json";

/// What the plugin consists of on the node. Every path is one on the node, and has to be the same in the agent's container:
/// the plugin runs outside of it.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "CNI plugin")]
pub struct CniFiles {
    /// Folder of the node's CNI plugins [default: /opt/cni/bin; none for an agent with --manifests]
    #[arg(long, value_name = "DIR", env = "WEFT_CNI_BIN_DIR")]
    pub cni_bin_dir: Option<PathBuf>,
    /// Folder of the node's network configurations [default: /etc/cni/net.d; none for an agent with --manifests]
    #[arg(long, value_name = "DIR", env = "WEFT_CNI_CONF_DIR")]
    pub cni_conf_dir: Option<PathBuf>,
    /// File, on a disk, with what the plugin knows when no agent answers [default: /var/lib/weft/cni-state.json]
    #[arg(long, value_name = "PATH", env = "WEFT_CNI_STATE_FILE")]
    pub cni_state_file: Option<PathBuf>,
}

/// What an agent does with it.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "CNI plugin")]
pub struct CniArgs {
    /// Its files.
    #[command(flatten)]
    pub files: CniFiles,
    /// Socket on which the plugin asks the agent [default: /run/weft/cni.socket; with --manifests none]
    #[arg(long, value_name = "PATH", env = "WEFT_CNI_SOCKET")]
    pub cni_socket: Option<PathBuf>,
    /// Leave the node's CNI alone: pods are captured as they are found, a moment after they have started
    #[arg(long, env = "WEFT_NO_CNI")]
    pub no_cni: bool,
}

impl CniArgs {
    /// What `app` takes: in a cluster all of it, else what was asked for.
    pub(super) fn config(self, is_cluster: bool) -> Option<CniConfig> {
        let or = |given: Option<PathBuf>, default: &str| given.or_else(|| is_cluster.then(|| default.into()));
        if self.no_cni {
            return None;
        }
        let CniFiles { cni_bin_dir, cni_conf_dir, cni_state_file } = self.files;
        Some(CniConfig {
            socket: or(self.cni_socket, SOCKET)?,
            state: cni_state_file.unwrap_or_else(|| STATE_FILE.into()),
            folders: or(cni_bin_dir, BIN_DIR).zip(or(cni_conf_dir, CONF_DIR)),
            agent_namespace: SYSTEM_NAMESPACE.to_owned(),
        })
    }
}

impl CniFiles {
    /// What an installer has left, or would have.
    pub(super) fn installed(&self) -> install::Config {
        let or = |given: &Option<PathBuf>, default: &str| given.clone().unwrap_or_else(|| default.into());
        install::Config {
            program: binary::SELF.into(),
            bin_dir: or(&self.cni_bin_dir, BIN_DIR),
            conf_dir: or(&self.cni_conf_dir, CONF_DIR),
            socket: SOCKET.into(),
            state: or(&self.cni_state_file, STATE_FILE),
            agent_namespace: SYSTEM_NAMESPACE.to_owned(),
        }
    }
}
