//! Services of all kinds, with and without the mesh's help: node ports, load balancers, headless ones, own slices, rollouts.

use std::collections::BTreeSet;
use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use weft_cluster_tests::manifests::{STRICT, all, mirror, pinned};
use weft_cluster_tests::{APPLIES, Metrics, Namespace, PATIENCE, Pod, curl_here, eventually, two_nodes};

use super::{ask, who};

/// This machine's own address as a node sees it.
fn own_address(node: IpAddr) -> Result<String> {
    let socket = UdpSocket::bind(("0.0.0.0", 0))?;
    // Sends nothing: it chooses the route and so the address.
    socket.connect((node, 9))?;
    Ok(socket.local_addr()?.ip().to_string())
}

/// Requests that the mesh counted at the server, proved to be from a member.
fn proved(page: &Metrics) -> f64 {
    page.requests(&[
        ("reporter", "destination"),
        ("connection_security_policy", "mutual_tls"),
        ("response_code", "200"),
    ])
}

#[test]
fn clients_outside_come_in_by_node_port_and_load_balancer() -> Result<()> {
    let namespace = Namespace::enrolled("services-outside")?;
    let [here, there] = two_nodes()?;
    namespace.apply(&pinned(&mirror("web", ""), "app: web", &here.name))?;
    namespace.kubectl(&["patch", "service", "web", "--patch", r#"{"spec": {"type": "LoadBalancer"}}"#])?;
    namespace.wait_rollout()?;
    let node_port = namespace.node_port("web", 80)?;
    let (near, far) = (node_port.on(&here), node_port.on(&there));
    // Cluster, the default: every node leads to the pod.
    for url in [near.url(), far.url()] {
        eventually(PATIENCE, || {
            let answer = curl_here(&[&url])?;
            ensure!((answer.exit, answer.status) == (0, 200), "{url}: {answer:?}");
            Ok(())
        });
    }
    let balancer = eventually(PATIENCE, || {
        let service = namespace.object(&["get", "service", "web"])?;
        let address = service["status"]["loadBalancer"]["ingress"][0]["ip"].as_str().map(str::to_owned);
        address.context("the Service has no address of a load balancer")
    });
    eventually(PATIENCE, || {
        let answer = curl_here(&[&format!("http://{balancer}/")])?;
        ensure!((answer.exit, answer.status) == (0, 200), "the load balancer {balancer}: {answer:?}");
        Ok(())
    });

    // Local: only the pod's own node leads to it, and the application sees who really asks.
    let local = r#"{"spec": {"externalTrafficPolicy": "Local"}}"#;
    namespace.kubectl(&["patch", "service", "web", "--patch", local])?;
    eventually(PATIENCE, || {
        let elsewhere = curl_here(&["-m", "2", &far.url()])?;
        ensure!(elsewhere.exit != 0, "a node without the pod answers: {elsewhere:?}");
        Ok(())
    });
    let answer = curl_here(&[&near.url()])?;
    let said: serde_json::Value = serde_json::from_str(&answer.body).with_context(|| format!("{answer:?}"))?;
    assert_eq!(said["peer_address"].as_str(), Some(&*own_address(here.address)?), "{said}");
    namespace.passed()
}

/// Pod address, headless name, a pod's own name and the cluster address are ways to one server, and the same to the mesh.
#[test]
fn every_way_to_a_server_is_the_same_to_the_mesh() -> Result<()> {
    let namespace = Namespace::enrolled("services-headless")?;
    namespace.apply(STRICT)?;
    let stateful = mirror("web", "").replace("kind: Deployment", "kind: StatefulSet");
    let stateful = stateful
        .replace("spec:\n  selector:\n    match", "spec:\n  serviceName: peers\n  replicas: 2\n  selector:\n    match");
    let headless = "
apiVersion: v1
kind: Service
metadata: {name: peers}
spec:
  clusterIP: None
  selector: {app: web}
  ports: [{name: http, port: 8080}]
";
    namespace.apply(&all(&[&stateful, headless]))?;
    let client = namespace.multitool()?;
    let pods = namespace.pods("app=web")?;
    assert_eq!(pods.len(), 2);
    for pod in &pods {
        assert_eq!(who(&client, &format!("http://{}.peers:8080/", pod.pod()))?, pod.pod(), "by its own name");
        assert_eq!(who(&client, &format!("http://{}:8080/", pod.ip()))?, pod.pod(), "by its address");
        let said = ask(&client, &format!("http://{}.peers:8080/", pod.pod()))?;
        assert_eq!(said["peer_address"].as_str(), Some(&*client.ip().to_string()), "the client's own address");
    }
    for url in ["http://web/", "http://peers:8080/"] {
        let answers = client.get_many(url, &[], 60, 4)?;
        let of = |pod: &Pod| answers.count(|response| response.text().contains(pod.pod()));
        assert_eq!(of(&pods[0]) + of(&pods[1]), 60, "{url}: {:?}", answers.summary());
        // A headless name leads where the client's resolver chooses.
        assert!(url.contains("peers") || pods.iter().all(|pod| of(pod) > 0), "{url} leads to one pod only");
    }
    eventually(APPLIES, || {
        let pages = [client.mesh_page(&pods[0])?, client.mesh_page(&pods[1])?];
        let (proved, all) =
            (pages.iter().map(proved).sum::<f64>(), pages.iter().map(|page| page.requests(&[])).sum::<f64>());
        ensure!(proved == 126.0 && all == 126.0, "{proved} of {all} requests proved, 126 sent");
        Ok(())
    });

    // And refused alike: policy is the server's, whatever way leads there.
    namespace.apply(weft_cluster_tests::manifests::DENY_ALL)?;
    let urls = ["http://web/".to_owned(), "http://peers:8080/".to_owned(), "http://web-0.peers:8080/".to_owned()];
    let urls = urls.into_iter().chain([format!("http://{}:8080/", pods[1].ip())]);
    for url in urls {
        eventually(APPLIES, || {
            let answer = client.curl(&[&url])?;
            ensure!((answer.status, &*answer.body) == (403, "RBAC: access denied"), "{url}: {answer:?}");
            Ok(())
        });
    }
    namespace.passed()
}

fn slice(name: &str, address: IpAddr) -> String {
    format!(
        "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {name}
  labels: {{kubernetes.io/service-name: by-hand, endpointslice.kubernetes.io/managed-by: by-hand}}
addressType: IPv4
ports: [{{name: http, port: 8080, protocol: TCP}}]
endpoints: [{{addresses: [{address}], conditions: {{ready: true}}}}]
"
    )
}

/// A Service without a selector has the endpoints that somebody writes: in one slice or in several.
#[test]
fn endpoints_written_by_hand_count() -> Result<()> {
    let namespace = Namespace::enrolled("services-by-hand")?;
    let service = "
apiVersion: v1
kind: Service
metadata: {name: by-hand}
spec:
  ports: [{name: http, port: 80, targetPort: 8080}]
";
    namespace.apply(&all(&[STRICT, service, &mirror("one", ""), &mirror("two", "")]))?;
    let client = namespace.multitool()?;
    let (one, two) = (namespace.pod("app=one")?, namespace.pod("app=two")?);
    let answering = || -> Result<BTreeSet<String>> {
        let answers = client.get_many("http://by-hand/", &[], 20, 2)?;
        let names = [&one, &two].map(|pod| (pod.pod(), answers.count(|response| response.text().contains(pod.pod()))));
        Ok(names.into_iter().filter(|(_, count)| *count > 0).map(|(name, _)| name.to_owned()).collect())
    };
    let wait_for = |pods: &[&Pod]| {
        let wanted: BTreeSet<String> = pods.iter().map(|pod| pod.pod().to_owned()).collect();
        eventually(APPLIES, || {
            let now = answering()?;
            ensure!(now == wanted, "{now:?} answer, not {wanted:?}");
            Ok(())
        });
    };
    namespace.apply(&slice("by-hand-1", one.ip()))?;
    wait_for(&[&one]);
    namespace.apply(&slice("by-hand-2", two.ip()))?;
    wait_for(&[&one, &two]);
    namespace.delete(&slice("by-hand-1", one.ip()))?;
    wait_for(&[&two]);
    namespace.passed()
}

/// Pods that end take no new requests, and those that start none before they are ready: nobody notices a rollout.
#[test]
fn a_rollout_under_load_fails_no_request() -> Result<()> {
    let namespace = Namespace::enrolled("services-rollout")?;
    // The application ends at once when it is told to; as everywhere, it is told a little later than everybody else.
    let patient = mirror("web", "")
        .replace("        ports:", "        lifecycle: {preStop: {sleep: {seconds: 5}}}\n        ports:");
    let patient = patient.replace("spec:\n  selector:\n    match", "spec:\n  replicas: 2\n  selector:\n    match");
    namespace.apply(&all(&[STRICT, &patient]))?;
    let client = namespace.multitool()?;
    let load = client.load("http://web/", 30)?;
    for _ in 0..2 {
        namespace.kubectl(&["rollout", "restart", "deployment/web"])?;
        namespace.wait_rollout_of("deployment/web")?;
    }
    std::thread::sleep(Duration::from_secs(7));
    let answers = load.finish()?;
    println!("a rollout under load: {:?}", answers.summary());
    assert!(answers.results.len() > 100, "{:?}", answers.summary());
    assert_eq!(answers.count(|response| response.status == 200), answers.results.len(), "{:?}", answers.summary());
    namespace.passed()
}

/// A target port's name means each pod's own number.
#[test]
fn a_named_target_port_is_each_pods_own() -> Result<()> {
    let namespace = Namespace::enrolled("services-named")?;
    let service = "
apiVersion: v1
kind: Service
metadata: {name: both}
spec:
  selector: {tier: front}
  ports: [{name: http, port: 80, targetPort: http}]
";
    let one = mirror("one", "").replace("      labels: {app: one}", "      labels: {app: one, tier: front}");
    let two = mirror("two", "").replace("      labels: {app: two}", "      labels: {app: two, tier: front}");
    namespace.apply(&all(&[STRICT, service, &one, &two.replace("8080", "9191")]))?;
    let client = namespace.multitool()?;
    let answers = client.get_many("http://both/", &[], 60, 4)?;
    for (pod, port) in [(namespace.pod("app=one")?, 8080), (namespace.pod("app=two")?, 9191)] {
        let port = format!("\"local_port\":{port}");
        let count = answers.count(|response| response.text().contains(pod.pod()) && response.text().contains(&port));
        assert!(count > 0, "{} has no request: {:?} {:?}", pod.pod(), answers.summary(), answers.bodies());
    }
    assert_eq!(answers.count(|response| response.status == 200), 60, "{:?}", answers.summary());
    namespace.passed()
}

/// Another name for a Service is a way to it.
#[test]
fn an_external_name_leads_to_its_service() -> Result<()> {
    let namespace = Namespace::enrolled("services-alias")?;
    namespace.apply(&all(&[STRICT, &mirror("web", "")]))?;
    let target = format!("web.{}.svc.cluster.local", namespace.name());
    namespace.kubectl(&["create", "service", "externalname", "alias", "--external-name", &target])?;
    let client = namespace.multitool()?;
    let web = namespace.pod("app=web")?;
    eventually(APPLIES, || {
        let answered = who(&client, "http://alias/")?;
        ensure!(answered == web.pod(), "{answered} answered");
        Ok(())
    });
    namespace.passed()
}

/// A Service under another name: the new name works at once, the old one for nobody.
#[test]
fn a_renamed_service_is_reached_by_its_new_name_only() -> Result<()> {
    let namespace = Namespace::enrolled("services-renamed")?;
    namespace.apply(&all(&[STRICT, &mirror("web", "")]))?;
    let client = namespace.multitool()?;
    let web = namespace.pod("app=web")?;
    assert_eq!(who(&client, "http://web/")?, web.pod());
    let service = "
apiVersion: v1
kind: Service
metadata: {name: front}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: http}]
";
    namespace.kubectl(&["delete", "service", "web"])?;
    namespace.apply(service)?;
    eventually(APPLIES, || {
        let answered = who(&client, "http://front/")?;
        ensure!(answered == web.pod(), "{answered} answered");
        Ok(())
    });
    // CoreDNS keeps an answer for some seconds.
    eventually(PATIENCE, || {
        let answer = client.curl(&["http://web/"])?;
        ensure!(answer.exit == 6, "the old name still resolves: {answer:?}");
        Ok(())
    });
    namespace.passed()
}
