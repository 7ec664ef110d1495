//! Canary deployment: a tenth of the requests first, then all of them, with a weight of zero for the old version.

use anyhow::{Result, ensure};
use weft_testbed::{APPLIES, Cluster, PATIENCE, Sentences, eventually, sentences_service};

/// Weights of v1 and v2 over the subsets of `name`.
fn weights(v1: u32, v2: u32) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata: {{name: name-destination-rule}}
spec:
  host: name
  subsets:
  - {{name: name-v1, labels: {{version: v1}}}}
  - {{name: name-v2, labels: {{version: v2}}}}
---
apiVersion: networking.istio.io/v1beta1
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

#[test]
fn a_tenth_first_then_all() -> Result<()> {
    let cluster = Cluster::exercise("k03")?;
    let services = ["sentence", "age", "name"].map(|mode| sentences_service(mode, "default")).concat();
    let roles = ["sentence", "age"].map(|mode| Sentences::new(mode).yaml()).concat();
    let v1 = Sentences::new("name").version("v1").yaml();
    // The rule is there before the version it sends a tenth to.
    cluster.start_exercise(&(services + &roles + &v1 + "---\n" + &weights(100, 0)))?;
    let (url, outside) = (cluster.sentences_url()?, cluster.outside());
    cluster.apply(&Sentences::new("name").version("v2").yaml())?;
    cluster.wait_captured(&["default"], PATIENCE)?;
    let before = outside.get_many(&url, &[], 50, 4);
    before.assert_sentences();
    assert_eq!(before.share_with("(v2)"), 0.0, "a weight of zero is no request");

    cluster.apply(&weights(90, 10))?;
    eventually(APPLIES, || {
        ensure!(outside.get_many(&url, &[], 20, 4).share_with("(v2)") > 0.0, "v2 has no request yet");
        Ok(())
    });
    let pods = [cluster.pods_of("default", "name-v1"), cluster.pods_of("default", "name-v2")].concat();
    let counted = || -> Result<(f64, f64)> {
        let (mut mesh, mut app) = (0.0, 0.0);
        for pod in &pods {
            mesh += pod.mesh_metrics()?.requests(&[("reporter", "destination"), ("response_code", "200")]);
            app += pod.app_metrics()?.sum("sentence_requests_total", &[("type", "name")]);
        }
        Ok((mesh, app))
    };
    let settled = || {
        eventually(APPLIES, || {
            let (mesh, app) = counted()?;
            ensure!(mesh == app, "the mesh counted {mesh} requests, the applications {app}");
            Ok(app)
        })
    };
    let start = settled();
    let answers = outside.get_many(&url, &[], 1000, 4);
    answers.assert_sentences();
    let v2 = answers.share_with("(v2)");
    assert!((0.069..=0.131).contains(&v2), "a tenth is {v2}");
    // One request to name for each sentence, no retry and none lost; mesh and application agree on that.
    assert_eq!(settled() - start, 1000.0);

    cluster.apply(&weights(0, 100))?;
    eventually(APPLIES, || {
        let v2 = outside.get_many(&url, &[], 20, 4).share_with("(v2)");
        ensure!(v2 == 1.0, "v2 got {v2}");
        Ok(())
    });
    let answers = outside.get_many(&url, &[], 300, 4);
    answers.assert_sentences();
    assert_eq!(answers.share_with("(v2)"), 1.0);
    Ok(())
}
