//! Authorization: first by network policy, which sees addresses and ports, then by the mesh, which knows callers, methods and paths.

use std::time::Duration;

use anyhow::{Result, ensure};
use weft_testbed::{APPLIES, Cluster, FailureKind, PATIENCE, Pod, Program, Sentences, eventually, sentences_service};

const STRICT: &str = "apiVersion: security.istio.io/v1beta1\nkind: PeerAuthentication\nmetadata: {name: default}\nspec: {mtls: {mode: STRICT}}\n---\n";

const NETWORK_POLICY: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: name}
spec:
  podSelector: {matchLabels: {mode: name}}
  policyTypes: [Ingress]
  ingress:
  - from:
    - podSelector: {matchLabels: {mode: sentence}}
    ports:
    - {protocol: TCP, port: 5000}
";

const AUTHORIZATION_POLICY: &str = "
apiVersion: security.istio.io/v1beta1
kind: AuthorizationPolicy
metadata: {name: name}
spec:
  selector:
    matchLabels: {app: sentences, mode: name}
  action: ALLOW
  rules:
  - from:
    - source: {principals: [cluster.local/ns/default/sa/sentences]}
    to:
    - operation: {methods: [GET], paths: [/]}
";

/// Longer than any answer takes, shorter than the mesh tries to connect.
const SHORT: Duration = Duration::from_secs(2);

struct Rig {
    cluster: Cluster,
    /// Stands for the gateway: a client in the mesh whose requests the loop sends.
    loop_: Pod,
    sentences: Pod,
    age: Pod,
    name: Pod,
}

/// The exercise's application with three accounts; callers on node a, `name` on `node`. Ports `api` and `metrics` are not declared.
fn rig(title: &str, node: &str) -> Result<Rig> {
    let cluster = Cluster::exercise(title)?;
    let roles = [("sentence", "sentences", "a"), ("age", "age", "a"), ("name", "name", node)];
    let deployments =
        roles.map(|(mode, account, node)| Sentences::new(mode).account(account).node(node).yaml()).concat();
    let services = ["sentence", "age", "name"].map(|mode| sentences_service(mode, "default")).concat();
    let services = services.replace(", appProtocol: http", "");
    let loop_ = cluster.workload("multitool").node("b").start()?;
    cluster.start_exercise(&(deployments + &services + STRICT))?;
    let pod = |deployment: &str| cluster.pods_of("default", deployment).remove(0);
    let (sentences, age, name) = (pod("sentences"), pod("age"), pod("name"));
    Ok(Rig { cluster, loop_, sentences, age, name })
}

/// Status and body, or how it failed.
fn ask(from: &Pod, method: &str, url: &str) -> Result<(u16, String), FailureKind> {
    let answer = from.request(method, url).timeout(SHORT).send();
    answer.map(|response| (response.status, response.text())).map_err(|failure| failure.kind)
}

fn status(from: &Pod, method: &str, url: &str) -> Result<u16, FailureKind> {
    ask(from, method, url).map(|(status, _)| status)
}

impl Rig {
    fn everything_is_open(&self) -> Result<()> {
        for caller in [&self.age, &self.sentences] {
            for url in ["http://name:5000/", "http://name:5000/choices", "http://name:8000/metrics"] {
                let status = status(caller, "GET", url);
                ensure!(status == Ok(200), "{} from {}: {status:?}", url, caller.name());
            }
        }
        Ok(())
    }

    fn loop_works(&self) {
        self.loop_.get_many("http://sentences:5000/", &[], 100, 4).assert_sentences();
    }
}

/// A network policy knows the pod by its own address and the original port, also below strict mTLS.
///
/// It is about new connections, here as with most network plugins, and the mesh keeps connections for the next request: so nobody
/// asks before the policy is there.
fn network_policy(title: &str, node: &str) -> Result<()> {
    let rig = rig(title, node)?;
    let wire = rig.name.capture("eth0", 5000)?;
    rig.cluster.apply(NETWORK_POLICY)?;
    for url in ["http://name:5000/", "http://name:5000/choices", "http://name:8000/metrics"] {
        assert_eq!(status(&rig.age, "GET", url), Err(FailureKind::Timeout), "{url} from age");
    }
    assert_eq!(status(&rig.sentences, "GET", "http://name:8000/metrics"), Err(FailureKind::Timeout));
    for url in ["http://name:5000/", "http://name:5000/choices"] {
        assert_eq!(status(&rig.sentences, "GET", url), Ok(200), "{url} from sentences");
    }
    rig.loop_works();
    // What the policy let through was encrypted.
    assert!(wire.payloads().len() > 100 && !wire.contains("HTTP/1.1"), "{} packets", wire.packets().len());
    rig.cluster.delete("NetworkPolicy", "default", "name")?;
    eventually(PATIENCE, || rig.everything_is_open());
    Ok(())
}

#[test]
fn a_network_policy_keeps_its_meaning_on_one_node() -> Result<()> {
    network_policy("k16-network-one", "a")
}

#[test]
fn a_network_policy_keeps_its_meaning_across_nodes() -> Result<()> {
    network_policy("k16-network-two", "b")
}

/// The mesh tells apart who asks, how, and for what; what no rule allows is denied on every port.
fn authorization_policy(title: &str, node: &str) -> Result<()> {
    let rig = rig(title, node)?;
    eventually(PATIENCE, || rig.everything_is_open());
    rig.loop_works();
    let lo = rig.name.capture("lo", 5000)?;
    rig.cluster.apply(AUTHORIZATION_POLICY)?;
    let denied = Ok((403, "RBAC: access denied".to_owned()));
    eventually(APPLIES, || {
        let answer = ask(&rig.age, "GET", "http://name:5000/");
        ensure!(answer == denied, "{answer:?}");
        Ok(())
    });
    lo.clear();
    assert_eq!(ask(&rig.sentences, "GET", "http://name:5000/choices"), denied);
    assert_eq!(ask(&rig.sentences, "POST", "http://name:5000/"), denied);
    for path in ["/choices", "//", "/%2e%2e/", "/?a=/"] {
        let answer = ask(&rig.age, "GET", &format!("http://name:5000{path}"));
        assert_eq!(answer, denied, "{path} from age");
    }
    assert_eq!(lo.payloads().len(), 0, "the application saw nothing of what was denied");
    assert_eq!(status(&rig.sentences, "GET", "http://name:5000/"), Ok(200));
    for caller in [&rig.sentences, &rig.age, &rig.loop_] {
        let metrics = status(caller, "GET", "http://name:8000/metrics");
        assert!(matches!(metrics, Ok(403) | Err(FailureKind::Reset)), "metrics from {}: {metrics:?}", caller.name());
    }
    rig.loop_works();
    // Of the callers that were denied, who they were.
    eventually(APPLIES, || {
        let denied = [
            ("reporter", "destination"),
            ("response_code", "403"),
            ("source_principal", "spiffe://cluster.local/ns/default/sa/age"),
            ("connection_security_policy", "mutual_tls"),
        ];
        let counted = rig.name.mesh_metrics()?.requests(&denied);
        ensure!(counted >= 5.0, "{counted} denials of age");
        Ok(())
    });

    // Gone: everything is open at once.
    rig.cluster.delete("AuthorizationPolicy", "default", "name")?;
    eventually(APPLIES, || {
        let status = status(&rig.age, "GET", "http://name:5000/choices");
        ensure!(status == Ok(200), "{status:?}");
        Ok(())
    });
    rig.everything_is_open()
}

#[test]
fn an_authorization_policy_knows_callers_on_one_node() -> Result<()> {
    authorization_policy("k16-policy-one", "a")
}

#[test]
fn an_authorization_policy_knows_callers_across_nodes() -> Result<()> {
    authorization_policy("k16-policy-two", "b")
}

/// In permissive mode a caller outside the mesh is let in where nobody says more, and proves nothing where somebody does.
#[test]
fn a_caller_that_proves_nothing_is_no_principal() -> Result<()> {
    let cluster = Cluster::exercise("k16-stranger")?;
    let name = Sentences::new("name").account("name").node("b").yaml() + &sentences_service("name", "default");
    let strangers = ["a", "b"].map(|node| {
        let stranger = cluster.workload(&format!("stranger-{node}")).namespace("legacy").service_account("sentences");
        stranger.node(node).program(Program::Sleep).start()
    });
    cluster.start_exercise(&name)?;
    let [near, far] = strangers;
    let strangers = [near?, far?];
    let all = |expected: Result<(u16, &str), FailureKind>| -> Result<()> {
        for stranger in &strangers {
            let answer = ask(stranger, "GET", "http://name.default:5000/choices");
            let answer = answer.as_ref().map(|(status, text)| (*status, text.as_str())).map_err(|kind| *kind);
            ensure!(answer == expected, "{}: {answer:?}", stranger.name());
        }
        Ok(())
    };
    eventually(PATIENCE, || all(Ok((200, "['Peter', 'Ray', 'Egon']"))));
    let legacy = AUTHORIZATION_POLICY.replace("ns/default", "ns/legacy").replace("paths: [/]", "paths: [/choices]");
    cluster.apply(&legacy)?;
    eventually(APPLIES, || all(Ok((403, "RBAC: access denied"))));
    cluster.delete("AuthorizationPolicy", "default", "name")?;
    eventually(APPLIES, || all(Ok((200, "['Peter', 'Ray', 'Egon']"))));
    Ok(())
}
