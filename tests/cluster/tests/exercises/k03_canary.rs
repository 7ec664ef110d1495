//! Canary deployment: a tenth of the requests first, then all of them, with a weight of zero for the old version.

use anyhow::{Result, ensure};
use weft_cluster_tests::manifests::{V1, V2, all};
use weft_cluster_tests::{APPLIES, Namespace, Pod, eventually};

use super::{TENTH_OF_1000, becomes, share};

const SUBSETS: &str = "
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata: {name: name-destination-rule}
spec:
  host: name
  subsets:
  - name: name-v1
    labels: {version: v1}
  - name: name-v2
    labels: {version: v2}
";

fn weights(v1: u32, v2: u32) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {{name: name-route}}
spec:
  hosts: [name]
  gateways: [mesh]
  http:
  - route:
    - destination: {{host: name, subset: name-v1}}
      weight: {v1}
    - destination: {{host: name, subset: name-v2}}
      weight: {v2}
"
    )
}

/// Requests from sentences that the mesh counted at all versions of name.
fn counted(client: &Pod, servers: &[Pod]) -> Result<f64> {
    let wanted = [("reporter", "destination"), ("response_code", "200"), ("source_workload", "sentences")];
    servers.iter().map(|pod| Ok(client.mesh_page(pod)?.requests(&wanted))).sum()
}

#[test]
fn a_tenth_first_then_all() -> Result<()> {
    let namespace = Namespace::enrolled("k03")?;
    // The rule is there before the version it sends a tenth to.
    namespace.apply(&all(&[V1, SUBSETS, &weights(100, 0)]))?;
    let client = namespace.multitool()?;
    let sentences = namespace.node_port("sentences", 5000)?;
    namespace.apply(V2)?;
    namespace.wait_rollout()?;
    assert_eq!(share(&sentences, &[], 50, "(v2)"), 0.0, "a weight of zero is no request");

    namespace.apply(&weights(90, 10))?;
    eventually(APPLIES, || {
        ensure!(sentences.get_many(&[], 20).share_with("(v2)") > 0.0, "v2 has no request yet");
        Ok(())
    });
    let servers = [namespace.pod("version=v1")?, namespace.pod("version=v2")?];
    let before = eventually(APPLIES, || {
        let (first, second) = (counted(&client, &servers)?, counted(&client, &servers)?);
        ensure!(first == second, "{first} requests became {second}");
        Ok(second)
    });
    let canary = share(&sentences, &[], 1000, "(v2)");
    assert!(TENTH_OF_1000.contains(&canary), "a tenth is {canary}");
    // One request to name for each sentence: none repeated, none lost.
    eventually(APPLIES, || {
        let requests = counted(&client, &servers)? - before;
        ensure!(requests == 1000.0, "{requests} requests at the servers of name for 1000 sentences");
        Ok(())
    });

    namespace.apply(&weights(0, 100))?;
    becomes(&sentences, &[], "(v2)", 1.0);
    assert_eq!(share(&sentences, &[], 300, "(v2)"), 1.0, "the page: 100 % v2");
    namespace.passed()
}
