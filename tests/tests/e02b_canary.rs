//! Canary deployment with matches and weights together, weights left out, and a subset that vanishes before the rule that names it.

use anyhow::{Result, ensure};
use weft_testbed::{APPLIES, Cluster, Response, Sentences, eventually, sentences_service};

fn subsets(versions: &[&str]) -> String {
    let subsets: String = versions
        .iter()
        .map(|version| format!("  - {{name: name-{version}, labels: {{version: {version}}}}}\n"))
        .collect();
    format!(
        "apiVersion: networking.istio.io/v1beta1\nkind: DestinationRule\nmetadata: {{name: name-dest-rule}}\n\
         spec:\n  host: name\n  exportTo: [\".\"]\n  subsets:\n{subsets}---\n"
    )
}

/// A header leads to v3, all others share what `weighted` says.
fn routes(weighted: &str) -> String {
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
{weighted}"
    )
}

fn destination(version: &str, weight: Option<u32>) -> String {
    let weight = weight.map(|weight| format!("      weight: {weight}\n")).unwrap_or_default();
    format!("    - destination: {{host: name, subset: name-{version}}}\n{weight}")
}

fn is_ok(response: &Response) -> bool {
    response.status == 200
}

#[test]
fn matches_come_before_weights() -> Result<()> {
    let cluster = Cluster::exercise("e02b")?;
    let services = ["sentence", "age", "name"].map(|mode| sentences_service(mode, "default")).concat();
    let roles = ["sentence", "age"].map(|mode| Sentences::new(mode).yaml()).concat();
    let versions = ["v1", "v2", "v3"].map(|version| Sentences::new("name").version(version).yaml()).concat();
    let client = cluster.workload("multitool").start()?;
    cluster.start_exercise(&(services + &roles + &versions))?;
    let (url, outside) = (cluster.sentences_url()?, cluster.outside());
    let ninety_ten = routes(&(destination("v1", Some(90)) + &destination("v2", Some(10))));
    cluster.apply(&(subsets(&["v1", "v2", "v3"]) + &ninety_ten))?;
    eventually(APPLIES, || {
        let v3 = outside.get_many(&url, &[("x-test", "use-v3")], 10, 2).share_with("(v3)");
        ensure!(v3 == 1.0, "with the header v3 got {v3}");
        Ok(())
    });
    let chosen = outside.get_many(&url, &[("x-test", "use-v3")], 100, 4);
    chosen.assert_sentences();
    assert_eq!(chosen.share_with("(v3)"), 1.0);
    let others = outside.get_many(&url, &[], 1000, 4);
    others.assert_sentences();
    let (v2, v3) = (others.share_with("(v2)"), others.share_with("(v3)"));
    assert!((0.069..=0.131).contains(&v2) && v3 == 0.0, "a tenth is {v2}, none is {v3}");

    // The subset goes before the rule: what is sent there fails, and nothing else does.
    cluster.apply(&subsets(&["v1", "v2"]))?;
    let request = client.request("GET", "http://name:5000/").header("x-test", "use-v3");
    eventually(APPLIES, || {
        let answer = request.send()?;
        ensure!(answer.status == 503, "name answers {} {:?}", answer.status, answer.text());
        Ok(())
    });
    assert_eq!(request.send_many(30, 4).count(|response| response.status == 503), 30);
    let others = client.get_many("http://name:5000/", &[], 100, 4);
    assert_eq!(others.count(is_ok), 100, "{:?}", others.summary());
    eventually(APPLIES, || {
        let labels = [("reporter", "source"), ("response_code", "503"), ("response_flags", "NC")];
        let counted = client.mesh_metrics()?.requests(&labels);
        ensure!(counted >= 30.0, "{counted} requests with flag NC");
        Ok(())
    });
    cluster.apply(&subsets(&["v1", "v2", "v3"]))?;
    eventually(APPLIES, || {
        let answer = request.send()?;
        ensure!(answer.text().contains("(v3)"), "name answers {} {:?}", answer.status, answer.text());
        Ok(())
    });

    // A weight of 50 beside a missing one, which counts as zero, takes everything.
    cluster.apply(&routes(&(destination("v2", Some(50)) + &destination("v1", None))))?;
    eventually(APPLIES, || {
        let v2 = client.get_many("http://name:5000/", &[], 20, 2).share_with("(v2)");
        ensure!(v2 == 1.0, "v2 got {v2}");
        Ok(())
    });
    let answers = client.get_many("http://name:5000/", &[], 200, 4);
    assert_eq!(answers.share_with("(v2)"), 1.0, "{:?}", answers.bodies());
    Ok(())
}
