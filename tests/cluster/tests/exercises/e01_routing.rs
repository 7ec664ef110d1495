//! Request routing: the first rule that fits wins, a change of order acts at once and breaks nothing, and rules stay in their namespace.

use std::time::Duration;

use anyhow::Result;
use weft_cluster_tests::manifests::{TRAINING, TRAINING_V2, all};
use weft_cluster_tests::{Namespace, is_sentence};

use super::{HALF_OF_400, becomes, share};

const SUBSETS: &str = r#"
apiVersion: networking.istio.io/v1beta1
kind: DestinationRule
metadata: {name: name-destination-rule}
spec:
  host: name
  exportTo: ["."]
  subsets:
  - name: name-v1
    labels: {version: v1}
  - name: name-v2
    labels: {version: v2}
"#;

/// Unconditional rules: those after the first can never apply.
fn routes(subsets: &[&str]) -> String {
    let routes: String = subsets
        .iter()
        .map(|subset| format!("  - route:\n    - destination: {{host: name, subset: name-{subset}}}\n"))
        .collect();
    format!(
        "apiVersion: networking.istio.io/v1beta1\nkind: VirtualService\nmetadata: {{name: name-route}}\nspec:\n  \
         hosts: [name]\n  exportTo: [\".\"]\n  gateways: [mesh]\n  http:\n{routes}"
    )
}

#[test]
fn the_first_rule_wins_and_swapping_is_immediate() -> Result<()> {
    let namespace = Namespace::enrolled("e01")?;
    let elsewhere = Namespace::enrolled("e01-elsewhere")?;
    namespace.apply(&all(&[TRAINING, TRAINING_V2]))?;
    let (client, stranger) = (namespace.multitool()?, elsewhere.multitool()?);
    let sentences = namespace.node_port("sentences", 5000)?;
    let v2 = |count| share(&sentences, &[], count, "(v2)");
    assert!(HALF_OF_400.contains(&v2(400)), "Kubernetes divides among pods");

    // The destination rule alone changes nothing.
    namespace.apply(SUBSETS)?;
    std::thread::sleep(Duration::from_secs(2));
    assert!((0.35..=0.65).contains(&v2(200)));
    namespace.apply(&routes(&["v1"]))?;
    becomes(&sentences, &[], "(v2)", 0.0);
    assert_eq!(v2(100), 0.0);
    namespace.apply(&routes(&["v2", "v1"]))?;
    becomes(&sentences, &[], "(v2)", 1.0);
    assert_eq!(v2(100), 1.0);

    // The application hides what name answered, so one load asks name itself.
    let (direct, through) = (client.load("http://name:5000/", 50)?, sentences.load(10));
    namespace.apply(&routes(&["v1", "v2"]))?;
    becomes(&sentences, &[], "(v2)", 0.0);
    assert_eq!(v2(100), 0.0);
    namespace.apply(&routes(&["v2", "v1"]))?;
    becomes(&sentences, &[], "(v2)", 1.0);
    std::thread::sleep(Duration::from_secs(1));
    let (direct, through) = (direct.finish()?, through.finish());
    assert!(direct.results.len() >= 50, "{:?}", direct.summary());
    assert_eq!(direct.count(|response| response.status == 200), direct.results.len(), "{:?}", direct.summary());
    assert_eq!(through.count(|r| is_sentence(&r.text())), through.results.len(), "{:?}", through.bodies());

    // `exportTo: ["."]` keeps rule and subsets to clients of this namespace: others get the plain spread.
    let url = format!("http://name.{}:5000/", namespace.name());
    let answers = stranger.get_many(&url, &[], 200, 4)?;
    assert_eq!(answers.count(|response| response.status == 200), 200, "{:?}", answers.summary());
    let divided = answers.share_with("(v2)");
    assert!((0.38..=0.62).contains(&divided), "v2 got {divided} from a namespace without rules");
    elsewhere.passed()?;
    namespace.passed()
}
