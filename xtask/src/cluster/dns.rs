//! Cluster DNS: CoreDNS is deployed, and has answered on every node before anybody relies on it.
//!
//! A node asks through its own kube-proxy, as its pods do, so an answer also says that Services work there.

use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::kubectl::Kubectl;
use super::layout::{API_SERVICE, DNS_SERVICE, Layout, Node};
use crate::run::Cmd;

const MANIFEST: &str = include_str!("manifests/coredns.yaml");

/// How long it may take: a CoreDNS that was up before the API server waits half a minute until it asks that again.
const TIMEOUT: Duration = Duration::from_secs(180);

/// How long one question waits for its answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// How often nodes are asked.
const POLL_INTERVAL: Duration = Duration::from_millis(300);

/// A name that every cluster has.
const NAME: &str = "kubernetes.default.svc.cluster.local";

/// Deploys CoreDNS and waits until every node gets answers.
pub fn provide(layout: &Layout) -> Result<()> {
    let manifest = layout.path("coredns.yaml");
    std::fs::write(&manifest, MANIFEST).with_context(|| format!("cannot write {}", manifest.display()))?;
    Kubectl::new(layout).args(["apply", "--filename"]).args([&manifest]).read()?;
    let started = Instant::now();
    for node in layout.all_nodes() {
        while let Err(error) = ask_from(node) {
            let hint = "`cargo xtask cluster kubectl -- -n kube-system get pods` shows CoreDNS";
            ensure!(started.elapsed() < TIMEOUT, "{} gets no answer from cluster DNS: {error:#}; {hint}", node.name());
            thread::sleep(POLL_INTERVAL);
        }
    }
    Ok(())
}

fn ask_from(node: Node<'_>) -> Result<()> {
    let xtask = std::env::current_exe().context("cannot find this executable")?;
    let netns = format!("--net=/run/netns/{}", node.netns());
    Cmd::new("nsenter").args([&netns]).args([xtask]).args(["cluster", "ask-dns"]).read().map(|_said| ())
}

/// Asks for the API server's Service; called inside a node's network.
pub fn ask() -> Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0").context("cannot open a socket")?;
    socket.set_read_timeout(Some(ANSWER_TIMEOUT)).context("cannot set a timeout")?;
    socket.connect((DNS_SERVICE, 53)).with_context(|| format!("no way to {DNS_SERVICE}"))?;
    socket.send(&question(NAME)).with_context(|| format!("cannot ask {DNS_SERVICE}"))?;
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer).with_context(|| format!("{DNS_SERVICE} does not answer"))?;
    let address: std::net::Ipv4Addr = API_SERVICE.parse().context("the API server's Service has no address")?;
    ensure!(ends_with_address(&answer[..length], address), "{DNS_SERVICE} does not know {NAME}");
    Ok(())
}

/// A question for the IPv4 address of a name (RFC 1035, section 4.1).
fn question(name: &str) -> Vec<u8> {
    // Number 1, recursion desired, one question.
    let mut message = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).unwrap_or(0));
        message.extend(label.as_bytes());
    }
    // The root, type A, class IN.
    message.extend([0, 0, 1, 0, 1]);
    message
}

/// Whether an answer without error ends with this address; an A record ends with it, and no other record was asked for.
fn ends_with_address(answer: &[u8], address: std::net::Ipv4Addr) -> bool {
    let is_success = answer.get(3).is_some_and(|flags| flags & 0x0f == 0);
    is_success && answer.ends_with(&address.octets())
}

#[cfg(test)]
mod tests;
