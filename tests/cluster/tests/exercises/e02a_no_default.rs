//! Blue/green without a default route: what fits no rule is refused at the client's side, and only headers that travel can choose.

use anyhow::{Result, ensure};
use weft_cluster_tests::manifests::{TRAINING, TRAINING_V2, all};
use weft_cluster_tests::{APPLIES, Namespace, eventually};

use super::{becomes, share};

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
const DEFAULT: &str = "  - route:\n    - destination: {host: name, subset: name-v1}\n";

fn rule(header: &str, default: &str) -> String {
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
    - headers: {{{header}: {{exact: use-v2}}}}
    route:
    - destination: {{host: name, subset: name-v2}}
{default}"
    )
}

#[test]
fn what_fits_no_rule_is_refused_and_a_header_that_stays_behind_chooses_nothing() -> Result<()> {
    let namespace = Namespace::enrolled("e02a")?;
    namespace.apply(&all(&[TRAINING, TRAINING_V2]))?;
    let client = namespace.multitool()?;
    let sentences = namespace.node_port("sentences", 5000)?;
    namespace.apply(&all(&[SUBSETS, &rule("x-test", "")]))?;
    eventually(APPLIES, || {
        let answer = client.curl(&["http://name:5000/"])?;
        ensure!((answer.status, &*answer.body) == (404, ""), "name answers {answer:?}");
        Ok(())
    });
    // The outer request is fine: the application ignores the status and pastes the empty body.
    eventually(APPLIES, || {
        let answers = sentences.get_many(&[], 50);
        let nameless = |text: &str| text.starts_with(" is ") && text.ends_with(" years.");
        let count = answers.count(|response| response.status == 200 && nameless(&response.text()));
        ensure!(count == 50, "{:?} {:?}", answers.summary(), answers.bodies());
        Ok(())
    });
    let asking = namespace.pod("mode=sentence")?;
    eventually(APPLIES, || {
        // What a graph draws as the red edge to `name:5000`: the request's host, and nobody who got it.
        let unrouted = [
            ("reporter", "source"),
            ("source_workload", "sentences-v1"),
            ("response_code", "404"),
            ("response_flags", "NR"),
            ("destination_service", "name:5000"),
            ("destination_service_name", "name:5000"),
            ("destination_workload", "unknown"),
        ];
        let counted = client.mesh_page(&asking)?.requests(&unrouted);
        ensure!(counted >= 50.0, "{counted} requests without a route");
        Ok(())
    });
    assert_eq!(share(&sentences, &[("x-test", "use-v2")], 100, "(v2)"), 1.0);

    // The page's repair: a default route.
    namespace.apply(&rule("x-test", DEFAULT))?;
    eventually(APPLIES, || {
        let text = sentences.get()?.text();
        ensure!(!text.starts_with(" is "), "{text:?}");
        Ok(())
    });
    becomes(&sentences, &[], "(v2)", 0.0);
    assert_eq!(share(&sentences, &[], 100, "(v2)"), 0.0);

    // A header that the application does not pass on chooses at the first hop only.
    namespace.apply(&rule("x-version", DEFAULT))?;
    eventually(APPLIES, || {
        let answer = client.curl(&["-H", "x-version: use-v2", "http://name:5000/"])?;
        ensure!(answer.body.contains("(v2)"), "name answers {answer:?}");
        Ok(())
    });
    becomes(&sentences, &[("x-test", "use-v2")], "(v2)", 0.0);
    assert_eq!(share(&sentences, &[("x-version", "use-v2")], 100, "(v2)"), 0.0);
    namespace.passed()
}
