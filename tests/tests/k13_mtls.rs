//! Mutual TLS as it is introduced: nobody, one service, all; strict and permissive; whom it is seen and proved to be between.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use weft_testbed::{
    APPLIES, Capture, Cluster, FailureKind, PATIENCE, Pod, Sentences, eventually, is_sentence, sentences_service,
};

const INJECT: &str = "sidecar.istio.io/inject";

/// The mTLS mode of a namespace; in the root namespace that of the mesh.
fn peer_authentication(namespace: &str, mode: &str) -> String {
    format!(
        "
apiVersion: security.istio.io/v1beta1
kind: PeerAuthentication
metadata: {{name: default, namespace: {namespace}}}
spec:
  mtls: {{mode: {mode}}}
---
"
    )
}

/// The three roles, `sentences` on node a and the others on `node`, each with an account of its own; those not in `enrolled` opt out.
fn app(node: &str, enrolled: &[&str]) -> String {
    let roles = ["sentence", "age", "name"].map(|mode| {
        let account = if mode == "sentence" { "sentences" } else { mode };
        let role = Sentences::new(mode).node(if mode == "sentence" { "a" } else { node }).account(account);
        if enrolled.contains(&mode) { role.yaml() } else { role.annotation(INJECT, "false").yaml() }
    });
    let services = ["sentence", "age", "name"].map(|mode| sentences_service(mode, "default"));
    roles.concat() + &services.concat()
}

/// What `sentences` and its callees said to each other in plain text on a wire.
fn speaks_http(capture: &Capture) -> bool {
    ["GET / HTTP/1.1", "HTTP/1.1 200", "something-valid"].iter().any(|text| capture.contains(text))
}

/// Strict mTLS is about servers in the mesh: it asks nothing of pods outside it, and everything of plain text to pods inside.
fn introduce_step_by_step(name: &str, node: &str) -> Result<()> {
    let cluster = Cluster::exercise(name)?;
    let member = cluster.workload("member").node(node).start()?;
    cluster.start_exercise(&(app(node, &[]) + &peer_authentication("default", "STRICT")))?;
    let (url, outside) = (cluster.sentences_url()?, cluster.outside());
    outside.get_many(&url, &[], 50, 4).assert_sentences();
    // A client in the mesh speaks plain text to servers outside it, without being told.
    member.get_many("http://sentences:5000/", &[], 20, 4).assert_sentences();

    // Only age joins: what sentences says to it in plain text is refused, and the application fails.
    cluster.apply(&app(node, &["age"]))?;
    cluster.wait_captured(&["default"], PATIENCE)?;
    let age = cluster.pods_of("default", "age").remove(0);
    let (eth0, lo) = (age.capture("eth0", 5000)?, age.capture("lo", 5000)?);
    eventually(APPLIES, || {
        let answer = outside.get(&url)?;
        ensure!(answer.status == 500, "{} {}", answer.status, answer.text());
        Ok(())
    });
    eth0.clear();
    lo.clear();
    let answers = outside.get_many(&url, &[], 20, 4);
    assert_eq!(answers.count(|response| response.status == 500), 20, "{:?}", answers.summary());
    assert!(eth0.contains("GET / HTTP/1.1"), "plain text reached the pod");
    assert!(!eth0.contains("HTTP/1.1 "), "and was answered by nobody");
    let server = SocketAddr::new(age.ip(), 5000);
    let resets = eth0.packets().iter().filter(|packet| packet.source == server && packet.is_reset()).count();
    assert!(resets >= 20, "{resets} resets for 20 requests");
    assert!(lo.packets().is_empty(), "nothing of it reached the application");
    // The client in the mesh knows which of them to speak plain text to.
    for service in ["age", "name"] {
        let answers = member.get_many(&format!("http://{service}:5000/"), &[], 20, 4);
        assert_eq!(answers.count(|response| response.status == 200), 20, "{service}: {:?}", answers.summary());
    }

    cluster.apply(&peer_authentication("default", "PERMISSIVE"))?;
    eventually(APPLIES, || {
        let answer = outside.get(&url)?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
        Ok(())
    });
    outside.get_many(&url, &[], 50, 4).assert_sentences();
    eventually(APPLIES, || {
        // Who sent plain text is not known: the graph falls apart there.
        let metrics = age.mesh_metrics()?;
        let plain = metrics.requests(&[
            ("reporter", "destination"),
            ("connection_security_policy", "none"),
            ("source_principal", "unknown"),
            ("source_workload", "unknown"),
        ]);
        let proved = metrics.requests(&[("connection_security_policy", "mutual_tls"), ("source_workload", "member")]);
        ensure!(plain >= 51.0 && proved == 20.0, "{plain} in plain text, {proved} from the mesh");
        ensure!(plain + proved == metrics.requests(&[]), "{:?}", metrics.matching("istio_requests_total", &[]));
        Ok(())
    });
    Ok(())
}

#[test]
fn mtls_is_introduced_step_by_step_on_one_node() -> Result<()> {
    introduce_step_by_step("k13-steps-one", "a")
}

#[test]
fn mtls_is_introduced_step_by_step_across_nodes() -> Result<()> {
    introduce_step_by_step("k13-steps-two", "b")
}

/// With all in the mesh and strict, whoever is outside is reset, and every request inside is proved on both sides.
fn strict_for_all(name: &str, node: &str) -> Result<()> {
    let cluster = Cluster::exercise(name)?;
    let client = cluster.workload("loop").node(node).service_account("loop").start()?;
    let all = app(node, &["sentence", "age", "name"]);
    cluster.start_exercise(&(all + &peer_authentication("default", "STRICT")))?;
    let (url, outside) = (cluster.sentences_url()?, cluster.outside());
    let sentences = cluster.pods_of("default", "sentences").remove(0);
    let callees = ["name", "age"].map(|name| cluster.pods_of("default", name).remove(0));
    let wires: Vec<Capture> =
        [&sentences, &callees[0], &callees[1]].iter().map(|pod| pod.capture("eth0", 5000)).collect::<Result<_>>()?;
    // Read by the agent of each node on its own: strict is there when the last one knows it.
    eventually(APPLIES, || {
        let kind = outside.get(&url).map_err(|failure| failure.kind);
        ensure!(kind == Err(FailureKind::Reset), "{kind:?}");
        Ok(())
    });
    let curl = outside.exec("curl", &["-s", &url])?;
    assert_eq!(curl.code(), 56, "{curl:?}");
    let answers = outside.get_many(&url, &[], 30, 4);
    assert_eq!(
        answers.failures().filter(|failure| failure.kind == FailureKind::Reset).count(),
        30,
        "{:?}",
        answers.summary()
    );

    wires.iter().for_each(Capture::clear);
    client.get_many("http://sentences:5000/", &[], 50, 4).assert_sentences();
    for wire in &wires {
        assert!(wire.payloads().len() > 50, "requests were on the wire, on the original port");
        assert!(!speaks_http(wire), "and were not readable there");
    }
    let spiffe = |account: &str| format!("spiffe://cluster.local/ns/default/sa/{account}");
    let edges =
        [(&client, &sentences, "sentences"), (&sentences, &callees[0], "name"), (&sentences, &callees[1], "age")];
    for (source, destination, account) in edges {
        let source_account = if source.name() == client.name() { "loop" } else { "sentences" };
        assert_edge(source, destination, &spiffe(source_account), &spiffe(account), account);
    }
    Ok(())
}

/// Both ends counted 50 requests over this edge and none but those, mutually authenticated.
#[track_caller]
fn assert_edge(source: &Pod, destination: &Pod, source_principal: &str, principal: &str, service: &str) {
    let host = format!("{service}.default.svc.cluster.local");
    let proved = [
        ("source_principal", source_principal),
        ("destination_principal", principal),
        ("destination_service", &*host),
        ("response_code", "200"),
    ];
    eventually(APPLIES, || {
        let with = |more: [(&'static str, &'static str); 2]| [&proved[..], &more].concat();
        let server = destination.mesh_metrics()?;
        let (got, of) = (
            server.requests(&with([("reporter", "destination"), ("connection_security_policy", "mutual_tls")])),
            server.requests(&[("reporter", "destination")]),
        );
        ensure!(got == 50.0 && of == 50.0, "the server of {host} counted {got} proved requests of {of}");
        let client = source.mesh_metrics()?.requests(&with([("reporter", "source"), ("response_flags", "-")]));
        ensure!(client == 50.0, "the client of {host} counted {client}");
        Ok(())
    });
}

#[test]
fn strict_for_all_on_one_node() -> Result<()> {
    strict_for_all("k13-strict-one", "a")
}

#[test]
fn strict_for_all_across_nodes() -> Result<()> {
    strict_for_all("k13-strict-two", "b")
}

/// A subset may be asked in plain text beside another that is not.
#[test]
fn a_subset_is_asked_in_plain_text_beside_another() -> Result<()> {
    for node in ["a", "b"] {
        let cluster = Cluster::exercise("k13-subsets")?;
        let client = cluster.workload("loop").node("a").start()?;
        let versions = ["v1", "v2"].map(|version| Sentences::new("name").version(version).node(node).yaml()).concat();
        let rules = "
apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata: {name: name}
spec:
  host: name
  subsets:
  - {name: name-v1, labels: {version: v1}, trafficPolicy: {tls: {mode: DISABLE}}}
  - {name: name-v2, labels: {version: v2}, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}
---
apiVersion: networking.istio.io/v1alpha3
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
        cluster.start_exercise(&(versions + &sentences_service("name", "default") + rules))?;
        let pods = ["v1", "v2"].map(|version| cluster.pods_of("default", &format!("name-{version}")).remove(0));
        let wires = [pods[0].capture("eth0", 5000)?, pods[1].capture("eth0", 5000)?];
        let answers = client.get_many("http://name:5000/", &[], 200, 4);
        assert_eq!(answers.count(|response| response.status == 200), 200, "{:?}", answers.summary());
        let v2 = answers.share_with("(v2)");
        assert!((0.38..=0.62).contains(&v2), "v2 got {v2}");
        assert_eq!(wires.map(|wire| speaks_http(&wire)), [true, false], "plain text to v1 only, node {node}");
        for (pod, policy, share) in [(&pods[0], "none", 1.0 - v2), (&pods[1], "mutual_tls", v2)] {
            eventually(APPLIES, || {
                let metrics = pod.mesh_metrics()?;
                let padlocked =
                    metrics.requests(&[("reporter", "destination"), ("connection_security_policy", policy)]);
                ensure!((padlocked - share * 200.0).abs() < 0.5, "{padlocked} of {}", metrics.requests(&[]));
                ensure!(padlocked == metrics.requests(&[]), "{padlocked} of {}", metrics.requests(&[]));
                Ok(())
            });
        }
    }
    Ok(())
}

/// The migration matrix: clients in two enrolled namespaces and one that is not, servers in the enrolled ones.
#[test]
fn migration_to_strict_shuts_out_only_plain_text() -> Result<()> {
    let cluster = Cluster::new("k13-migration")?.node("a")?.node("b")?;
    for namespace in ["foo", "bar"] {
        cluster.namespace(namespace, &[("istio-injection", "enabled")])?;
        cluster.apply(
            &(Sentences::new("name").namespace(namespace).node("b").yaml() + &sentences_service("name", namespace)),
        )?;
    }
    cluster.start_agents()?;
    let clients: Vec<Pod> = ["foo", "bar", "legacy"]
        .iter()
        .flat_map(|namespace| {
            ["a", "b"].map(|node| cluster.workload(&format!("sleep-{node}")).namespace(namespace).node(node))
        })
        .map(|workload| workload.start())
        .collect::<Result<_>>()?;
    cluster.wait_captured(&["foo", "bar"], PATIENCE)?;
    // From both nodes: 12 lines, of which exactly those of `refused` (client, server) fail, as curl says by a reset.
    let matrix = |refused: &[(&str, &str)]| -> Result<()> {
        for client in &clients {
            for server in ["foo", "bar"] {
                let output = client.exec(
                    "curl",
                    &["-s", "-o", "/dev/null", "-w", "%{http_code}", &format!("http://name.{server}:5000/")],
                )?;
                let expected = if refused.contains(&(client.namespace(), server)) { (56, "000") } else { (0, "200") };
                ensure!(
                    (output.code(), &*output.stdout) == expected,
                    "{}.{} to name.{server}: {output:?}, expected {expected:?}",
                    client.name(),
                    client.namespace()
                );
            }
        }
        Ok(())
    };
    eventually(APPLIES, || matrix(&[]));
    // Connections that were open before are no loophole, nor are they cut where nothing changes for them.
    let [mut member, mut legacy] = [&clients[0], &clients[4]].map(|client| client.connection("http://name.foo:5000/"));
    let (member, legacy) = (member.as_mut().expect("a connection"), legacy.as_mut().expect("a connection"));
    for connection in [&mut *member, &mut *legacy] {
        ensure!(connection.get("http://name.foo:5000/")?.status == 200 && connection.is_open());
    }
    cluster.apply(&peer_authentication("foo", "STRICT"))?;
    eventually(APPLIES, || matrix(&[("legacy", "foo")]));
    ensure!(member.get("http://name.foo:5000/")?.status == 200, "a proved connection goes on");
    let kind = legacy.get("http://name.foo:5000/").map(|response| response.status).map_err(|failure| failure.kind);
    ensure!(matches!(kind, Err(FailureKind::Reset | FailureKind::Closed)), "plain text goes on: {kind:?}");
    // For the whole mesh, from its root namespace.
    cluster.apply(&peer_authentication("istio-system", "STRICT"))?;
    eventually(APPLIES, || matrix(&[("legacy", "foo"), ("legacy", "bar")]));
    // A namespace may be softer than the mesh.
    cluster.apply(&peer_authentication("bar", "PERMISSIVE"))?;
    eventually(APPLIES, || matrix(&[("legacy", "foo")]));
    Ok(())
}

/// What a server shows of itself: one SPIFFE URI and nothing else, for a day at most.
#[test]
fn a_certificate_says_who_and_for_how_long() -> Result<()> {
    let cluster = Cluster::exercise("k13-certificates")?;
    let stranger = cluster.workload("stranger").namespace("legacy").start()?;
    cluster
        .start_exercise(&(Sentences::new("name").account("names").yaml() + &sentences_service("name", "default")))?;
    let name = cluster.pods_of("default", "name").remove(0);
    let script = format!(
        "openssl s_client -connect {}:5000 -alpn istio-http/1.1,istio -tls1_3 </dev/null 2>/dev/null | \
         openssl x509 -noout -subject -ext subjectAltName -startdate -checkend 0 && \
         ! (openssl s_client -connect {}:5000 -alpn istio-http/1.1,istio -tls1_3 </dev/null 2>/dev/null | \
         openssl x509 -noout -checkend 86400)",
        name.ip(),
        name.ip()
    );
    let shown = stranger.exec("sh", &["-c", &script])?;
    assert_eq!(shown.code(), 0, "a certificate that is valid now and not in a day: {shown:?}");
    let alternatives: Vec<&str> = shown.stdout.lines().filter(|line| line.contains("URI:")).map(str::trim).collect();
    assert_eq!(alternatives, ["URI:spiffe://cluster.local/ns/default/sa/names"], "{shown:?}");
    assert!(shown.stdout.lines().any(|line| line.trim_end() == "subject="), "the subject is empty: {shown:?}");
    // Without a certificate of its own the stranger gets no answer.
    let asked = stranger.exec("sh", &["-c", &format!(
        "printf 'GET / HTTP/1.1\\r\\nHost: name\\r\\nConnection: close\\r\\n\\r\\n' | timeout 5 openssl s_client -quiet -connect {}:5000 \
         -alpn istio-http/1.1 -tls1_3",
        name.ip()
    )])?;
    assert!(!asked.stdout.contains("HTTP/1.1") && asked.stderr.contains("certificate required"), "{asked:?}");
    assert!(!is_sentence(&asked.stdout));
    Ok(())
}
