//! Blue/green deployments: Services choose the version by a header that the application passes on.

use anyhow::{Result, ensure};
use weft_cluster_tests::manifests::{V1, V2};
use weft_cluster_tests::{APPLIES, Namespace, eventually};

use super::{HALF_OF_400, becomes, share};

const BY_SERVICE: &str = "
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
    let namespace = Namespace::enrolled("k01")?;
    namespace.apply(V1)?;
    namespace.wait_rollout()?;
    let sentences = namespace.node_port("sentences", 5000)?;
    assert_eq!(share(&sentences, &[], 20, "(v2)"), 0.0, "there is no v2 yet");

    namespace.apply(V2)?;
    namespace.wait_rollout()?;
    eventually(APPLIES, || {
        ensure!(sentences.get_many(&[], 10).share_with("(v2)") > 0.0, "v2 has no request yet");
        Ok(())
    });
    let both = share(&sentences, &[], 400, "(v2)");
    assert!(HALF_OF_400.contains(&both), "without a rule v2 got {both}");

    namespace.apply(BY_SERVICE)?;
    becomes(&sentences, &[], "(v2)", 0.0);
    becomes(&sentences, &[("x-test", "use-v2")], "(v2)", 1.0);
    assert_eq!(share(&sentences, &[("x-test", "use-v2")], 200, "(v2)"), 1.0);
    assert_eq!(share(&sentences, &[], 200, "(v2)"), 0.0);
    for other in ["use-v22", "USE-V2"] {
        assert_eq!(share(&sentences, &[("x-test", other)], 50, "(v2)"), 0.0, "{other} is another value");
    }

    // The rule gone, Kubernetes divides as before.
    namespace.delete(BY_SERVICE)?;
    eventually(APPLIES, || {
        ensure!(sentences.get_many(&[], 10).share_with("(v2)") > 0.0, "the rule is still in force");
        Ok(())
    });
    namespace.passed()
}
