//! HTTP over the agents' unix sockets.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use crate::admin::{ON_ANOTHER_NODE, SOCKET_SUFFIX, socket_path};

/// How long an agent may take: it answers from memory.
const PATIENCE: Duration = Duration::from_secs(10);

/// Largest answer: a metrics page of a pod with all its label sets is some megabytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// One agent's socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Agent {
    /// Its node, as the socket's name says.
    pub(super) node: String,
    path: PathBuf,
}

/// What an agent said.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: String,
}

impl Agent {
    /// Asks for a page.
    pub(super) async fn get(&self, page: &str) -> anyhow::Result<Answer> {
        let asking = async {
            let stream = UnixStream::connect(&self.path).await.map_err(|error| self.unreachable(&error))?;
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            let driver = tokio::spawn(connection);
            let request = Request::get(page).header(header::HOST, "weft").body(Empty::<Bytes>::new())?;
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
            driver.abort();
            let body = body.map_err(|error| anyhow::anyhow!("reading the answer: {error}"))?.to_bytes();
            anyhow::Ok(Answer { status, body: String::from_utf8(body.to_vec())? })
        };
        match tokio::time::timeout(PATIENCE, asking).await {
            Ok(answer) => answer.with_context(|| format!("asking the agent of node {}", self.node)),
            Err(_elapsed) => {
                bail!("the agent of node {} did not answer within {} seconds", self.node, PATIENCE.as_secs())
            }
        }
    }

    fn unreachable(&self, error: &io::Error) -> anyhow::Error {
        let path = self.path.display();
        match error.kind() {
            io::ErrorKind::ConnectionRefused => anyhow::anyhow!(
                "nobody answers on {path}: the agent has ended without removing it; start it again, or run `weft cleanup`"
            ),
            io::ErrorKind::PermissionDenied => anyhow::anyhow!("not allowed to open {path}: be root"),
            _ => anyhow::anyhow!("cannot open {path}: {error}"),
        }
    }
}

/// All agents with a socket in the folder, by node.
///
/// # Errors
/// When there is none, or the folder cannot be read.
pub(super) fn agents(state_dir: &Path) -> anyhow::Result<Vec<Agent>> {
    let folder = state_dir.display();
    let none = || {
        anyhow::anyhow!(
            "no agent listens in {folder}: is `weft agent` running, and with this --state-dir (or WEFT_STATE_DIR)?"
        )
    };
    let entries = match fs::read_dir(state_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(none()),
        Err(error) => return Err(error).context(format!("cannot read {folder}")),
    };
    let mut agents: Vec<Agent> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let node = name.strip_suffix(SOCKET_SUFFIX)?.to_owned();
            Some(Agent { path: socket_path(state_dir, &node), node })
        })
        .collect();
    agents.sort_by(|a, b| a.node.cmp(&b.node));
    if agents.is_empty() { Err(none()) } else { Ok(agents) }
}

/// Asks each agent for a page about a pod until one has it; returns that agent and what it said.
///
/// # Errors
/// What the agents say about the pod when none has it, and who did not answer.
pub(super) async fn ask_pods_agent(agents: &[Agent], page: &str) -> anyhow::Result<(Agent, String)> {
    let mut refusals = Vec::new();
    let mut silent = Vec::new();
    for agent in agents {
        match agent.get(page).await {
            Ok(answer) if answer.status.is_success() => return Ok((agent.clone(), answer.body)),
            Ok(answer) => refusals.push(answer),
            Err(error) => silent.push(format!("{error:#}")),
        }
    }
    // An agent that knows where the pod is says more than one that does not know the pod.
    refusals.sort_by_key(|answer| answer.status != ON_ANOTHER_NODE);
    let said = refusals.first().map(|answer| answer.body.trim_end().to_owned());
    let elsewhere = refusals.first().is_some_and(|answer| answer.status == ON_ANOTHER_NODE);
    let hint = if elsewhere { Some("run this on that node, or name its --state-dir".to_owned()) } else { None };
    let parts: Vec<String> = said.into_iter().chain(hint).chain(silent).collect();
    bail!("{}", parts.join("; "))
}

/// A page with its query.
pub(super) fn page<'a>(path: &str, parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    format!("{path}?{query}")
}
