//! Blue/green deployments by labels: subsets of one Service, and what happens while nobody says what they are.

use std::time::Duration;

use anyhow::{Result, ensure};
use weft_cluster_tests::manifests::{V1, V2, all};
use weft_cluster_tests::{APPLIES, Namespace, eventually, kubectl};

use super::{HALF_OF_400, becomes, share};

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
const BY_LABEL: &str = "
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
    let namespace = Namespace::enrolled("k02")?;
    namespace.apply(&all(&[V1, V2]))?;
    let client = namespace.multitool()?;
    let sentences = namespace.node_port("sentences", 5000)?;
    let without_rule = share(&sentences, &[], 400, "(v2)");
    assert!(HALF_OF_400.contains(&without_rule), "without a rule v2 got {without_rule}");

    namespace.apply(&all(&[SUBSETS, BY_LABEL]))?;
    becomes(&sentences, &[], "(v2)", 0.0);
    becomes(&sentences, &[("x-test", "use-v2")], "(v2)", 1.0);
    assert_eq!(share(&sentences, &[("x-test", "use-v2")], 200, "(v2)"), 1.0);
    assert_eq!(share(&sentences, &[], 200, "(v2)"), 0.0);
    for other in ["use-v22", "USE-V2"] {
        assert_eq!(share(&sentences, &[("x-test", other)], 50, "(v2)"), 0.0, "{other} is another value");
    }

    // The rule names subsets that nobody defines any more: name fails, age goes on.
    let age = client.load("http://age:5000/", 20)?;
    namespace.delete(SUBSETS)?;
    eventually(APPLIES, || {
        let status = client.status("http://name:5000/")?;
        ensure!(status == 503, "name answers {status}");
        Ok(())
    });
    let answers = client.get_many("http://name:5000/", &[], 50, 4)?;
    assert_eq!(answers.count(|response| response.status == 503), 50, "{:?}", answers.summary());
    eventually(APPLIES, || {
        let flagged = [("reporter", "source"), ("response_code", "503"), ("response_flags", "NC")];
        let counted = client.mesh_page(&client)?.requests(&flagged);
        ensure!(counted >= 50.0, "{counted} requests with flag NC");
        Ok(())
    });
    // The application pastes what it gets, whatever its status: a sentence without a name.
    let text = sentences.get()?.text();
    assert!(text.starts_with(" is ") && text.ends_with(" years"), "{text:?}");
    std::thread::sleep(Duration::from_secs(1));
    namespace.apply(SUBSETS)?;
    eventually(APPLIES, || {
        let status = client.status("http://name:5000/")?;
        ensure!(status == 200, "name answers {status}");
        Ok(())
    });
    let age = age.finish()?;
    assert!(age.results.len() > 20, "{:?}", age.summary());
    assert_eq!(age.count(|response| response.status == 200), age.results.len(), "{:?}", age.summary());
    namespace.passed()
}

/// `kubectl get gw,vs,dr,se` knows the short names and shows what the pages show.
#[test]
fn kubectl_knows_short_names_and_columns() -> Result<()> {
    let namespace = Namespace::enrolled("k02-columns")?;
    namespace.apply(&all(&[SUBSETS, BY_LABEL]))?;
    let said = kubectl(&["get", "gw,vs,dr,se", "--all-namespaces"])?;
    let line_with = |words: &[&str]| said.lines().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(line_with(&["NAMESPACE", "NAME", "GATEWAYS", "HOSTS", "AGE"]), "{said}");
    assert!(line_with(&[namespace.name(), "name-route", r#"["mesh"]"#, r#"["name"]"#]), "{said}");
    assert!(line_with(&["NAMESPACE", "NAME", "HOST", "AGE"]), "{said}");
    assert!(line_with(&[namespace.name(), "name-destination-rule", "name"]), "{said}");
    for short in ["vs", "dr", "gw", "se", "pa", "ap", "ra"] {
        namespace.kubectl(&["get", short])?;
    }
    // A field that nobody knows is refused, and the message names it.
    let said = namespace.apply_refused(&BY_LABEL.replace("subset: name-v1", "subsett: name-v1"))?;
    assert!(said.contains("subsett"), "{said}");
    namespace.passed()
}
