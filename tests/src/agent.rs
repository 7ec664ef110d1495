//! One `weft agent` process on one node: started, asked, stopped, killed.
//!
//! The agent runs in the node's network namespace with the cluster's folder of manifests, and answers HTTP on a Unix socket.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::mount::{MsFlags, mount};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

use crate::cleanup::BPF_DIR;
use crate::cluster::Cluster;
use crate::process::{CLUSTER_MARK, Process, Spec};
use crate::program;
use crate::state::Inner;
use weft_scenario::try_eventually;
use weft_scenario::{Response, read_response, write_request};

/// How long agents may take to be ready in [`Cluster::start_agents`].
const AGENT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an agent may drain after SIGTERM before [`Agent::stop`] kills it.
const STOP_GRACE: Duration = Duration::from_secs(30);
/// How long an admin request may take.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(10);

/// The agent of one node, whether it runs or not.
#[derive(Clone, Debug)]
pub struct Agent {
    inner: Arc<Inner>,
    node: String,
}

impl Agent {
    pub(crate) fn new(inner: &Arc<Inner>, node: &str) -> Self {
        Self { inner: Arc::clone(inner), node: node.to_owned() }
    }

    /// The name of its node.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Starts it; use [`Agent::ready`] to wait until it works.
    pub fn start(&self) -> Result<()> {
        let running = self.process().is_ok_and(|process| process.exit_status().is_none());
        ensure!(!running, "the agent of node {} runs already", self.node);
        self.spawn(&[]).map(drop)
    }

    /// Starts another one beside it, which is to take the node over, as an update of a DaemonSet does. From now on this
    /// handle means the new one; returns the old one's process.
    pub fn start_successor(&self) -> Result<Arc<Process>> {
        let before = self.process()?;
        self.spawn(&["--takeover"])?;
        Ok(before)
    }

    fn spawn(&self, more: &[&str]) -> Result<()> {
        mount_bpffs()?;
        let mut state = self.inner.lock();
        let dir = &self.inner.site.dir;
        let mut args: Vec<String> = ["agent", "--node", &self.node].map(str::to_owned).into();
        for (option, path) in [
            ("--manifests", dir.join("manifests")),
            ("--state-dir", dir.join("state")),
            ("--bpf-dir", Path::new(BPF_DIR).join(format!("{}-{}", self.inner.site.id, self.node))),
        ] {
            args.extend([option.to_owned(), path.display().to_string()]);
        }
        args.extend(state.agent_args.iter().cloned());
        args.extend(more.iter().map(|arg| (*arg).to_owned()));
        let log_level = std::env::var("RUST_LOG").unwrap_or_else(|_| "info".to_owned());
        let mut env =
            vec![(CLUSTER_MARK.to_owned(), self.inner.site.id.to_string()), ("RUST_LOG".to_owned(), log_level)];
        env.extend(state.agent_env.iter().cloned());
        let netns = state.node(&self.node)?.netns().clone();
        let program = state.agent_binary.clone().map_or_else(program::weft, Ok)?;
        let spec = Spec { program, args, env, keep_env: true, netns, files: None };
        let process = Process::spawn(&spec, &self.log_path())
            .with_context(|| format!("starting the agent of node {}", self.node))?;
        state.agents.insert(self.node.clone(), Arc::new(process));
        Ok(())
    }

    /// Waits until `GET /ready` says 200; fails early when the process has ended. Another agent of the node that
    /// still answers on the socket does not count.
    pub fn ready(&self, patience: Duration) -> Result<()> {
        let ready = try_eventually(patience, || {
            if let Some(status) = self.process()?.exit_status() {
                return Ok(Err(status));
            }
            ensure!(self.answers()?, "another process answers on {}", self.socket_path().display());
            let response = self.admin("/ready")?;
            ensure!(response.status == 200, "GET /ready: {} {}", response.status, response.text());
            Ok(Ok(()))
        });
        match ready {
            Ok(Ok(())) => Ok(()),
            Ok(Err(status)) => bail!("the agent of node {} has ended ({status}):\n{}", self.node, self.log_tail(20)),
            Err(error) => Err(error).with_context(|| {
                format!("the agent of node {} is not ready after {patience:?}:\n{}", self.node, self.log_tail(20))
            }),
        }
    }

    /// Whether it is this process that answers on the socket, or, for an agent that is a script, one that it started.
    fn answers(&self) -> Result<bool> {
        let stream = UnixStream::connect(self.socket_path())?;
        let listener = nix::sys::socket::getsockopt(&stream, nix::sys::socket::sockopt::PeerCredentials)?.pid();
        let own = self.pid()?.cast_signed();
        Ok(std::iter::successors(Some(listener), |pid| parent_of(*pid)).any(|pid| pid == own))
    }

    /// GET on its Unix socket.
    pub fn admin(&self, path: &str) -> Result<Response> {
        self.admin_request("GET", path, &[])
    }

    /// Any request on its Unix socket.
    pub fn admin_request(&self, method: &str, path: &str, body: &[u8]) -> Result<Response> {
        let socket = self.socket_path();
        let started = Instant::now();
        let mut stream = UnixStream::connect(&socket).with_context(|| format!("connecting to {}", socket.display()))?;
        stream.set_read_timeout(Some(ADMIN_TIMEOUT))?;
        write_request(&mut stream, method, path, "localhost", &[], body, false)?;
        let mut response = read_response(&mut stream, &mut Vec::new(), method)
            .with_context(|| format!("{method} {path} on {}", socket.display()))?;
        response.elapsed = started.elapsed();
        Ok(response)
    }

    /// SIGKILL. What it pinned and wrote stays.
    pub fn kill9(&self) -> Result<()> {
        self.process()?.kill();
        Ok(())
    }

    /// SIGTERM, and waits for the end; an agent that does not end in 30 s is killed, which is an error.
    pub fn stop(&self) -> Result<ExitStatus> {
        let status = self.process()?.stop(STOP_GRACE);
        status
            .with_context(|| format!("the agent of node {} did not end within {STOP_GRACE:?} after SIGTERM", self.node))
    }

    /// Stops it and starts it anew.
    pub fn restart(&self) -> Result<()> {
        self.stop()?;
        self.start()
    }

    /// Whether the process runs.
    pub fn is_running(&self) -> bool {
        self.process().is_ok_and(|process| process.exit_status().is_none())
    }

    /// Its process id.
    pub fn pid(&self) -> Result<u32> {
        Ok(self.process()?.pid())
    }

    /// Its resident memory in bytes (`VmRSS`).
    pub fn rss(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.pid()?);
        let status = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        Ok(kilobytes.with_context(|| format!("{path} has no VmRSS"))? * 1024)
    }

    /// The file it logs to; a restarted agent appends.
    pub fn log_path(&self) -> PathBuf {
        self.inner.site.dir.join("logs").join(format!("agent-{}.log", self.node))
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }

    /// The Unix socket it answers on.
    pub fn socket_path(&self) -> PathBuf {
        self.inner.site.dir.join("state").join(format!("{}.sock", self.node))
    }

    fn log_tail(&self, lines: usize) -> String {
        let log = self.log();
        let all: Vec<&str> = log.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// The process of the agent that this handle means.
    pub fn process(&self) -> Result<Arc<Process>> {
        let state = self.inner.lock();
        let process = state.agents.get(&self.node).cloned();
        process.with_context(|| format!("the agent of node {} was never started", self.node))
    }
}

/// The parent of a process; none has the first one.
fn parent_of(pid: i32) -> Option<i32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok().filter(|parent| *parent > 0)
}

impl Cluster {
    /// Runs this binary as `weft` for agents started from now on (an older version, for upgrades) instead of `WEFT_BIN`.
    pub fn agent_binary(&self, path: impl Into<PathBuf>) {
        self.inner.lock().agent_binary = Some(path.into());
    }

    /// Adds arguments for agents started from now on.
    pub fn agent_args(&self, args: &[&str]) {
        self.inner.lock().agent_args.extend(args.iter().map(|arg| (*arg).to_owned()));
    }

    /// Sets an environment variable for agents started from now on.
    pub fn agent_env(&self, name: &str, value: &str) {
        self.inner.lock().agent_env.push((name.to_owned(), value.to_owned()));
    }

    /// Starts the agent of every node and waits until all are ready.
    pub fn start_agents(&self) -> Result<()> {
        let agents: Vec<Agent> = self.nodes().iter().map(|node| Agent::new(&self.inner, node.name())).collect();
        agents.iter().try_for_each(Agent::start)?;
        agents.iter().try_for_each(|agent| agent.ready(AGENT_TIMEOUT))
    }

    /// The agent of the node called `node`.
    pub fn agent(&self, node: &str) -> Result<Agent> {
        self.node_named(node)?;
        Ok(Agent::new(&self.inner, node))
    }
}

/// Mounts the BPF file system where every distribution has it, if nobody did. It stays, as it would on a real node.
fn mount_bpffs() -> Result<()> {
    let path = "/sys/fs/bpf";
    if statfs(path).is_ok_and(|fs| fs.filesystem_type() == BPF_FS_MAGIC) {
        return Ok(());
    }
    mount(Some("bpf"), path, Some("bpf"), MsFlags::empty(), None::<&str>)
        .with_context(|| format!("mounting the BPF file system on {path}"))
}
