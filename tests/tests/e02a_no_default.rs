//! Blue/green without a default route: what fits no rule is refused at the client's side, and only headers that travel can choose.

use anyhow::{Result, ensure};
use weft_testbed::{APPLIES, Cluster, Sentences, eventually, sentences_service};

fn rules(header: &str, default: &str) -> String {
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
  - match:
    - headers: {{{header}: {{exact: use-v2}}}}
    route:
    - destination: {{host: name, subset: name-v2}}
{default}"
    )
}

const DEFAULT: &str = "  - route:\n    - destination: {host: name, subset: name-v1}\n";

#[test]
fn what_fits_no_rule_is_refused_and_a_header_that_stays_behind_chooses_nothing() -> Result<()> {
    let cluster = Cluster::exercise("e02a")?;
    let services = ["sentence", "age", "name"].map(|mode| sentences_service(mode, "default")).concat();
    let roles = ["sentence", "age"].map(|mode| Sentences::new(mode).yaml()).concat();
    let versions = ["v1", "v2"].map(|version| Sentences::new("name").version(version).yaml()).concat();
    let client = cluster.workload("multitool").start()?;
    cluster.start_exercise(&(services + &roles + &versions))?;
    let (url, outside) = (cluster.sentences_url()?, cluster.outside());

    cluster.apply(&rules("x-test", ""))?;
    eventually(APPLIES, || {
        let answer = client.get("http://name:5000/")?;
        ensure!(answer.status == 404 && answer.body.is_empty(), "name answers {} {:?}", answer.status, answer.text());
        Ok(())
    });
    // The outer request is fine: the application ignores the status and pastes the empty body.
    let hidden = eventually(APPLIES, || {
        let answers = outside.get_many(&url, &[], 50, 4);
        let without_name =
            answers.count(|r| r.status == 200 && r.text().starts_with(" is ") && r.text().ends_with(" years"));
        ensure!(without_name == 50, "{:?} {:?}", answers.summary(), answers.bodies());
        Ok(answers)
    });
    assert_eq!(hidden.share_with("(v2)"), 0.0);
    let sentences = &cluster.pods_of("default", "sentences")[0];
    let unrouted = [
        ("reporter", "source"),
        ("source_workload", "sentences"),
        ("response_code", "404"),
        ("response_flags", "NR"),
        // What a graph draws as the red edge to `name:5000`: the request's host, and nobody who got it.
        ("destination_service", "name:5000"),
        ("destination_service_name", "name:5000"),
        ("destination_workload", "unknown"),
    ];
    eventually(APPLIES, || {
        let counted = sentences.mesh_metrics()?.requests(&unrouted);
        ensure!(counted >= 50.0, "{counted} requests without a route");
        Ok(())
    });
    let chosen = outside.get_many(&url, &[("x-test", "use-v2")], 100, 4);
    chosen.assert_sentences();
    assert_eq!(chosen.share_with("(v2)"), 1.0);

    // Now a header that the application does not pass on, and a default.
    cluster.apply(&rules("x-version", DEFAULT))?;
    eventually(APPLIES, || {
        let answer = client.request("GET", "http://name:5000/").header("x-version", "use-v2").send()?;
        ensure!(answer.text().contains("(v2)"), "name answers {} {:?}", answer.status, answer.text());
        Ok(())
    });
    eventually(APPLIES, || {
        let text = outside.get(&url)?.text();
        ensure!(!text.starts_with(" is "), "{text:?}");
        Ok(())
    });
    let left_behind = outside.get_many(&url, &[("x-version", "use-v2")], 100, 4);
    left_behind.assert_sentences();
    assert_eq!(left_behind.share_with("(v2)"), 0.0);
    Ok(())
}
