//! What a person types: `weft <verb>`. One file per verb.
//!
//! `weft agent` is handed to `app`; `check` and `cleanup` look at this machine; the others ask running agents
//! ([`client`]) and print what they say. Reports go to standard output, complaints to standard error.

mod agent;
mod api_server;
mod ask;
mod ca;
mod check;
mod cleanup;
mod client;
mod cni;
mod config;
mod control;
mod crds;
mod describe;
mod explain;
mod hosts;
mod install;
mod log;
mod kube_inject;
mod logs;
mod mesh;
mod output;
mod pod;
mod stats;
mod status;
mod table;
mod transport;
mod uninstall;
mod version;

#[cfg(test)]
mod tests;

use std::{path::PathBuf, process::ExitCode};

pub use agent::{AccessLog, AgentArgs};
pub use api_server::ApiServerArgs;
use clap::{CommandFactory, Parser, Subcommand};
pub use log::LogArgs;

/// A service mesh without sidecars: one agent per node, captured by eBPF.
#[derive(Debug, Parser)]
#[command(name = "weft", version, max_term_width = 100, disable_help_subcommand = true)]
pub struct Cli {
    /// How the log is written.
    #[command(flatten)]
    pub log: LogArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Install weft on a cluster, or bring it to this version
    Install(install::Args),
    /// Remove weft from a cluster
    Uninstall(uninstall::Args),
    /// Run the agent of a node: capture its enrolled pods and be the proxy for all of them
    Agent(AgentArgs),
    /// Run the control plane: certificate authority, webhooks, what is written into the cluster
    Control(control::Args),
    /// Show the mesh's root certificates, or change the root
    #[command(subcommand)]
    Ca(ca::Command),
    /// Show the pods of each node, how they are captured, and what is wrong
    Status(status::Args),
    /// Show what would become of a request, and which rules decide
    Explain(explain::Args),
    /// Show everything that applies to a pod or Service
    Describe(describe::Args),
    /// Show what a pod's traffic is decided by: listeners, routes, clusters, endpoints
    Config(config::Args),
    /// Print a pod's access log
    Logs(logs::Args),
    /// Print a pod's metrics
    Stats(stats::Args),
    /// Print the names of Services as lines for /etc/hosts, where no cluster DNS answers
    Hosts(hosts::Args),
    /// Check what this machine offers, or a directory of manifests
    Check(check::Args),
    /// Print the CustomResourceDefinitions of the kinds that weft reads, for kubectl apply
    Crds(crds::Args),
    /// Remove what an agent that did not end properly left behind
    Cleanup(cleanup::Args),
    /// Answer a container runtime as its CNI plugin, as the copy called weft-cni does
    #[command(hide = true)]
    Cni,
    /// Print the versions of this command, the control plane and the agents
    Version(version::Args),
    /// Print manifests as they are: there is nothing to inject (for commands written for istioctl)
    KubeInject(kube_inject::Args),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Where agents listen.
#[derive(Clone, Debug, clap::Args)]
pub struct StateDir {
    /// Folder of the agents' sockets
    #[arg(long, value_name = "DIR", env = "WEFT_STATE_DIR", default_value = "/run/weft")]
    pub state_dir: PathBuf,
}

impl Command {
    /// Does it run for long, and log what happens?
    pub fn is_agent(&self) -> bool {
        matches!(self, Self::Agent(_) | Self::Control(_))
    }
}

/// Does what was asked.
///
/// # Errors
/// What went wrong, for a person to read.
pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Install(args) => return install::run(&args),
        Command::Uninstall(args) => return uninstall::run(&args),
        Command::Agent(args) => crate::app::run(args.config())?,
        Command::Control(args) => crate::control::run(args.config())?,
        Command::Ca(command) => ca::run(&command)?,
        Command::Status(args) => return status::run(&args),
        Command::Explain(args) => explain::run(&args)?,
        Command::Describe(args) => describe::run(&args)?,
        Command::Config(args) => config::run(&args)?,
        Command::Logs(args) => logs::run(&args)?,
        Command::Stats(args) => stats::run(&args)?,
        Command::Hosts(args) => hosts::run(&args)?,
        Command::Check(args) => return check::run(&args),
        Command::Crds(args) => crds::run(&args)?,
        Command::Cleanup(args) => return cleanup::run(&args),
        Command::Cni => return Ok(crate::cni::plugin::main()),
        Command::Version(args) => return version::run(&args),
        Command::KubeInject(args) => kube_inject::run(&args)?,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "weft", &mut script);
            output::print(&String::from_utf8_lossy(&script))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
