//! What happens to traffic when parts of the mesh, of a node or of Kubernetes go and come.
//!
//! Each scenario disturbs the whole cluster, so they run one after the other ([`weft_cluster_tests::alone`]), after all others.

mod agent;
mod api_server;
mod churn;
mod control;
mod enrolment;
mod node;

use anyhow::{Result, ensure};
use weft_cluster_tests::manifests::{TRAINING, echo, pinned};
use weft_cluster_tests::{Answers, Namespace, NodePort, PATIENCE, Pod, eventually, is_sentence, two_nodes};

/// Requests a second, from outside; each makes two more inside.
const RATE: u32 = 50;

/// The sentences application over both nodes, a client in the mesh, and something that holds connections.
struct Town {
    namespace: Namespace,
    sentences: NodePort,
    client: Pod,
}

impl Town {
    /// In an enrolled namespace: sentences and age on the first node, name and the echo server on the second.
    fn enrolled(title: &str) -> Result<Self> {
        Self::build(Namespace::enrolled(title)?)
    }

    fn build(namespace: Namespace) -> Result<Self> {
        let [here, there] = two_nodes()?;
        let roles = pinned(&pinned(TRAINING, "mode: sentence", &here.name), "mode: age", &here.name);
        namespace.apply(&pinned(&roles, "mode: name", &there.name))?;
        namespace.apply(&pinned(&echo("lines"), "app: lines", &there.name))?;
        let client = namespace.multitool()?;
        let sentences = namespace.node_port("sentences", 5000)?;
        // Names of new Services may take a moment: the cluster's DNS learns of them like everybody else.
        eventually(PATIENCE, || {
            let answer = sentences.get()?;
            ensure!(answer.status == 200, "sentences answers {answer:?}");
            Ok(())
        });
        sentences.get_many(&[], 20).assert_sentences();
        Ok(Self { namespace, sentences, client })
    }

    /// Nobody in the town takes plain text but sentences, which strangers ask.
    fn strict_inside(&self) -> Result<()> {
        ["age", "name"].iter().try_for_each(|mode| self.namespace.apply(&strict_for(mode)))
    }
}

fn strict_for(mode: &str) -> String {
    format!(
        "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: {mode}}}
spec:
  selector:
    matchLabels: {{mode: {mode}}}
  mtls: {{mode: STRICT}}
"
    )
}

/// The figure of a scenario: how many requests, how many were not answered by a whole sentence, and what came instead.
fn figure(what: &str, answers: &Answers) -> usize {
    let whole = answers.count(|response| response.status == 200 && is_sentence(&response.text()));
    let failed = answers.results.len() - whole;
    println!(
        "figure: {what}: {failed} of {} requests failed in {:.0?}: {:?}",
        answers.results.len(),
        answers.elapsed,
        answers.summary()
    );
    failed
}
