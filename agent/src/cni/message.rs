//! What the CNI plugin and the agent say to each other: one request and one answer on a unix socket, a line of JSON each.

use std::{
    io::{self, BufRead, Write},
    net::IpAddr,
    path::PathBuf,
    time::Duration,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Longest line; an address list and some names need far less.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// How long the agent holds a pod that is not proven to be captured. Then the plugin fails, the kubelet says why in an
/// event, and tries again: a pod is not held by one call for ever.
pub const HOLD: Duration = Duration::from_secs(20);

/// How long the plugin waits for the agent's answer: a little longer than the agent holds, and far below the two minutes
/// after which a kubelet gives up on its runtime (`runtimeRequestTimeout`).
pub const ANSWER: Duration = Duration::from_secs(25);

/// What the runtime does to a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Request {
    /// It has made a sandbox, and is about to start containers in it.
    Add(Sandbox),
    /// It asks whether all is as `Add` left it.
    Check(Sandbox),
    /// The sandbox is going.
    Delete(Sandbox),
}

/// A pod's sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sandbox {
    /// Namespace of the pod.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The kubelet's uid for it; empty when the runtime does not say.
    #[serde(default)]
    pub uid: String,
    /// The runtime's name for the sandbox.
    pub container: String,
    /// Its network namespace, as the runtime sees it; empty with [`Request::Delete`] when it is gone already.
    #[serde(default)]
    pub netns: PathBuf,
    /// Addresses that the plugins before have given it.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
}

/// What the plugin shall say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// The pod may start.
    Pass {
        /// Why, for the log.
        reason: String,
    },
    /// It may not, or not yet.
    Refuse {
        /// Why, for the pod's event.
        reason: String,
    },
}

/// Writes one line.
///
/// # Errors
/// The stream's.
pub fn write(mut to: impl Write, message: &impl Serialize) -> io::Result<()> {
    to.write_all(&line(message)?)?;
    to.flush()
}

/// Reads one line.
///
/// # Errors
/// The stream's, [`io::ErrorKind::UnexpectedEof`] when it ends before the line does, [`io::ErrorKind::InvalidData`] when
/// the line is something else.
pub fn read<T: DeserializeOwned>(from: impl BufRead) -> io::Result<T> {
    let mut text = Vec::new();
    from.take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut text)?;
    parse(&text)
}

/// A message as a line.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn line(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

/// Reads a line as it came, with its end.
///
/// # Errors
/// As [`read`].
pub fn parse<T: DeserializeOwned>(line: &[u8]) -> io::Result<T> {
    if line.last() != Some(&b'\n') {
        let what =
            if line.len() < LINE_BYTES_MAX { "the other side ended in the middle" } else { "a line is too long" };
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
    }
    serde_json::from_slice(line)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("not a message of this version: {error}")))
}

#[cfg(test)]
mod tests;
