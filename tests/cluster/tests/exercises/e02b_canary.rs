//! Canary deployment with matches and weights together, weights left out, and a subset that vanishes before the rule that names it.

use anyhow::{Result, ensure};
use weft_cluster_tests::manifests::{TRAINING, TRAINING_V2, TRAINING_V3, all};
use weft_cluster_tests::{APPLIES, Namespace, NodePort, Pod, eventually};

use super::{TENTH_OF_1000, becomes, share};

fn subsets(versions: &[&str]) -> String {
    let subsets: String =
        versions.iter().map(|v| format!("  - name: name-{v}\n    labels: {{version: {v}}}\n")).collect();
    format!(
        "apiVersion: networking.istio.io/v1beta1\nkind: DestinationRule\nmetadata: {{name: name-destination-rule}}\n\
         spec:\n  host: name\n  exportTo: [\".\"]\n  subsets:\n{subsets}"
    )
}

/// A header leads to v3, all others share what the rest says.
fn routes(rest: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1beta1
kind: VirtualService
metadata: {{name: name-route}}
spec:
  hosts: [name]
  exportTo: [\".\"]
  gateways: [mesh]
  http:
  - match:
    - headers: {{x-test: {{exact: use-v3}}}}
    route:
    - destination: {{host: name, subset: name-v3}}
  - route:
{rest}"
    )
}

fn destination(version: &str, weight: Option<u32>) -> String {
    let weight = weight.map(|weight| format!("      weight: {weight}\n")).unwrap_or_default();
    format!("    - destination: {{host: name, subset: name-{version}}}\n{weight}")
}

#[test]
fn matches_come_before_weights() -> Result<()> {
    let namespace = Namespace::enrolled("e02b")?;
    namespace.apply(&all(&[TRAINING, TRAINING_V2, TRAINING_V3]))?;
    let client = namespace.multitool()?;
    let sentences = namespace.node_port("sentences", 5000)?;
    let ninety_ten = routes(&(destination("v1", Some(90)) + &destination("v2", Some(10))));
    namespace.apply(&all(&[&subsets(&["v1", "v2", "v3"]), &ninety_ten]))?;
    becomes(&sentences, &[("x-test", "use-v3")], "(v3)", 1.0);
    becomes(&sentences, &[], "(v3)", 0.0);
    assert_eq!(share(&sentences, &[("x-test", "use-v3")], 100, "(v3)"), 1.0);
    let others = sentences.get_many(&[], 1000);
    others.assert_sentences();
    let (v2, v3) = (others.share_with("(v2)"), others.share_with("(v3)"));
    assert!(TENTH_OF_1000.contains(&v2) && v3 == 0.0, "a tenth is {v2}, none is {v3}");

    a_subset_goes_before_its_rule(&namespace, &client)?;

    // A weight of 50 beside a missing one, which counts as zero, takes everything.
    namespace.apply(&routes(&(destination("v2", Some(50)) + &destination("v1", None))))?;
    becomes(&sentences, &[], "(v2)", 1.0);
    assert_eq!(share(&sentences, &[], 200, "(v2)"), 1.0);

    promote(&namespace, &sentences)?;
    namespace.passed()
}

/// What is sent to a subset that nobody defines fails, and nothing else does.
fn a_subset_goes_before_its_rule(namespace: &Namespace, client: &Pod) -> Result<()> {
    let to_v3 = ["-H", "x-test: use-v3", "http://name:5000/"];
    namespace.apply(&subsets(&["v1", "v2"]))?;
    eventually(APPLIES, || {
        let answer = client.curl(&to_v3)?;
        ensure!(answer.status == 503, "name answers {answer:?}");
        Ok(())
    });
    let refused = client.curls(&to_v3, 30, 4)?;
    assert!(refused.iter().all(|answer| answer.status == 503), "{refused:?}");
    let others = client.get_many("http://name:5000/", &[], 100, 4)?;
    assert_eq!(others.count(|response| response.status == 200), 100, "{:?}", others.summary());
    eventually(APPLIES, || {
        let labels = [("reporter", "source"), ("response_code", "503"), ("response_flags", "NC")];
        let counted = client.mesh_page(client)?.requests(&labels);
        ensure!(counted >= 30.0, "{counted} requests with flag NC");
        Ok(())
    });
    namespace.apply(&subsets(&["v1", "v2", "v3"]))?;
    eventually(APPLIES, || {
        let answer = client.curl(&to_v3)?;
        ensure!(answer.body.contains("(v3)"), "name answers {answer:?}");
        Ok(())
    });
    Ok(())
}

/// The page's last steps: rule and subset without v1, then its Deployment goes.
fn promote(namespace: &Namespace, sentences: &NodePort) -> Result<()> {
    namespace.apply(&routes(&destination("v2", Some(100))))?;
    becomes(sentences, &[], "(v2)", 1.0);
    namespace.apply(&subsets(&["v2", "v3"]))?;
    let load = sentences.load(20);
    namespace.kubectl(&["delete", "deployment", "name-v1"])?;
    assert_eq!(share(sentences, &[], 100, "(v2)"), 1.0);
    let answers = load.finish();
    answers.assert_sentences();
    Ok(())
}
