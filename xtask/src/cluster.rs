//! `cargo xtask cluster`: a real Kubernetes on this machine, with nodes in namespaces of their own.
//!
//! Owns the command line; one file per noun below `cluster/`. Several clusters live beside each other, told apart by name.

mod cgroup;
mod control_plane;
mod crowd;
mod crowd_costs;
mod dns;
pub mod down;
pub mod image_aliases;
pub mod kube;
pub mod kubectl;
pub mod layout;
mod network;
mod node;
mod node_files;
mod node_init;
mod pki;
mod process;
pub mod registry;
mod stand_ins;
mod status;
pub mod store;
pub mod up;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Subcommand;

use self::layout::Layout;
use crate::run::Steps;
use crate::setup;

/// The clusters of this machine.
#[derive(clap::Args)]
pub struct Args {
    /// Which cluster: several can run beside each other.
    #[arg(long, global = true, default_value = "weft")]
    name: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a cluster, or make whole what there is of one; the first time ever builds Kubernetes (about ten minutes).
    Up(up::Args),
    /// Take the cluster away with everything that belongs to it.
    Down,
    /// Pull a node's plug and start it again; its disk stays.
    RebootNode {
        /// The node's number, counted from 1.
        node: u8,
    },
    /// Stop the API server alone, to see what runs without it.
    StopApiserver,
    /// Start the API server that `stop-apiserver` stopped.
    StartApiserver,
    /// Fill the cluster with pods that nobody runs, to see what a big cluster costs weft; `down` is the way back.
    Crowd {
        /// How many, up to 60000.
        pods: usize,
    },
    /// Show what runs, what it costs and where its logs are.
    Status,
    /// Start a shell in which `kubectl` means this cluster, and `weft` the program in its image.
    Shell,
    /// Print the path of the kubeconfig.
    Kubeconfig,
    /// Run kubectl against the cluster.
    Kubectl {
        /// kubectl's own arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    #[command(hide = true)]
    NodeLaunch { folder: PathBuf, node: u8 },
    #[command(hide = true)]
    NodeInit { folder: PathBuf, node: u8 },
    #[command(hide = true)]
    AskDns,
    #[command(hide = true)]
    StandIns { folder: PathBuf },
}

/// The task.
pub fn run(args: &Args, steps: &mut Steps) -> Result<()> {
    ensure!(
        setup::is_root(),
        "nodes are namespaces, which need root: `sudo -E env PATH=\"$PATH\" cargo xtask cluster ...`"
    );
    let name = args.name.as_str();
    match &args.command {
        Command::Up(args) => {
            let layout = up::run(name, args, steps)?;
            eprintln!("\n{}", steps.table());
            print!("{}", status::page(&layout)?);
        }
        Command::Down => {
            down::run(name)?;
            eprintln!("cluster {name} is gone");
        }
        Command::RebootNode { node } => reboot(name, *node, steps)?,
        Command::StopApiserver => control_plane::stop_api_server(&store::existing(name)?)?,
        Command::StartApiserver => control_plane::provide(&store::existing(name)?)?,
        Command::Crowd { pods } => crowd::run(&store::existing(name)?, *pods, steps)?,
        Command::Kubeconfig => println!("{}", store::existing(name)?.kubeconfig().display()),
        Command::Status => print!("{}", status::page(&store::existing(name)?)?),
        Command::Shell => shell(&store::existing(name)?)?,
        Command::Kubectl { args } => kubectl::become_program(&store::existing(name)?, "kubectl".as_ref(), args)?,
        Command::AskDns => dns::ask()?,
        Command::StandIns { folder } => stand_ins::run(&store::open(folder)?)?,
        Command::NodeLaunch { folder, node } => node::launch(&store::open(folder)?, *node)?,
        Command::NodeInit { folder, node } => node_init::run(&store::open(folder)?, *node)?,
    }
    Ok(())
}

fn reboot(name: &str, number: u8, steps: &mut Steps) -> Result<()> {
    let _claim = store::claim(name)?;
    let layout = store::existing(name)?;
    ensure!((1..=layout.nodes).contains(&number), "{name} has the nodes 1 to {}, not {number}", layout.nodes);
    let node = layout.node(number);
    steps.step(&format!("{} stops", node.name()), || node::remove(node))?;
    steps.step(&format!("{} starts", node.name()), || {
        node::provide(node)?;
        network::provide_routes(&layout)
    })?;
    steps.step(&format!("{} ready", node.name()), || up::wait_for(&[node]))
}

fn shell(layout: &Layout) -> Result<()> {
    eprintln!("kubectl and weft are for cluster {}; `exit` leads back", layout.name);
    let shell = std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
    kubectl::become_program(layout, &shell, &[])
}
