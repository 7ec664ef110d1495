//! What Kubernetes does to a mesh: everything that a cluster does with pods, Services and probes goes on as without one.

mod pods;
mod port_forward;
mod probes;
mod services;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weft_cluster_tests::Container;

/// What a server of `manifests::mirror` says about a request: its own `hostname`, the `peer_address` it sees, the `headers`.
fn ask(client: &Container, url: &str) -> Result<Value> {
    // A connection that was made before everybody knew the way is lost: another one is made.
    let answer = client.curl(&["-m", "2", url])?;
    ensure!((answer.exit, answer.status) == (0, 200), "{url} from {}: {answer:?}", client.pod());
    serde_json::from_str(&answer.body).with_context(|| format!("{url} answers {:?}", answer.body))
}

/// The name of the pod that answered.
fn who(client: &Container, url: &str) -> Result<String> {
    Ok(ask(client, url)?["hostname"].as_str().unwrap_or_default().to_owned())
}
