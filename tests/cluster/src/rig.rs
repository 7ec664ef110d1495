//! What kubectl cannot do: pulling a node's plug, stopping the API server, asking the mesh's own command line.
//!
//! The rig is `cargo xtask cluster`; `WEFT_XTASK` names its program, `WEFT_CLUSTER` the cluster, and `WEFT_BIN` the `weft` of the same tree.

use std::env;
use std::ffi::OsString;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::command::{self, Output};
use crate::node::Node;

/// How long a node may take to be there again.
const REBOOT: Duration = Duration::from_secs(240);
/// How long a `weft` may take unless it waits for something.
const WEFT: Duration = Duration::from_secs(330);

/// Pulls the plug of a node and starts it again; returns when its processes run, which is before its pods do.
pub fn reboot(node: &Node) -> Result<()> {
    let number = node.name.strip_prefix("node-").context("the rig's nodes are called node-1, node-2 and so on")?;
    cluster(&["reboot-node", number])
}

/// The API server stopped, until [`start_api_server`] or until this is dropped.
#[derive(Debug)]
pub struct Stopped(());

/// Stops the API server; everything else goes on.
pub fn stop_api_server() -> Result<Stopped> {
    cluster(&["stop-apiserver"])?;
    Ok(Stopped(()))
}

/// Starts it again, and waits until it answers.
pub fn start_api_server(stopped: Stopped) -> Result<()> {
    std::mem::forget(stopped);
    cluster(&["start-apiserver"])
}

impl Drop for Stopped {
    fn drop(&mut self) {
        if let Err(error) = cluster(&["start-apiserver"]) {
            eprintln!("the API server stays stopped: {error:#}");
        }
    }
}

/// Runs the tree's own `weft` against the cluster, whatever comes of it.
pub fn weft(args: &[&str]) -> Result<Output> {
    command::run(&variable("WEFT_BIN")?, args, "", WEFT)
}

fn cluster(args: &[&str]) -> Result<()> {
    let name = variable("WEFT_CLUSTER")?.to_string_lossy().into_owned();
    let args = [&["cluster", "--name", &*name], args].concat();
    let output = command::run(&variable("WEFT_XTASK")?, &args, "", REBOOT)?;
    output.success("the rig").map(drop)
}

fn variable(name: &str) -> Result<OsString> {
    env::var_os(name).with_context(|| format!("this scenario needs {name}: run it by `cargo xtask test cluster`"))
}
