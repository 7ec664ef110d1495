//! A cluster whose `default` namespace is in the mesh, and what tests of the data path ask of it.

use std::fs;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use socket2::{Domain, Socket, Type};

use crate::agent::Agent;
use crate::cluster::Cluster;
use crate::netns::Netns;
use crate::pod::Pod;
use weft_scenario::try_eventually;

/// Nobody has this address (TEST-NET-1, RFC 5737); the agent answers there for captured pods.
const PROBE: &str = "192.0.2.1:15021";
/// How long a capture may take on a busy machine.
const CAPTURE_TIMEOUT: Duration = Duration::from_secs(20);

impl Cluster {
    /// Nodes `a` and `b` with running agents; `default` is enrolled (`istio-injection: enabled`).
    pub fn mesh(name: &str) -> Result<Self> {
        Self::mesh_with(name, &[])
    }

    /// The same, with more arguments for its agents.
    pub fn mesh_with(name: &str, args: &[&str]) -> Result<Self> {
        let cluster = Self::new(name)?.node("a")?.node("b")?;
        cluster.agent_args(args);
        cluster.enrol("default", true)?;
        cluster.start_agents()?;
        Ok(cluster)
    }

    /// Takes a namespace into the mesh, or out of it.
    pub fn enrol(&self, namespace: &str, enrolled: bool) -> Result<()> {
        let value = if enrolled { "enabled" } else { "disabled" };
        self.namespace(namespace, &[("istio-injection", value)])
    }

    /// The agent of the node that runs `pod`.
    pub fn agent_of(&self, pod: &Pod) -> Result<Agent> {
        self.agent(pod.node())
    }
}

impl Netns {
    /// Whether a connection from inside comes out at an agent right now.
    pub fn reaches_agent(&self) -> bool {
        matches!(self.run(ask_agent), Ok(Ok(true)))
    }
}

impl Pod {
    /// Whether a connection from inside the pod comes out at its agent right now.
    pub fn reaches_agent(&self) -> bool {
        self.netns().reaches_agent()
    }

    /// Waits until the pod is captured, or until it no longer is.
    pub fn wait_captured(&self, captured: bool) -> Result<()> {
        try_eventually(CAPTURE_TIMEOUT, || {
            ensure!(self.reaches_agent() == captured, "pod {} is captured: {}", self.name(), !captured);
            Ok(())
        })
    }
}

/// Asks from the calling thread's network namespace.
fn ask_agent() -> io::Result<bool> {
    let address: SocketAddr = PROBE.parse().map_err(io::Error::other)?;
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
        _ => {}
    }
    if socket.mark()? == 0 {
        // The connect hook left it alone: it would wait for nobody.
        return Ok(false);
    }
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut text = String::new();
    TcpStream::from(socket).read_to_string(&mut text)?;
    Ok(text.contains("captured"))
}

impl Agent {
    /// Open descriptors of the process.
    pub fn descriptors(&self) -> Result<usize> {
        let path = format!("/proc/{}/fd", self.pid()?);
        Ok(fs::read_dir(&path).with_context(|| format!("reading {path}"))?.count())
    }
}
