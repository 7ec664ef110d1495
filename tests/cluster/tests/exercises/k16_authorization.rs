//! Authorization: first by network policy, which sees addresses and ports, then by the mesh, which knows callers, methods and paths.

use anyhow::{Result, ensure};
use weft_cluster_tests::manifests::{AUTHZ, STRICT, pinned};
use weft_cluster_tests::{APPLIES, Container, Namespace, PATIENCE, Pod, eventually, two_nodes};

const NETWORK_POLICY: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: allow-sentences-to-name}
spec:
  podSelector:
    matchLabels: {app: sentences, mode: name}
  policyTypes: [Ingress]
  ingress:
  - from:
    - podSelector:
        matchLabels: {app: sentences, mode: sentence}
    ports:
    - {port: 5000, protocol: TCP}
";
const AUTHORIZATION_POLICY: &str = "
apiVersion: security.istio.io/v1beta1
kind: AuthorizationPolicy
metadata: {name: allow-sentences-to-name}
spec:
  selector:
    matchLabels: {app: sentences, mode: name}
  action: ALLOW
  rules:
  - from:
    - source: {principals: [cluster.local/ns/$NS/sa/sentences]}
    to:
    - operation: {methods: [GET], paths: [/]}
";
const URLS: [&str; 3] = ["http://name:5000/", "http://name:5000/choices", "http://name:8000/metrics"];

/// Debug containers of the callers: age on the node of name, sentences on another one.
struct Rig {
    namespace: Namespace,
    age: Container,
    sentences: Container,
    name: Pod,
    /// Stands for the gateway: a client in the mesh that asks sentences, which is strict.
    client: Pod,
}

impl Rig {
    /// With `first` applied before the application.
    fn new(title: &str, first: &str) -> Result<Self> {
        let namespace = Namespace::enrolled(title)?;
        let [here, there] = two_nodes()?;
        namespace.apply(STRICT)?;
        if !first.is_empty() {
            namespace.apply(first)?;
        }
        let yaml = pinned(&pinned(AUTHZ, "mode: name", &here.name), "mode: age", &here.name);
        namespace.apply(&pinned(&yaml, "mode: sentence", &there.name))?;
        let client = namespace.multitool()?;
        let (age, sentences) = (namespace.pod("mode=age")?.debug()?, namespace.pod("mode=sentence")?.debug()?);
        let name = namespace.pod("mode=name")?;
        Ok(Self { namespace, age, sentences, name, client })
    }

    fn everything_is_open(&self) -> Result<()> {
        for caller in [&self.age, &self.sentences] {
            for url in URLS {
                let status = caller.status(url)?;
                ensure!(status == 200, "{url} from {}: {status}", caller.pod());
            }
        }
        Ok(())
    }

    fn the_loop_works(&self) -> Result<()> {
        self.client.get_many("http://sentences:5000/", &[], 100, 4)?.assert_sentences();
        Ok(())
    }
}

/// A network policy knows the pod by its own address and the original port, also below strict mTLS.
///
/// It is there before the application, as on the training edition's page: it is about new connections, and the mesh, as Istio, keeps
/// connections for the next request.
#[test]
fn a_network_policy_keeps_its_meaning() -> Result<()> {
    let rig = Rig::new("k16-network", NETWORK_POLICY)?;
    let timeout = |caller: &Container, url: &str| -> Result<()> {
        let answer = caller.curl(&["-m", "3", url])?;
        ensure!(
            answer.exit == 28 || (answer.exit == 0 && answer.status == 503),
            "{url} from {}: {answer:?}",
            caller.pod()
        );
        Ok(())
    };
    eventually(PATIENCE, || timeout(&rig.age, URLS[0]));
    for url in URLS {
        timeout(&rig.age, url)?;
    }
    timeout(&rig.sentences, URLS[2])?;
    for url in &URLS[..2] {
        assert_eq!(rig.sentences.status(url)?, 200, "{url} from sentences");
    }
    let wire = rig.name.debug()?.tcpdump("eth0", "tcp port 5000")?;
    rig.the_loop_works()?;
    let (packets, text) = wire.finish()?;
    assert!(packets > 100 && !text.contains("HTTP/1.1"), "{packets} packets, which have to be ciphertext:\n{text}");
    rig.namespace.delete(NETWORK_POLICY)?;
    eventually(PATIENCE, || rig.everything_is_open());
    rig.namespace.passed()
}

/// The mesh tells apart who asks, how, and for what; what no rule allows is denied on every port.
#[test]
fn an_authorization_policy_knows_callers() -> Result<()> {
    let rig = Rig::new("k16-policy", "")?;
    rig.everything_is_open()?;
    rig.the_loop_works()?;
    rig.namespace.apply(AUTHORIZATION_POLICY)?;
    let denied = |caller: &Container, args: &[&str]| -> Result<()> {
        let answer = caller.curl(args)?;
        let as_promised = (answer.exit, answer.status, &*answer.body) == (0, 403, "RBAC: access denied");
        ensure!(as_promised, "{args:?} from {}: {answer:?}", caller.pod());
        Ok(())
    };
    eventually(APPLIES, || denied(&rig.age, &["http://name:5000/"]));
    denied(&rig.age, &["http://name:5000/choices"])?;
    denied(&rig.sentences, &["http://name:5000/choices"])?;
    denied(&rig.sentences, &["-X", "POST", "http://name:5000/"])?;
    denied(&rig.client, &["http://name:5000/"])?;
    assert_eq!(rig.sentences.status("http://name:5000/")?, 200);
    for caller in [&rig.sentences, &rig.age] {
        let metrics = caller.curl(&["http://name:8000/metrics"])?;
        assert!(metrics.status == 403 || metrics.exit == 56, "metrics from {}: {metrics:?}", caller.pod());
    }
    rig.the_loop_works()?;
    eventually(APPLIES, || {
        let principal = format!("spiffe://cluster.local/ns/{}/sa/age", rig.namespace.name());
        let denials = [
            ("reporter", "destination"),
            ("response_code", "403"),
            ("source_principal", &*principal),
            ("connection_security_policy", "mutual_tls"),
        ];
        let counted = rig.client.mesh_page(&rig.name)?.requests(&denials);
        ensure!(counted >= 2.0, "{counted} denials of age");
        Ok(())
    });

    rig.namespace.delete(AUTHORIZATION_POLICY)?;
    eventually(APPLIES, || {
        let status = rig.age.status("http://name:5000/choices")?;
        ensure!(status == 200, "{status} after the policy went");
        Ok(())
    });
    rig.everything_is_open()?;
    rig.namespace.passed()
}
