//! The testbed proves itself, without a mesh: what these tests rely on is what all others build on.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use weft_testbed::{Cluster, FailureKind, Pod, Program, Step, eventually};

const PATIENCE: Duration = Duration::from_secs(15);

fn two_nodes(name: &str) -> Result<Cluster> {
    Cluster::new(name)?.node_in("a", "region-1", "zone-a")?.node_in("b", "region-1", "zone-b")
}

/// A pod of `name` on `node` that serves nginx' welcome page.
fn nginx(cluster: &Cluster, name: &str, node: &str) -> Result<Pod> {
    cluster.workload(name).node(node).program(Program::Nginx).start()
}

#[test]
fn pods_reach_each_other_on_one_node_and_across_nodes_by_both_families() -> Result<()> {
    let cluster = two_nodes("reach")?;
    let servers = [nginx(&cluster, "near", "a")?, nginx(&cluster, "far", "b")?];
    let client = cluster.workload("client").node("a").start()?;
    for server in &servers {
        for address in [format!("{}", server.ip()), format!("[{}]", server.ip6())] {
            let response = client.get(&format!("http://{address}/"))?;
            assert!(response.text().contains("Welcome to nginx!"), "{address}: {response:?}");
        }
        assert!(server.get("http://127.0.0.1/")?.text().contains("Welcome to nginx!"), "lo is up");
        assert_eq!(cluster.on_node("a")?.get(&format!("http://{}/", server.ip()))?.status, 200);
    }
    assert_eq!((servers[0].node(), servers[1].node()), ("a", "b"));
    // The server sees the client's own address.
    assert!(servers[1].log().contains(&client.ip().to_string()), "{}", servers[1].log());
    Ok(())
}

#[test]
fn services_spread_over_ready_pods_and_a_pod_reaches_itself() -> Result<()> {
    let cluster = two_nodes("services")?;
    cluster.service("web").port(8080, 80).node_port().dual_stack().apply()?;
    cluster.apply(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  replicas: 2\n  template:\n    metadata: {labels: {app: web}}\n    \
         spec:\n      containers: [{name: web, image: 'praqma/network-multitool:latest', ports: [{containerPort: 80}]}]\n",
    )?;
    cluster.wait_ready(PATIENCE)?;
    let pods = cluster.pods_of("default", "web");
    assert_eq!(
        pods.iter().map(|pod| pod.node().to_owned()).collect::<BTreeSet<_>>().len(),
        2,
        "round robin over nodes"
    );
    let client = cluster.workload("client").start()?;
    let answers = client.get_many("http://web:8080/", &[], 200, 4);
    assert_eq!(answers.failures().count(), 0, "{:?}", answers.summary());
    for pod in &pods {
        let share = answers.share_with(pod.name());
        assert!((0.35..0.65).contains(&share), "{} got {share}", pod.name());
    }
    // From outside, through each node's port; the pod may be on the other node.
    let port = cluster.node_port("default", "web", 8080)?;
    for node in cluster.nodes() {
        let answers = cluster.outside().get_many(&format!("http://{}:{port}/", node.address()), &[], 60, 4);
        assert_eq!(answers.bodies().values().sum::<usize>(), 60, "{:?}", answers.summary());
        assert_eq!(answers.bodies().len(), 2, "{:?}", answers.bodies());
    }
    let v6 = client.addresses_of("web").into_iter().find(|address| address.is_ipv6()).expect("dual stack");
    assert_eq!(client.get(&format!("http://[{v6}]:8080/"))?.status, 200);
    // Hairpin: when only one pod is ready, it must get itself; when none is, it is refused.
    pods[1].set_ready(false)?;
    let answers = pods[0].get_many("http://web:8080/", &[], 20, 2);
    assert_eq!(answers.count(|r| r.text().trim() == pods[0].name()), 20, "{:?}", answers.summary());
    pods[0].set_ready(false)?;
    let failure = client.get("http://web:8080/").unwrap_err();
    assert_eq!((failure.kind, failure.step), (FailureKind::Refused, Step::Connect), "{failure}");
    pods[0].set_ready(true)?;
    assert_eq!(client.get("http://web:8080/")?.text().trim(), pods[0].name());
    Ok(())
}

#[test]
fn names_resolve_inside_pods_as_in_a_cluster() -> Result<()> {
    let cluster = two_nodes("names")?;
    cluster.service("web").namespace("shop").port(80, 80).apply()?;
    cluster.service("all").namespace("shop").selector("app", "web").port(80, 80).headless().apply()?;
    let server = cluster.workload("web").namespace("shop").program(Program::Nginx).start()?;
    let same = cluster.workload("client").namespace("shop").start()?;
    let other = cluster.workload("client").namespace("else").start()?;
    for name in ["web", "web.shop", "web.shop.svc", "web.shop.svc.cluster.local"] {
        let output = same.exec("curl", &["-s", &format!("http://{name}/")])?;
        assert!(output.stdout.contains("Welcome to nginx!"), "{name}: {output:?}");
    }
    assert_eq!(other.exec("curl", &["-s", "-o", "/dev/null", "http://web.shop/"])?.code(), 0);
    // 6: curl could not resolve the host.
    assert_eq!(other.exec("curl", &["-s", "http://web/"])?.code(), 6);
    let failure = other.get("http://web/").unwrap_err();
    assert_eq!((failure.kind, failure.step), (FailureKind::NotFound, Step::Resolve));
    assert_eq!(same.addresses_of("all"), [server.ip(), server.ip6()]);
    assert_eq!(other.exec("hostname", &[])?.stdout.trim(), other.name());
    cluster.outside_name("httpbin.org", &[server.ip()])?;
    assert!(other.exec("getent", &["hosts", "httpbin.org"])?.stdout.contains(&server.ip().to_string()));
    Ok(())
}

#[test]
fn deployments_roll_scale_and_end_and_their_objects_follow() -> Result<()> {
    let cluster = two_nodes("deployments")?;
    cluster.service("web").port(80, 80).apply()?;
    let first = cluster.workload("web").label("version", "v1").program(Program::Nginx).replicas(2).start_all()?;
    let object = first[0].object()?;
    let hash = object["metadata"]["labels"]["pod-template-hash"].as_str().unwrap().to_owned();
    let owner = object["metadata"]["ownerReferences"][0]["name"].as_str().unwrap();
    assert_eq!(owner, format!("web-{hash}"));
    assert!(first[0].name().starts_with(&format!("web-{hash}-")));
    assert_eq!(object["metadata"]["annotations"]["weft.dev/netns"], first[0].netns().name());
    assert_eq!(object["status"]["podIP"], first[0].ip().to_string());
    let file = cluster.dir().join(format!("manifests/pod.default.{}.yaml", first[0].name()));
    assert!(std::fs::read_to_string(&file)?.contains(&first[0].ip().to_string()));

    // A new template: requests go on without a failure while pods are replaced.
    let client = cluster.workload("client").start()?;
    let changed = cluster.workload("web").label("version", "v2").program(Program::Nginx).replicas(2).deployment();
    let answers = std::thread::scope(|scope| {
        let load = scope.spawn(|| client.get_many("http://web/", &[], 1500, 2));
        cluster.apply_objects(vec![changed]).unwrap();
        cluster.wait_ready(PATIENCE).unwrap();
        load.join().unwrap()
    });
    assert_eq!(answers.count(|r| r.status == 200), 1500, "{:?}", answers.summary());
    let second = cluster.pods_of("default", "web");
    assert_eq!(second.len(), 2);
    assert!(second.iter().all(|pod| pod.object().unwrap()["metadata"]["labels"]["version"] == "v2"));
    assert!(!file.exists(), "the old pod's object is gone");
    assert!(first[0].get("http://127.0.0.1/").is_err(), "the old pod's program has ended");

    cluster.scale("default", "web", 3)?;
    cluster.wait_ready(PATIENCE)?;
    assert_eq!(cluster.pods_of("default", "web").len(), 3);
    cluster.delete("Deployment", "default", "web")?;
    cluster.wait_ready(PATIENCE)?;
    assert!(cluster.pods_of("default", "web").is_empty());
    Ok(())
}

#[test]
fn what_cannot_run_is_refused_with_its_reason() -> Result<()> {
    let cluster = Cluster::new("refusals")?.node("a")?;
    let pod = |spec: &str| format!("kind: Pod\nmetadata: {{name: p}}\nspec: {spec}\n");
    let error = cluster.apply(&pod("{containers: [{name: db, image: mysql}]}")).unwrap_err();
    assert!(format!("{error:#}").contains("Pod default/p") && format!("{error:#}").contains("mysql"), "{error:#}");
    cluster.apply(&pod("{nodeName: z, containers: [{name: s, image: sleep}]}"))?;
    let error = cluster.wait_ready(Duration::from_millis(300)).unwrap_err();
    assert!(format!("{error:#}").contains("no node \"z\""), "{error:#}");
    cluster.delete("Pod", "default", "p")?;
    cluster.apply(&pod("{containers: [{name: s, image: x, command: [sh, -c, 'echo so sad; exit 3']}]}"))?;
    eventually(PATIENCE, || {
        // A program without ports counts as running until it has ended.
        let Err(error) = cluster.wait_ready(Duration::from_millis(50)) else { bail!("it seems to run") };
        let text = format!("{error:#}");
        ensure!(text.contains("exit status: 3") && text.contains("so sad"), "{text}");
        Ok(())
    });
    Ok(())
}

#[test]
fn failures_keep_their_kind() -> Result<()> {
    let cluster = Cluster::new("failures")?.node("a")?;
    let server = cluster.workload("server").start()?;
    let client = cluster.workload("client").start()?;
    let url = |port: u16| format!("http://{}:{port}/", server.ip());
    let failure = |port: u16| {
        let request = client.request("GET", &url(port)).timeout(Duration::from_millis(300));
        let failure = request.send().expect_err("nothing answers properly there");
        (failure.kind, failure.step)
    };
    assert_eq!(failure(1), (FailureKind::Refused, Step::Connect));
    let silent = server.listen(7001)?;
    assert_eq!(failure(7001), (FailureKind::Timeout, Step::Receive));
    drop(silent);
    let listener = server.listen(7002)?;
    let playing = std::thread::spawn(move || -> Result<()> {
        // Closed with unread bytes: a reset. Closed after reading: an orderly end. Then something else than HTTP.
        let mut buffer = [0; 1024];
        let stream = listener.accept()?.0;
        ensure!(stream.peek(&mut buffer)? > 0);
        drop(stream);
        let mut stream = listener.accept()?.0;
        ensure!(stream.read(&mut buffer)? > 0);
        drop(stream);
        let mut stream = listener.accept()?.0;
        ensure!(stream.read(&mut buffer)? > 0);
        stream.write_all(b"220 ready\r\n\r\n")?;
        Ok(())
    });
    let reset = failure(7002);
    assert_eq!(reset.0, FailureKind::Reset, "{reset:?}");
    assert_eq!(failure(7002), (FailureKind::Closed, Step::Receive));
    assert_eq!(failure(7002), (FailureKind::Malformed, Step::Receive));
    playing.join().unwrap()?;
    let nowhere = client.request("GET", "http://192.0.2.1/").timeout(Duration::from_millis(300)).send().unwrap_err();
    assert_eq!((nowhere.kind, nowhere.step), (FailureKind::Unreachable, Step::Connect), "{nowhere}");
    Ok(())
}

#[test]
fn connections_are_kept_and_odd_bytes_are_sent() -> Result<()> {
    let cluster = Cluster::new("connections")?.node("a")?;
    let server = nginx(&cluster, "web", "a")?;
    let client = cluster.workload("client").start()?;
    let url = format!("http://{}/", server.ip());
    let capture = server.capture("eth0", 80)?;
    let mut connection = client.connection(&url)?;
    for _ in 0..5 {
        assert_eq!(connection.get(&url)?.status, 200);
        assert!(connection.is_open());
    }
    assert_eq!(connection.request("HEAD", &url, &[("x-a", "b")], &[])?.status, 200);
    assert_eq!(capture.packets().iter().filter(|packet| packet.is_syn()).count(), 1, "one connection");
    let mut raw = client.connect(&format!("{}:80", server.ip()))?;
    raw.write_all(b"BREW / HTCPCP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    raw.read_to_string(&mut answer)?;
    assert!(answer.contains("400 Bad Request"), "{answer}");
    Ok(())
}

#[test]
fn captures_see_what_is_on_the_wire_and_nothing_else() -> Result<()> {
    let cluster = two_nodes("captures")?;
    let server = nginx(&cluster, "web", "b")?;
    let client = cluster.workload("client").node("a").start()?;
    let (eth0, lo) = (server.capture("eth0", 80)?, server.capture("lo", 80)?);
    let request = client.request("GET", &format!("http://{}/?secret-word", server.ip()));
    assert_eq!(request.send()?.status, 200);
    assert!(eth0.contains("Welcome to nginx!") && eth0.contains("GET /?secret-word"));
    assert!(!eth0.contains("another word") && lo.packets().is_empty());
    let syn = eth0.packets().into_iter().find(weft_testbed::Packet::is_syn).expect("the handshake was seen");
    assert_eq!((syn.source.ip(), syn.destination.ip()), (client.ip(), server.ip()));
    server.get("http://127.0.0.1/?on-lo")?;
    assert!(lo.contains("on-lo") && lo.contains("Welcome to nginx!") && !eth0.contains("on-lo"));
    assert_eq!(lo.packets().iter().filter(|packet| packet.is_syn()).count(), 1, "seen once, not twice");
    lo.clear();
    assert!(!lo.contains("on-lo"));
    Ok(())
}

#[test]
fn network_policies_drop_what_they_do_not_allow() -> Result<()> {
    let cluster = two_nodes("policies")?;
    cluster.service("web").port(80, 80).apply()?;
    nginx(&cluster, "web", "b")?;
    let [friend, stranger] = ["friend", "stranger"].map(|name| cluster.workload(name).node("a").start().unwrap());
    let status =
        |from: &Pod| from.request("GET", "http://web/").timeout(Duration::from_millis(400)).send().map(|r| r.status);
    assert_eq!((status(&friend)?, status(&stranger)?), (200, 200));
    cluster.apply(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: web}\nspec:\n  podSelector: {matchLabels: {app: web}}\n  \
         policyTypes: [Ingress]\n  ingress:\n  - from: [{podSelector: {matchLabels: {app: friend}}}]\n    ports: [{port: 80}]\n",
    )?;
    assert_eq!(status(&friend)?, 200);
    assert_eq!(status(&stranger).unwrap_err().kind, FailureKind::Timeout);
    cluster.delete("NetworkPolicy", "default", "web")?;
    assert_eq!(status(&stranger)?, 200);
    Ok(())
}

#[test]
fn an_exec_probe_in_the_pods_own_tmp_decides_about_readiness() -> Result<()> {
    let cluster = Cluster::new("probes")?.node("a")?;
    cluster.apply(
        "kind: Pod\nmetadata: {name: tool, labels: {app: tool}}\nspec:\n  containers:\n  - {name: tool, image: network-multitool, \
         ports: [{containerPort: 80}], readinessProbe: {exec: {command: [cat, /tmp/ready]}}}\n",
    )?;
    cluster.service("tool").port(80, 80).apply()?;
    let pod = eventually(PATIENCE, || cluster.pod("default", "tool"));
    let file = cluster.dir().join("manifests/pod.default.tool.yaml");
    eventually(PATIENCE, || {
        ensure!(file.exists());
        Ok(())
    });
    assert!(!pod.is_ready());
    pod.exec("touch", &["/tmp/ready"])?;
    assert!(!std::path::Path::new("/tmp/ready").exists());
    cluster.wait_ready(PATIENCE)?;
    assert_eq!(pod.get("http://tool/")?.text().trim(), "tool");
    pod.exec("rm", &["/tmp/ready"])?;
    eventually(PATIENCE, || {
        ensure!(!pod.is_ready());
        Ok(())
    });
    Ok(())
}

#[test]
fn eight_pods_on_two_nodes_are_up_quickly() -> Result<()> {
    let started = Instant::now();
    let cluster = two_nodes("speed")?;
    cluster.workload("web").program(Program::Nginx).replicas(8).start_all()?;
    let elapsed = started.elapsed();
    println!("two nodes and eight pods: {elapsed:?}");
    assert!(elapsed < Duration::from_secs(5), "{elapsed:?} is far above the usual second, even for a busy machine");
    Ok(())
}

#[test]
fn clusters_with_the_same_addresses_do_not_meet() -> Result<()> {
    let [one, two] = ["one", "two"].map(|name| Cluster::new(name).unwrap().node("a").unwrap());
    let server = nginx(&one, "web", "a")?;
    let [near, apart] = [&one, &two].map(|cluster| cluster.workload("client").start().unwrap());
    assert_eq!(near.get(&format!("http://{}/", server.ip()))?.status, 200);
    let request = apart.request("GET", &format!("http://{}/", server.ip())).timeout(Duration::from_millis(300));
    // In its own cluster that address is the client itself, and nothing listens there.
    assert_eq!(apart.ip(), server.ip());
    assert_eq!(request.send().unwrap_err().kind, FailureKind::Refused);
    Ok(())
}

#[test]
fn the_world_outside_is_reached_by_name_and_reaches_load_balancers() -> Result<()> {
    let cluster = two_nodes("world")?;
    let address = cluster.outside_program("example.org", &Program::Nginx)?;
    let client = cluster.workload("client").start()?;
    let output = client.exec("curl", &["-s", "-w", "%{remote_ip}", "http://example.org/"])?;
    assert!(output.stdout.contains("Welcome to nginx!") && output.stdout.ends_with(&address.to_string()), "{output:?}");
    nginx(&cluster, "web", "b")?;
    cluster.apply(
        "kind: Service\nmetadata: {name: web}\nspec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 8081, targetPort: 80}]}\n",
    )?;
    let service = cluster.object("Service", "default", "web")?;
    let public = service["status"]["loadBalancer"]["ingress"][0]["ip"].as_str().unwrap().to_owned();
    assert_eq!(cluster.outside().get(&format!("http://{public}:8081/"))?.status, 200);
    assert!(cluster.outside().get(&format!("http://{public}:8082/")).is_err());
    Ok(())
}

#[test]
fn a_load_goes_on_while_the_test_does_something_else() -> Result<()> {
    let cluster = Cluster::new("load")?.node("a")?;
    cluster.service("web").port(80, 80).apply()?;
    let server = nginx(&cluster, "web", "a")?;
    let client = cluster.workload("client").start()?;
    let load = client.load("http://web/", &[], 100);
    std::thread::sleep(Duration::from_millis(500));
    server.set_ready(false)?;
    std::thread::sleep(Duration::from_millis(500));
    let answers = load.finish();
    // A hundred a second for a second; the second half found no endpoint.
    assert!((60..=105).contains(&answers.results.len()), "{:?}", answers.summary());
    let refused = answers.failures().filter(|failure| failure.kind == FailureKind::Refused).count();
    assert!((20..=60).contains(&refused) && refused == answers.failures().count(), "{:?}", answers.summary());
    assert!(answers.quantile(0.5) < Duration::from_millis(50), "{:?}", answers.quantile(0.5));
    Ok(())
}
