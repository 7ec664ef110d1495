//! Whether pods are in the mesh, seen from inside: a connection to an address that no host has is answered by an agent, or by nobody.

use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::cluster::Cluster;
use crate::manifest::text;
use crate::pod::Pod;
use weft_scenario::connect;
use weft_scenario::try_eventually;

/// Where an agent answers its pods, in TEST-NET-1 (RFC 5737), and what it says.
const PROBE: ([u8; 4], u16) = ([192, 0, 2, 1], 15021);
const ANSWER: &str = "captured by weft\n";
/// How long the answer may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

impl Pod {
    /// Fails, with what happened instead, when the pod's connections do not come out at an agent.
    pub fn is_captured(&self) -> Result<()> {
        let answer = self.netns().run(|| -> Result<String> {
            let mut stream = connect(SocketAddr::from(PROBE), PROBE_TIMEOUT)?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        });
        let answer = answer?.with_context(|| format!("pod {}/{} is not captured", self.namespace(), self.name()))?;
        ensure!(answer == ANSWER, "somebody else answered pod {}: {answer:?}", self.name());
        Ok(())
    }
}

impl Cluster {
    /// Waits until all pods are ready, and those of the enrolled `namespaces` captured unless they have opted out.
    pub fn wait_captured(&self, namespaces: &[&str], patience: Duration) -> Result<()> {
        self.wait_ready(patience)?;
        for pod in self.pods().iter().filter(|pod| namespaces.contains(&pod.namespace())) {
            let object = pod.object()?;
            let opted_out = ["annotations", "labels"]
                .iter()
                .any(|field| text(&object, &format!("/metadata/{field}/sidecar.istio.io~1inject")) == "false");
            if !opted_out {
                try_eventually(patience, || pod.is_captured())
                    .with_context(|| format!("after {patience:?}\n{}", self.snapshot_of_logs()))?;
            }
        }
        Ok(())
    }
}
