//! The few questions that the stand-ins have for the API server: HTTP/1.0 over the Unix socket of `kubectl proxy`.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::cluster::layout::Layout;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Where `kubectl proxy` listens.
pub fn socket(layout: &Layout) -> PathBuf {
    layout.path("api.sock")
}

/// The API server as the administrator sees it.
pub struct Api {
    socket: PathBuf,
}

impl Api {
    /// Of this cluster.
    pub fn new(layout: &Layout) -> Self {
        Self { socket: socket(layout) }
    }

    /// The objects of a list; they may be a moment old, which spares etcd.
    pub fn list(&self, path: &str) -> Result<Vec<Value>> {
        let mut list = self.ask("GET", &format!("{path}?resourceVersion=0"), "", "")?;
        match list["items"].take() {
            Value::Array(items) => Ok(items),
            _ => Ok(Vec::new()),
        }
    }

    /// Changes an object by a JSON merge patch.
    pub fn patch(&self, path: &str, patch: &Value) -> Result<()> {
        self.ask("PATCH", path, "application/merge-patch+json", &patch.to_string()).map(|_object| ())
    }

    fn ask(&self, method: &str, path: &str, content_type: &str, body: &str) -> Result<Value> {
        let what = || format!("{method} {path}");
        let mut stream = UnixStream::connect(&self.socket)
            .with_context(|| format!("no kubectl proxy on {}", self.socket.display()))?;
        stream.set_read_timeout(Some(TIMEOUT)).with_context(what)?;
        // Version 1.0: the answer is not in chunks and ends with the connection.
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: localhost\r\nAccept: application/json\r\nContent-Type: {content_type}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).with_context(what)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).with_context(what)?;
        let (status, body) = split(&answer).with_context(|| format!("{}: no HTTP answer", what()))?;
        ensure!(status == 200, "{}: the API server says {status}: {}", what(), String::from_utf8_lossy(body).trim());
        serde_json::from_slice(body).with_context(|| format!("{}: the answer is no JSON", what()))
    }
}

/// Status and body of an answer.
fn split(answer: &[u8]) -> Option<(u16, &[u8])> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, &answer[end + 4..]))
}

#[cfg(test)]
mod tests;
