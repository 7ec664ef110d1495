//! Blue/green deployments by labels: subsets of one Service, and what happens while nobody says what they are.

use std::time::Duration;

use anyhow::{Result, ensure};
use weft_testbed::{APPLIES, Cluster, Sentences, eventually, sentences_service};

const SUBSETS: &str = "
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata: {name: name-destination-rule}
spec:
  host: name
  subsets:
  - {name: name-v1, labels: {version: v1}}
  - {name: name-v2, labels: {version: v2}}
---
";

const BY_HEADER: &str = "
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: name-route}
spec:
  hosts: [name]
  gateways: [mesh]
  http:
  - match:
    - headers: {x-test: {exact: use-v2}}
    route:
    - destination: {host: name, subset: name-v2}
  - route:
    - destination: {host: name, subset: name-v1}
";

#[test]
fn subsets_split_a_service_and_a_missing_one_is_an_error_of_its_own() -> Result<()> {
    let cluster = Cluster::exercise("k02")?;
    let services = ["sentence", "age", "name"].map(|mode| sentences_service(mode, "default")).concat();
    let roles = ["sentence", "age"].map(|mode| Sentences::new(mode).yaml()).concat();
    let versions = ["v1", "v2"].map(|version| Sentences::new("name").version(version).yaml()).concat();
    let client = cluster.workload("multitool").start()?;
    cluster.start_exercise(&(services + &roles + &versions))?;
    let (url, outside) = (cluster.sentences_url()?, cluster.outside());
    let share = |headers: &[(&str, &str)], count: usize| {
        let answers = outside.get_many(&url, headers, count, 4);
        answers.assert_sentences();
        answers.share_with("(v2)")
    };
    let without_rule = share(&[], 400);
    assert!((0.417..=0.583).contains(&without_rule), "without a rule v2 got {without_rule}");

    cluster.apply(&(SUBSETS.to_owned() + BY_HEADER))?;
    eventually(APPLIES, || {
        let v2 = outside.get_many(&url, &[("x-test", "use-v2")], 10, 2).share_with("(v2)");
        ensure!(v2 == 1.0, "with the header v2 got {v2}");
        Ok(())
    });
    assert_eq!(share(&[("x-test", "use-v2")], 200), 1.0);
    assert_eq!(share(&[], 200), 0.0);
    for other in ["use-v22", "USE-V2"] {
        assert_eq!(share(&[("x-test", other)], 50), 0.0, "{other} is another value");
    }

    // The rule names subsets that nobody defines any more: name fails, age goes on.
    let age = client.load("http://age:5000/", &[], 20);
    cluster.delete("DestinationRule", "default", "name-destination-rule")?;
    eventually(APPLIES, || {
        let answer = client.get("http://name:5000/")?;
        ensure!(answer.status == 503, "name answers {} {}", answer.status, answer.text());
        Ok(())
    });
    let answers = client.get_many("http://name:5000/", &[], 50, 4);
    assert_eq!(answers.count(|response| response.status == 503), 50, "{:?}", answers.summary());
    eventually(APPLIES, || {
        let flagged = client.mesh_metrics()?.requests(&[
            ("reporter", "source"),
            ("response_code", "503"),
            ("response_flags", "NC"),
        ]);
        ensure!(flagged >= 50.0, "{flagged} requests with flag NC");
        Ok(())
    });
    // The application pastes what it gets, whatever its status: a sentence without a name.
    eventually(APPLIES, || {
        let text = outside.get(&url)?.text();
        ensure!(text.starts_with(" is ") && text.ends_with(" years"), "{text:?}");
        Ok(())
    });
    std::thread::sleep(Duration::from_secs(1));
    cluster.apply(SUBSETS)?;
    eventually(APPLIES, || {
        let answer = client.get("http://name:5000/")?;
        ensure!(answer.status == 200, "name answers {} {}", answer.status, answer.text());
        Ok(())
    });
    let age = age.finish();
    assert!(age.results.len() > 10, "{:?}", age.summary());
    assert_eq!(age.count(|response| response.status == 200), age.results.len(), "{:?}", age.summary());
    assert_eq!(client.get_many("http://name:5000/", &[], 50, 4).count(|response| response.status == 200), 50);
    Ok(())
}
