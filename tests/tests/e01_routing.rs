//! Request routing: the first rule that fits wins, a change of order acts at once and breaks nothing, and rules stay in their namespace.

use std::time::Duration;

use anyhow::{Result, ensure};
use weft_testbed::{APPLIES, Cluster, PATIENCE, Sentences, eventually, is_sentence, sentences_service};

/// Two unconditional rules: the second can never apply.
fn rules(first: &str, second: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1beta1
kind: DestinationRule
metadata: {{name: name-dest-rule}}
spec:
  host: name
  exportTo: [\".\"]
  subsets:
  - {{name: name-v1, labels: {{version: v1}}}}
  - {{name: name-v2, labels: {{version: v2}}}}
---
apiVersion: networking.istio.io/v1beta1
kind: VirtualService
metadata: {{name: name-route}}
spec:
  hosts: [name]
  exportTo: [\".\"]
  gateways: [mesh]
  http:
  - route:
    - destination: {{host: name, subset: {first}}}
  - route:
    - destination: {{host: name, subset: {second}}}
"
    )
}

#[test]
fn the_first_rule_wins_and_swapping_is_immediate() -> Result<()> {
    let cluster = Cluster::exercise("e01")?;
    cluster.namespace("elsewhere", &[("istio-injection", "enabled")])?;
    let services = ["sentence", "age", "name"].map(|mode| sentences_service(mode, "default")).concat();
    let roles = ["sentence", "age"].map(|mode| Sentences::new(mode).yaml()).concat();
    let versions = ["v1", "v2"].map(|version| Sentences::new("name").version(version).yaml()).concat();
    let client = cluster.workload("multitool").start()?;
    let stranger = cluster.workload("multitool").namespace("elsewhere").start()?;
    cluster.start_exercise(&(services + &roles + &versions))?;
    cluster.wait_captured(&["elsewhere"], PATIENCE)?;
    let (url, outside) = (cluster.sentences_url()?, cluster.outside());
    let share = |count| {
        let answers = outside.get_many(&url, &[], count, 4);
        answers.assert_sentences();
        answers.share_with("(v2)")
    };
    let becomes = |wanted: f64| {
        eventually(APPLIES, || {
            let v2 = outside.get_many(&url, &[], 10, 2).share_with("(v2)");
            ensure!(v2 == wanted, "v2 got {v2}");
            Ok(())
        });
    };

    cluster.apply(&rules("name-v2", "name-v1"))?;
    becomes(1.0);
    assert_eq!(share(100), 1.0);

    // The application hides what name answered, so the load asks name itself, and sentences beside it.
    let (direct, sentences) = (client.load("http://name:5000/", &[], 50), outside.load(&url, &[], 10));
    cluster.apply(&rules("name-v1", "name-v2"))?;
    becomes(0.0);
    assert_eq!(share(100), 0.0);
    cluster.apply(&rules("name-v2", "name-v1"))?;
    becomes(1.0);
    std::thread::sleep(Duration::from_secs(1));
    let (direct, sentences) = (direct.finish(), sentences.finish());
    assert!(direct.results.len() >= 50, "{:?}", direct.summary());
    assert_eq!(direct.count(|response| response.status == 200), direct.results.len(), "{:?}", direct.summary());
    assert_eq!(sentences.count(|r| is_sentence(&r.text())), sentences.results.len(), "{:?}", sentences.bodies());

    // `exportTo: ["."]` keeps rule and subsets to clients of this namespace: others get the plain spread.
    let answers = stranger.get_many("http://name.default:5000/", &[], 200, 4);
    assert_eq!(answers.count(|response| response.status == 200), 200, "{:?}", answers.summary());
    let v2 = answers.share_with("(v2)");
    assert!((0.38..=0.62).contains(&v2), "v2 got {v2} from a namespace without rules");
    Ok(())
}
