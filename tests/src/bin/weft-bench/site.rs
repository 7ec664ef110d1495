//! Two emulated nodes, empty, with what every world of the benchmark has: the mesh's settings, namespaces, logs.
//!
//! Worlds (`world`, `fan`, `growth`) are built on one of their own each.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::json;
use weft_testbed::Cluster;

/// The enrolled namespace.
pub const MESH: &str = "mesh";
/// How long everything may take to be as it should.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between looks.
const PAUSE: Duration = Duration::from_millis(100);
/// Lines of each log that belong to a failed load.
const ODD_ANSWERS_SHOWN: usize = 3;

/// A cluster of nodes `a` and `b`.
pub struct Site {
    /// The cluster.
    pub cluster: Cluster,
}

impl Site {
    /// Makes it; agents do not run yet.
    pub fn new(name: &str, access_log: bool) -> Result<Self> {
        let cluster = Cluster::new(name)?.node("a")?.node("b")?;
        // Says to the mesh whether it logs; the rest is as weft ships.
        let file = if access_log { "/dev/stdout" } else { "" };
        cluster.apply_objects(vec![json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "istio", "namespace": "istio-system"},
            "data": {"mesh": format!("accessLogFile: {file:?}\n")}})])?;
        cluster.namespace(MESH, &[("istio-injection", "enabled")])?;
        Ok(Self { cluster })
    }

    /// The processes of both agents.
    pub fn agents(&self) -> Result<Vec<u32>> {
        ["a", "b"].map(|node| self.cluster.agent(node).and_then(|agent| agent.pid())).into_iter().collect()
    }

    /// Repeats a proof until it succeeds.
    ///
    /// # Errors
    /// What is different, with the logs.
    pub fn prove(&self, what: &str, check: impl FnMut() -> Result<()>) -> Result<()> {
        patiently(check)
            .with_context(|| format!("{what} is not as it should be; the logs:\n{}", self.cluster.snapshot_of_logs()))
    }

    /// What the proxies' access logs say of the first requests that were not answered with 200, for messages.
    pub fn odd_answers(&self) -> Result<String> {
        let dir = self.cluster.dir().join("logs");
        let mut odd = String::new();
        for entry in fs::read_dir(&dir).with_context(|| format!("reading {}", dir.display()))? {
            let log = fs::read(entry?.path())?;
            let log = String::from_utf8_lossy(&log);
            let requests =
                log.lines().filter(|line| line.contains(" HTTP/1.1\" ") && !line.contains(" HTTP/1.1\" 200 "));
            requests.take(ODD_ANSWERS_SHOWN).for_each(|line| odd = format!("{odd}\n        {line}"));
        }
        Ok(odd)
    }

    /// Empties the logs of agents and proxies: an access log of a load would fill the disk.
    pub fn empty_logs(&self) -> Result<()> {
        let dir = self.cluster.dir().join("logs");
        for entry in fs::read_dir(&dir).with_context(|| format!("reading {}", dir.display()))? {
            // Whoever writes there appends, so the next line begins the file anew.
            fs::File::options().write(true).truncate(true).open(entry?.path())?;
        }
        Ok(())
    }
}

/// Repeats `check` until it succeeds.
///
/// # Errors
/// Its last one, when it does not.
pub fn patiently(mut check: impl FnMut() -> Result<()>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match check() {
            Err(_) if Instant::now() < deadline => std::thread::sleep(PAUSE),
            result => return result,
        }
    }
}
