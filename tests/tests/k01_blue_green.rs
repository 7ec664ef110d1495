//! Blue/green deployments by Services: a header that the application passes on chooses the version.

use anyhow::{Result, ensure};
use weft_testbed::{APPLIES, Cluster, PATIENCE, Sentences, eventually, sentences_service};

/// `name` selects both versions; each version has a Service of its own. The port of `name-v2` has no name and no protocol.
const VERSION_SERVICES: &str = "
apiVersion: v1
kind: Service
metadata: {name: name-v1}
spec:
  selector: {app: sentences, mode: name, version: v1}
  ports: [{port: 5000, protocol: TCP, targetPort: 5000, appProtocol: http}]
---
apiVersion: v1
kind: Service
metadata: {name: name-v2}
spec:
  selector: {app: sentences, mode: name, version: v2}
  ports: [{port: 5000, protocol: TCP, targetPort: 5000}]
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
    - destination: {host: name-v2}
  - route:
    - destination: {host: name-v1}
";

#[test]
fn a_header_that_travels_chooses_the_version() -> Result<()> {
    let cluster = Cluster::exercise("k01")?;
    let services = ["sentence", "age", "name"].map(|mode| sentences_service(mode, "default")).concat();
    // The image's own server answers in HTTP/1.0 and closes.
    let http10 = |role: Sentences| role.env("SENTENCE_HTTP10", "true").yaml();
    let first = ["sentence", "age"].map(|mode| http10(Sentences::new(mode))).concat();
    let v1 = http10(Sentences::new("name").version("v1"));
    cluster.start_exercise(&(services + VERSION_SERVICES + &first + &v1))?;
    let (url, outside) = (cluster.sentences_url()?, cluster.outside());
    let share = |headers: &[(&str, &str)], count: usize| {
        let answers = outside.get_many(&url, headers, count, 4);
        answers.assert_sentences();
        answers.share_with("(v2)")
    };
    assert_eq!(share(&[], 20), 0.0, "there is no v2 yet");

    cluster.apply(&http10(Sentences::new("name").version("v2")))?;
    cluster.wait_captured(&["default"], PATIENCE)?;
    eventually(APPLIES, || {
        ensure!(outside.get(&url)?.text().contains("(v2)"), "v2 has no request yet");
        Ok(())
    });
    let both = share(&[], 400);
    assert!((0.417..=0.583).contains(&both), "without a rule v2 got {both}");

    cluster.apply(BY_HEADER)?;
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
    Ok(())
}
