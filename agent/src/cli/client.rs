//! HTTP to one agent (or replica of the control plane), over whatever leads there.

use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::transport::Transport;

/// How long an agent may take: it answers from memory.
const PATIENCE: Duration = Duration::from_secs(10);

/// Largest answer: a metrics page of a pod with all its label sets is some megabytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// One agent.
#[derive(Clone)]
pub(super) struct Agent {
    /// Its node.
    pub(super) node: String,
    /// The way to it.
    pub(super) transport: Transport,
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
        let answer = get(&self.transport, page).await;
        answer.with_context(|| format!("asking the agent of node {}", self.node))
    }
}

/// Asks for a page.
///
/// # Errors
/// When there is no answer in time.
pub(super) async fn get(to: &Transport, page: &str) -> anyhow::Result<Answer> {
    let asking = async {
        let stream = to.connect().await?;
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
        Ok(answer) => answer,
        Err(_elapsed) => bail!("no answer within {} seconds", PATIENCE.as_secs()),
    }
}

/// A page with its query.
pub(super) fn page<'a>(path: &str, parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    format!("{path}?{query}")
}
