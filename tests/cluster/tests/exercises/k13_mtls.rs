//! Mutual TLS as it is introduced: nobody, one service, all; strict and permissive; whom it is seen and proved to be between.

use anyhow::{Result, ensure};
use weft_cluster_tests::manifests::{
    MTLS_AGE, MTLS_NAME, MTLS_NAME_V2, MTLS_SENTENCES, PERMISSIVE, STRICT, all, multitool_on, pinned, without,
};
use weft_cluster_tests::{APPLIES, FailureKind, Namespace, NodePort, PATIENCE, Pod, curl_here, eventually, two_nodes};

/// mTLS to one subset, plain text to the other, half of the requests each.
const HALF_IN_PLAIN_TEXT: &str = "
apiVersion: networking.istio.io/v1beta1
kind: DestinationRule
metadata: {name: name}
spec:
  host: name
  subsets:
  - name: name-v1
    labels: {version: v1}
    trafficPolicy:
      tls: {mode: DISABLE}
  - name: name-v2
    labels: {version: v2}
    trafficPolicy:
      tls: {mode: ISTIO_MUTUAL}
---
apiVersion: networking.istio.io/v1beta1
kind: VirtualService
metadata: {name: name}
spec:
  hosts: [name]
  gateways: [mesh]
  http:
  - route:
    - destination: {host: name, port: {number: 5000}, subset: name-v1}
      weight: 50
    - destination: {host: name, port: {number: 5000}, subset: name-v2}
      weight: 50
";

struct Rig {
    namespace: Namespace,
    /// A client in the mesh, beside the application.
    member: Pod,
    sentences: NodePort,
    /// The application, on two nodes: age with sentences on one, name on the other.
    files: [String; 3],
}

impl Rig {
    fn new() -> Result<Self> {
        let namespace = Namespace::enrolled("k13")?;
        let [here, there] = two_nodes()?;
        let file = |yaml: &str, node: &str| pinned(yaml, "kind: Deployment", node);
        let files = [file(MTLS_SENTENCES, &here.name), file(MTLS_AGE, &here.name), file(MTLS_NAME, &there.name)];
        files.iter().try_for_each(|file| namespace.apply(file))?;
        let member = namespace.multitool()?;
        let sentences = namespace.node_port("sentences", 5000)?;
        Ok(Self { namespace, member, sentences, files })
    }

    /// `cat FILE | grep -v inject | kubectl apply -f -`.
    fn inject(&self, files: &[&str]) -> Result<()> {
        files.iter().try_for_each(|file| self.namespace.apply(&without(file, &["inject"])))?;
        self.namespace.wait_rollout()
    }

    fn answers(&self, status: u16) -> Result<()> {
        let answer = self.sentences.get()?;
        ensure!(answer.status == status, "{} {}, {status} wanted", answer.status, answer.text());
        Ok(())
    }
}

#[test]
fn mtls_is_introduced_step_by_step() -> Result<()> {
    let rig = Rig::new()?;
    // Strict is about servers in the mesh, and there is none: traffic flows, also from a client in the mesh.
    rig.namespace.apply(STRICT)?;
    std::thread::sleep(APPLIES);
    rig.sentences.get_many(&[], 50).assert_sentences();
    rig.member.get_many("http://sentences:5000/", &[], 20, 4)?.assert_sentences();

    only_age_is_in_the_mesh(&rig)?;
    all_are_in_the_mesh(&rig)?;
    one_subset_in_plain_text(&rig)?;
    rig.namespace.passed()
}

/// What sentences says to age in plain text is refused, and the application fails, until plain text is permitted.
fn only_age_is_in_the_mesh(rig: &Rig) -> Result<()> {
    rig.inject(&[&rig.files[1]])?;
    eventually(APPLIES, || rig.answers(500));
    let age = rig.namespace.pod("mode=age")?;
    let debugger = age.debug()?;
    let (eth0, lo) = (debugger.tcpdump("eth0", "tcp port 5000")?, debugger.tcpdump("lo", "tcp port 5000")?);
    let answers = rig.sentences.get_many(&[], 20);
    assert_eq!(answers.count(|response| response.status == 500), 20, "{:?}", answers.summary());
    let (_, wire) = eth0.finish()?;
    assert!(wire.contains("GET / HTTP/1.1"), "plain text reached the pod:\n{wire}");
    assert!(wire.contains("Flags [R") && !wire.contains("HTTP/1.1 "), "and was reset, not answered:\n{wire}");
    let (packets, text) = lo.finish()?;
    assert_eq!(packets, 0, "nothing of it reached the application:\n{text}");
    // The client in the mesh knows to which of them it speaks plain text.
    for service in ["age", "name"] {
        let answers = rig.member.get_many(&format!("http://{service}:5000/"), &[], 20, 4)?;
        assert_eq!(answers.count(|response| response.status == 200), 20, "{service}: {:?}", answers.summary());
    }

    rig.namespace.apply(PERMISSIVE)?;
    eventually(APPLIES, || rig.answers(200));
    rig.sentences.get_many(&[], 50).assert_sentences();
    eventually(APPLIES, || {
        // Who sent plain text is not known: the graph falls apart there.
        let page = rig.member.mesh_page(&age)?;
        let plain =
            [("connection_security_policy", "none"), ("source_principal", "unknown"), ("source_workload", "unknown")];
        let proved = page.requests(&[("connection_security_policy", "mutual_tls"), ("source_workload", "multitool")]);
        let plain = page.requests(&plain);
        ensure!(plain >= 51.0 && proved == 20.0, "{plain} in plain text, {proved} from the mesh");
        Ok(())
    });
    Ok(())
}

/// Whoever is outside is reset, and every request inside is proved on both sides.
fn all_are_in_the_mesh(rig: &Rig) -> Result<()> {
    rig.inject(&rig.files.each_ref().map(String::as_str))?;
    rig.namespace.apply(STRICT)?;
    eventually(APPLIES, || {
        let kind = rig.sentences.get().map_err(|failure| failure.kind).map(|response| response.status);
        ensure!(kind == Err(FailureKind::Reset), "{kind:?}");
        Ok(())
    });
    let curl = curl_here(&[&rig.sentences.url()])?;
    assert_eq!(curl.exit, 56, "curl: (56) Recv failure: Connection reset by peer, says the page: {curl:?}");
    let refused = rig.sentences.get_many(&[], 30);
    let resets = refused.failures().filter(|failure| failure.kind == FailureKind::Reset).count();
    assert_eq!(resets, 30, "{:?}", refused.summary());

    let [sentences, age, name] = ["sentence", "age", "name"].map(|mode| rig.namespace.pod(&format!("mode={mode}")));
    let (sentences, age, name) = (sentences?, age?, name?);
    let edges = [(&rig.member, &sentences, "sentences"), (&sentences, &age, "age"), (&sentences, &name, "name")];
    let before = edges.map(|(source, server, service)| counted(rig, source, server, service));
    rig.member.get_many("http://sentences:5000/", &[], 50, 4)?.assert_sentences();
    for ((source, server, service), before) in edges.into_iter().zip(before) {
        let before = before?;
        eventually(APPLIES, || {
            let now = counted(rig, source, server, service)?;
            let [proved, all, asked] = [0, 1, 2].map(|at| now[at] - before[at]);
            ensure!(proved == 50.0 && all == 50.0, "the server of {service} counted {proved} proved requests of {all}");
            ensure!(asked == 50.0, "the client of {service} counted {asked}");
            Ok(())
        });
    }
    Ok(())
}

/// Requests over an edge: those that the server knows to be proved by the principals of the side panel, all that it has answered, and
/// those that the client knows to be proved.
fn counted(rig: &Rig, source: &Pod, server: &Pod, service: &str) -> Result<[f64; 3]> {
    let principal = format!("spiffe://cluster.local/ns/{}/sa/default", rig.namespace.name());
    let host = format!("{service}.{}.svc.cluster.local", rig.namespace.name());
    let edge = [
        ("source_principal", &*principal),
        ("destination_principal", &principal),
        ("destination_service", &host),
        ("response_code", "200"),
    ];
    let (page, client) = (rig.member.mesh_page(server)?, rig.member.mesh_page(source)?);
    let at_server = [("reporter", "destination"), ("connection_security_policy", "mutual_tls")];
    Ok([
        page.requests(&[&edge[..], &at_server].concat()),
        page.requests(&[("reporter", "destination"), ("response_code", "200")]),
        client.requests(&[&edge[..], &[("reporter", "source")]].concat()),
    ])
}

/// A destination rule says how to speak to each subset: in plain text to v1, with mTLS to v2.
fn one_subset_in_plain_text(rig: &Rig) -> Result<()> {
    rig.inject(&[MTLS_NAME_V2])?;
    rig.namespace.apply(&all(&[PERMISSIVE, HALF_IN_PLAIN_TEXT]))?;
    eventually(APPLIES, || rig.answers(200));
    let [v1, v2] = ["v1", "v2"].map(|version| rig.namespace.pod(&format!("mode=name,version={version}")));
    let (v1, v2) = (v1?, v2?);
    let counted = |pod: &Pod, policy: &str| -> Result<f64> {
        let labels = [("reporter", "destination"), ("connection_security_policy", policy)];
        Ok(rig.member.mesh_page(pod)?.requests(&labels))
    };
    eventually(APPLIES, || {
        rig.sentences.get_many(&[], 4).assert_sentences();
        let plain = counted(&v1, "none")?;
        ensure!(plain > 0.0, "nothing in plain text to v1 yet");
        Ok(())
    });
    let before =
        [counted(&v1, "none")?, counted(&v1, "mutual_tls")?, counted(&v2, "none")?, counted(&v2, "mutual_tls")?];
    rig.sentences.get_many(&[], 200).assert_sentences();
    eventually(APPLIES, || {
        let now =
            [counted(&v1, "none")?, counted(&v1, "mutual_tls")?, counted(&v2, "none")?, counted(&v2, "mutual_tls")?];
        let [v1_plain, v1_proved, v2_plain, v2_proved] = [0, 1, 2, 3].map(|at| now[at] - before[at]);
        ensure!(v1_plain + v2_proved == 200.0, "{v1_plain} to v1 in plain text, {v2_proved} to v2 proved");
        ensure!(v1_proved == 0.0 && v2_plain == 0.0, "{v1_proved} to v1 proved, {v2_plain} to v2 in plain text");
        ensure!((72.0..=128.0).contains(&v1_plain), "half of the requests is {v1_plain} of 200");
        Ok(())
    });
    Ok(())
}

/// The migration matrix: clients in two enrolled namespaces and one that is not, servers in the enrolled ones.
#[test]
fn migration_to_strict_shuts_out_only_plain_text() -> Result<()> {
    let (foo, bar, legacy) = (Namespace::enrolled("foo")?, Namespace::enrolled("bar")?, Namespace::plain("legacy")?);
    let [here, there] = two_nodes()?;
    for namespace in [&foo, &bar] {
        namespace.apply(&pinned(MTLS_NAME, "kind: Deployment", &here.name).replace("'false'", "'true'"))?;
    }
    let mut clients = Vec::new();
    for namespace in [&foo, &bar, &legacy] {
        for (name, node) in [("near", &here), ("far", &there)] {
            namespace.apply(&multitool_on(name, &node.name))?;
        }
        namespace.wait_rollout()?;
        clients.extend([namespace.pod("app=near")?, namespace.pod("app=far")?]);
    }
    // 12 lines, of which exactly that of `refused` fails on both nodes, as curl says by a reset.
    let matrix = |refused: Option<(&Namespace, &Namespace)>| -> Result<()> {
        for client in &clients {
            for server in [&foo, &bar] {
                let answer = client.curl(&["-o", "/dev/null", &format!("http://name.{}:5000/", server.name())])?;
                let is_refused =
                    refused.is_some_and(|(from, to)| from.name() == client.namespace() && to.name() == server.name());
                let expected = if is_refused { (56, 0) } else { (0, 200) };
                let place = format!("{}.{} to name.{}", client.pod(), client.namespace(), server.name());
                ensure!((answer.exit, answer.status) == expected, "{place}: {answer:?}, expected {expected:?}");
            }
        }
        Ok(())
    };
    eventually(PATIENCE, || matrix(None));
    let legacy_gets = |exit: i32| -> Result<()> {
        let answer = clients[4].curl(&[&format!("http://name.{}:5000/", foo.name())])?;
        ensure!(answer.exit == exit, "{answer:?}");
        Ok(())
    };
    foo.apply(STRICT)?;
    eventually(APPLIES, || legacy_gets(56));
    matrix(Some((&legacy, &foo)))?;
    foo.apply(PERMISSIVE)?;
    eventually(APPLIES, || legacy_gets(0));
    matrix(None)?;
    foo.passed()?;
    bar.passed()?;
    legacy.passed()
}

/// What a server shows of itself: one SPIFFE URI and nothing else, for a day at most.
#[test]
fn a_certificate_says_who_and_for_how_long() -> Result<()> {
    let (namespace, outside) = (Namespace::enrolled("k13-certificates")?, Namespace::plain("k13-stranger")?);
    namespace.apply(&without(MTLS_NAME, &["inject"]))?;
    namespace.wait_rollout()?;
    let stranger = outside.multitool()?;
    let server = format!("{}:5000", namespace.pod("mode=name")?.ip());
    let script = r#"
openssl s_client -connect "$1" -alpn istio-http/1.1,istio -tls1_3 </dev/null 2>/dev/null >/tmp/said
openssl x509 -in /tmp/said -noout -subject -ext subjectAltName
openssl x509 -in /tmp/said -noout -checkend 0 || echo expired
openssl x509 -in /tmp/said -noout -checkend 86400 || true
"#;
    let said = stranger.shell(script, &[&server])?;
    let identity = format!("URI:spiffe://cluster.local/ns/{}/sa/default", namespace.name());
    let names: Vec<&str> =
        said.lines().map(str::trim).filter(|line| line.contains("URI:") || line.contains("DNS:")).collect();
    assert_eq!(names, [identity.as_str()], "{said}");
    let subject = said.lines().find(|line| line.starts_with("subject=")).map(|line| line["subject=".len()..].trim());
    assert_eq!(subject, Some(""), "{said}");
    assert!(said.contains("Certificate will not expire") && said.contains("Certificate will expire"), "{said}");
    outside.passed()?;
    namespace.passed()
}
