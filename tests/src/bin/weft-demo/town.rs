//! The cluster of the demo: two nodes, the sentences application, a client in the mesh and a stranger outside of it.
//!
//! Owns what the steps have in common: the pods, and the mesh's objects as files in the folder that both agents watch. The files are
//! written and changed as a person would, behind the testbed's back.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use weft_testbed::{Cluster, Pod, Program};

use crate::show::{Show, seconds};

/// The application, as published in `deploy/examples`.
const SENTENCES: &str = include_str!("../../../../deploy/examples/sentences/sentences.yaml");
/// How long pods may take to be ready.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a change of a file may take to act.
const FOLLOW: Duration = Duration::from_secs(5);
/// Port of the echo servers, which answer with what they received.
pub const ECHO: u16 = 7070;
/// Namespace that is not enrolled.
pub const OUTSIDE: &str = "outside";

/// Everything that steps ask or change.
pub struct Town {
    /// The emulated cluster.
    pub cluster: Cluster,
    /// A pod of the mesh to send requests from, on node a.
    pub client: Pod,
    /// The same outside of the mesh, on node a.
    pub stranger: Pod,
}

impl Town {
    /// Makes the cluster, then starts the agents under the running application.
    pub fn build(show: &mut Show) -> Result<(String, Self)> {
        let begun = Instant::now();
        let cluster = Cluster::new("demo")?.node("a")?.node("b")?;
        cluster.apply(SENTENCES).context("applying deploy/examples/sentences/sentences.yaml")?;
        let client = cluster.workload("client").node("a").start()?;
        let stranger = cluster.workload("stranger").namespace(OUTSIDE).node("a").start()?;
        for namespace in ["default", OUTSIDE] {
            cluster.service("echo").namespace(namespace).port(ECHO, ECHO).apply()?;
            let program = Program::Echo { port: ECHO };
            cluster.workload("echo").namespace(namespace).node("b").program(program).start()?;
        }
        cluster.wait_ready(PATIENCE)?;
        show.fact(
            "cluster",
            &format!("2 nodes, {} pods, ready after {}", cluster.pods().len(), seconds(begun.elapsed())),
        );
        for node in cluster.nodes() {
            let pods: Vec<String> = cluster.pods().iter().filter(|pod| pod.node() == node.name()).map(label).collect();
            show.fact(&format!("  node {}", node.name()), &pods.join(", "));
        }
        let town = Self { cluster, client, stranger };
        let seen = crate::start::agents(&town, show)?;
        Ok((seen, town))
    }

    /// The one pod of a Deployment in the namespace `default`.
    pub fn pod(&self, deployment: &str) -> Result<Pod> {
        let pod = self.cluster.pods_of("default", deployment).into_iter().next();
        pod.with_context(|| format!("Deployment {deployment} has no pod"))
    }

    /// The folder that the agents watch.
    pub fn manifests(&self) -> PathBuf {
        self.cluster.dir().join("manifests")
    }

    /// Writes a file into that folder, new or changed, in one piece; returns when.
    pub fn put(&self, name: &str, text: &str) -> Result<Instant> {
        let draft = self.cluster.dir().join("staging").join(name);
        std::fs::write(&draft, text).with_context(|| format!("writing {}", draft.display()))?;
        let written = Instant::now();
        std::fs::rename(&draft, self.manifests().join(name)).with_context(|| format!("publishing {name}"))?;
        Ok(written)
    }

    /// Removes a file from that folder.
    pub fn remove(&self, name: &str) -> Result<()> {
        std::fs::remove_file(self.manifests().join(name)).with_context(|| format!("removing {name}"))
    }
}

/// Repeats `check` until it says true and returns how long after `written` that was; an error after five seconds.
pub fn follows(written: Instant, what: &str, mut check: impl FnMut() -> bool) -> Result<Duration> {
    loop {
        let asked = written.elapsed();
        if check() {
            return Ok(asked);
        }
        ensure!(asked < FOLLOW, "{what}: still not so {} after the file was written", seconds(FOLLOW));
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A pod as the show names it: its Deployment, and its namespace when it is not `default`.
pub fn label(pod: &Pod) -> String {
    let mut words: Vec<&str> = pod.name().split('-').collect();
    // What a ReplicaSet adds: its hash and the pod's own suffix.
    words.truncate(words.len().saturating_sub(2).max(1));
    let name = words.join("-");
    if pod.namespace() == "default" { name } else { format!("{}/{name}", pod.namespace()) }
}
