//! Pods enter the mesh and leave it, agents die and come back: nothing open breaks, nothing passes unsecured, nothing is left over.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use weft_testbed::cleanup::BPF_DIR;
use weft_testbed::{Cluster, FailureKind, Place, Pod, Program, Server, Step, eventually};

const PATIENCE: Duration = Duration::from_secs(20);
/// The label by which a pod enters the mesh or stays out.
const INJECT: &str = "sidecar.istio.io/inject";

/// A pod outside the mesh.
fn outsider(cluster: &Cluster, name: &str, program: Program) -> Result<Pod> {
    cluster.workload(name).node("b").label(INJECT, "false").program(program).start()
}

/// Sends each line back, with the port the client seems to have.
fn lines(place: &Place, port: u16) -> Result<Server> {
    place.serve(port, |stream, peer| {
        let Ok(mut answer) = stream.try_clone() else { return };
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if answer.write_all(format!("{} {line}\n", peer.port()).as_bytes()).is_err() {
                return;
            }
        }
    })
}

/// An open stream to [`lines`].
struct Talk(BufReader<TcpStream>);

impl Talk {
    fn open(from: &Place, address: &str) -> Result<Self> {
        Ok(Self(BufReader::new(from.connect(address).with_context(|| format!("{} to {address}", from.name()))?)))
    }

    /// Says something and hears it back; true when no agent is in between.
    fn is_direct(&mut self) -> Result<bool> {
        let own = self.0.get_ref().local_addr()?.port();
        self.0.get_mut().write_all(b"still here\n")?;
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        let (port, said) = line.trim_end().split_once(' ').with_context(|| format!("{line:?}"))?;
        ensure!(said == "still here", "{line:?}");
        Ok(port.parse::<u16>()? == own)
    }
}

#[test]
fn entering_and_leaving_the_mesh_breaks_nothing_open() -> Result<()> {
    let cluster = Cluster::mesh("enter")?;
    let friend = outsider(&cluster, "friend", Program::Echo { port: 5000 })?;
    let pod = cluster.workload("pod").namespace("late").node("a").program(Program::Echo { port: 5000 }).start()?;
    let _servers = [lines(&friend, 9001)?, lines(&pod, 9001)?];
    let (to_friend, to_pod) = (format!("{}:9001", friend.ip()), format!("{}:9001", pod.ip()));
    let urls = [format!("http://{}:5000/", friend.ip()), format!("http://{}:5000/", pod.ip())];
    let mut direct = [Talk::open(&pod, &to_friend)?, Talk::open(&friend, &to_pod)?];
    let mut kept = [pod.connection(&urls[0])?, friend.connection(&urls[1])?];
    let mut check = |direct: &mut [Talk; 2], expected: bool| -> Result<()> {
        for (talk, way) in direct.iter_mut().zip(["out", "in"]) {
            ensure!(talk.is_direct().with_context(|| way)? == expected, "{way} changed its way");
        }
        for (connection, url) in kept.iter_mut().zip(&urls) {
            ensure!(connection.get(url)?.status == 200, "{url}");
        }
        Ok(())
    };
    check(&mut direct, true)?;
    for round in 0..2 {
        cluster.enrol("late", true)?;
        pod.wait_captured(true)?;
        check(&mut direct, true).with_context(|| format!("entered, round {round}"))?;
        let mut captured = [Talk::open(&pod, &to_friend)?, Talk::open(&friend, &to_pod)?];
        let mut requests = [pod.connection(&urls[0])?, friend.connection(&urls[1])?];
        for talk in &mut captured {
            ensure!(!talk.is_direct()?, "a new connection is captured");
        }
        for (connection, url) in requests.iter_mut().zip(&urls) {
            ensure!(connection.get(url)?.status == 200, "{url}");
        }
        cluster.enrol("late", false)?;
        pod.wait_captured(false)?;
        check(&mut direct, true).with_context(|| format!("left, round {round}"))?;
        std::thread::sleep(Duration::from_millis(300));
        for talk in &mut captured {
            ensure!(!talk.is_direct().context("a captured connection after leaving")?, "it changed its way");
        }
        for (connection, url) in requests.iter_mut().zip(&urls) {
            let answer = connection.get(url).context("a kept connection after leaving")?;
            ensure!(answer.status == 200, "{url}: {answer:?}");
        }
        ensure!(Talk::open(&pod, &to_friend)?.is_direct()? && Talk::open(&friend, &to_pod)?.is_direct()?);
        // Its route stays for those who use it, and goes with the last of them.
        ensure!(pod.exec("ip", &["rule"])?.stdout.contains("7337"), "the route went under open connections");
        drop((captured, requests));
        eventually(PATIENCE, || no_capture_route(&pod));
    }
    Ok(())
}

fn no_capture_route(pod: &Pod) -> Result<()> {
    for family in ["-4", "-6"] {
        let rules = pod.exec("ip", &[family, "rule"])?.stdout;
        ensure!(!rules.contains("7337"), "{family}: {rules}");
        let routes = pod.exec("ip", &[family, "route", "show", "table", "7337"])?.stdout;
        ensure!(routes.trim().is_empty(), "{family}: {routes}");
    }
    Ok(())
}

/// Who is in the mesh knows that another pod is about to join a moment before that one is captured.
#[test]
fn a_pod_that_joins_under_load_is_reached_all_the_time() -> Result<()> {
    let cluster = Cluster::mesh("joining")?;
    cluster.service("server").namespace("late").port(80, 5000).apply()?;
    let server =
        cluster.workload("server").namespace("late").node("b").program(Program::Echo { port: 5000 }).start()?;
    let client = cluster.workload("client").node("a").start()?;
    client.wait_captured(true)?;
    eventually(PATIENCE, || {
        ensure!(client.get("http://server.late/")?.status == 200);
        Ok(())
    });
    for round in 0..5 {
        let load = client.load("http://server.late/", &[], 200);
        for enrolled in [true, false] {
            std::thread::sleep(Duration::from_millis(300));
            cluster.enrol("late", enrolled)?;
            server.wait_captured(enrolled)?;
        }
        std::thread::sleep(Duration::from_millis(300));
        let answers = load.finish();
        let served = answers.count(|response| response.status == 200);
        ensure!(served == answers.results.len(), "round {round}: {:?}", answers.summary());
    }
    Ok(())
}

/// Settings of a pod's namespace that capture switches on.
const SETTINGS: [&str; 3] = ["ipv4/tcp_fwmark_accept", "ipv4/fwmark_reflect", "ipv6/fwmark_reflect"];

/// Their values, in order.
fn settings(pod: &Pod) -> Result<[String; 3]> {
    let mut values = [const { String::new() }; 3];
    for (value, name) in values.iter_mut().zip(SETTINGS) {
        *value = pod.exec("cat", &[&format!("/proc/sys/net/{name}")])?.stdout.trim().to_owned();
    }
    Ok(values)
}

#[test]
fn a_pods_settings_are_as_they_were_when_it_leaves() -> Result<()> {
    let cluster = Cluster::mesh("settings")?;
    let pod = cluster.workload("pod").namespace("late").node("a").start()?;
    pod.exec("sh", &["-c", "echo 1 > /proc/sys/net/ipv6/fwmark_reflect"])?;
    let before = settings(&pod)?;
    assert_eq!(before, ["0", "0", "1"]);
    for round in 0..2 {
        cluster.enrol("late", true)?;
        pod.wait_captured(true)?;
        assert_eq!(settings(&pod)?, ["1", "1", "1"]);
        // Whoever takes over finds them all on, and still knows which were.
        cluster.agent("a")?.kill9()?;
        cluster.agent("a")?.start()?;
        pod.wait_captured(true)?;
        cluster.enrol("late", false)?;
        pod.wait_captured(false)?;
        eventually(PATIENCE, || {
            let now = settings(&pod)?;
            ensure!(now == before, "round {round}: {now:?}");
            Ok(())
        });
    }
    Ok(())
}

/// A client and a server with its Service, both enrolled, on two nodes.
fn pair(cluster: &Cluster) -> Result<(Pod, Pod)> {
    cluster.service("server").port(80, 5000).apply()?;
    let server = cluster.workload("server").node("b").program(Program::Echo { port: 5000 }).start()?;
    let client = cluster.workload("client").node("a").start()?;
    client.wait_captured(true)?;
    server.wait_captured(true)?;
    Ok((client, server))
}

fn works(client: &Pod) -> Result<()> {
    let answer = client.get("http://server/")?;
    ensure!(answer.status == 200 && answer.text().contains("spiffe://"), "{answer:?}");
    Ok(())
}

#[test]
fn without_agent_and_keeper_connections_are_refused_at_once_until_an_agent_is_back() -> Result<()> {
    let cluster = Cluster::mesh_with("death", &["--hold-seconds=0"])?;
    let (client, server) = pair(&cluster)?;
    let stranger = outsider(&cluster, "stranger", Program::Echo { port: 5000 })?;
    for round in 0..2 {
        works(&client)?;
        for node in ["a", "b"] {
            cluster.agent(node)?.kill9()?;
        }
        for url in [
            "http://server/".to_owned(),
            format!("http://{}:5000/", stranger.ip()),
            format!("http://[{}]:5000/", server.ip6()),
        ] {
            let failure = client.get(&url).expect_err("nobody secures it");
            assert_eq!((failure.kind, failure.step), (FailureKind::Refused, Step::Connect), "{url}: {failure}");
            assert!(failure.elapsed < Duration::from_millis(50), "{url}: {failure}");
        }
        for address in [format!("{}:5000", server.ip()), format!("[{}]:5000", server.ip6())] {
            let started = Instant::now();
            let error = stranger.connect(&address).expect_err("plain text must not pass");
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused, "{address}: {error}");
            assert!(started.elapsed() < Duration::from_millis(500), "a reset, not silence");
        }
        assert_eq!(server.get("http://127.0.0.1:5000/")?.status, 200, "what stays in the pod goes on");
        for node in ["a", "b"] {
            cluster.agent(node)?.start()?;
        }
        eventually(PATIENCE, || works(&client));
        eventually(PATIENCE, || {
            ensure!(stranger.get(&format!("http://{}:5000/", server.ip()))?.status == 200, "round {round}");
            Ok(())
        });
    }
    Ok(())
}

#[test]
fn a_stopped_agent_leaves_nothing_behind() -> Result<()> {
    let cluster = Cluster::mesh("stop")?;
    let (client, server) = pair(&cluster)?;
    works(&client)?;
    let pins = |node: &str| Path::new(BPF_DIR).join(format!("{}-{node}", cluster.id()));
    assert!(pins("a").join("links").exists());
    for (node, pod) in [("a", &client), ("b", &server)] {
        let rules = pod.exec("ip", &["rule"])?.stdout;
        assert!(rules.contains("7337"), "{rules}");
        let status = cluster.agent(node)?.stop()?;
        assert!(status.success(), "{status}");
        assert!(!pins(node).exists(), "pins of {node}");
        no_capture_route(pod)?;
        assert_eq!(settings(pod)?, ["0"; 3]);
    }
    let mut talk = {
        let _server = lines(&server, 9001)?;
        let mut talk = Talk::open(&client, &format!("{}:9001", server.ip()))?;
        assert!(talk.is_direct()?, "no hook, no lookup program");
        talk
    };
    assert!(talk.is_direct()?);
    assert!(client.get("http://server/")?.text().contains("hostname"));
    Ok(())
}

#[test]
fn a_pod_made_anew_under_its_old_name_has_its_new_identity() -> Result<()> {
    let cluster = Cluster::mesh("anew")?;
    let server = cluster.workload("server").node("b").program(Program::Echo { port: 5000 }).start()?;
    server.wait_captured(true)?;
    let url = format!("http://{}:5000/", server.ip());
    let mut namespaces = Vec::new();
    for account in ["first", "second", "third"] {
        cluster.apply(&format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: solo, labels: {{app: solo}}}}\nspec:\n  nodeName: a\n  \
             serviceAccountName: {account}\n  containers: [{{name: c, image: sleep}}]\n"
        ))?;
        cluster.wait_ready(PATIENCE)?;
        let pod = cluster.pod("default", "solo")?;
        pod.wait_captured(true)?;
        namespaces.push(pod.netns().name().to_owned());
        let answer = pod.get(&url)?;
        assert!(answer.text().contains(&format!("/ns/default/sa/{account}")), "{account}: {}", answer.text());
        pod.delete()?;
        eventually(PATIENCE, || {
            ensure!(cluster.pod("default", "solo").is_err(), "solo is still there");
            Ok(())
        });
    }
    assert_eq!(namespaces[0], namespaces[1], "the name of its network namespace is the same");
    Ok(())
}

#[test]
fn a_pod_cannot_claim_the_namespace_of_another() -> Result<()> {
    let cluster = Cluster::mesh("claim")?;
    let (client, _server) = pair(&cluster)?;
    let thief = cluster.workload("thief").node("a").service_account("thief").start()?;
    thief.wait_captured(true)?;
    thief.set_annotation("weft.dev/netns", client.netns().name())?;
    let agent = cluster.agent("a")?;
    eventually(PATIENCE, || {
        ensure!(agent.log().contains("not capturing what may be another pod"), "the claim was not refused");
        Ok(())
    });
    works(&client)?;
    assert!(!client.get("http://server/")?.text().contains("sa/thief"));
    assert!(client.reaches_agent(), "the true owner stays captured");
    Ok(())
}

#[test]
fn a_hundred_entries_and_exits_leave_no_descriptor() -> Result<()> {
    let cluster = Cluster::mesh("cycles")?;
    let (client, server) = pair(&cluster)?;
    let commuters: Vec<Pod> = (0..5)
        .map(|number| cluster.workload(&format!("commuter-{number}")).node("a").label(INJECT, "false").start())
        .collect::<Result<_>>()?;
    let agent = cluster.agent("a")?;
    let cycle = || -> Result<()> {
        for enter in ["true", "false"] {
            commuters.iter().try_for_each(|pod| pod.set_label(INJECT, enter))?;
            commuters.iter().try_for_each(|pod| pod.wait_captured(enter == "true"))?;
        }
        Ok(())
    };
    let settled = || -> Result<usize> {
        commuters.iter().for_each(|pod| eventually(PATIENCE, || no_capture_route(pod)));
        agent.descriptors()
    };
    cycle()?;
    let (before, started) = (settled()?, Instant::now());
    for _ in 0..20 {
        cycle()?;
    }
    println!("an entry and an exit take {:?}", started.elapsed() / 100);
    eventually(PATIENCE, || {
        let now = settled()?;
        ensure!(now <= before, "{now} descriptors, {before} before");
        Ok(())
    });
    works(&client)?;
    // And a thousand connections leave none, at either end.
    let agents = [agent, cluster.agent_of(&server)?];
    assert_eq!(client.get_many("http://server/", &[], 100, 8).count(|r| r.status == 200), 100);
    let before: Vec<usize> = agents.iter().map(|agent| agent.descriptors()).collect::<Result<_>>()?;
    let answers = client.get_many("http://server/", &[], 1000, 8);
    assert_eq!(answers.count(|response| response.status == 200), 1000, "{:?}", answers.summary());
    for (agent, before) in agents.iter().zip(before) {
        eventually(PATIENCE, || {
            let now = agent.descriptors()?;
            ensure!(now <= before + 16, "{now} descriptors, {before} before");
            Ok(())
        });
    }
    Ok(())
}

/// Applications with a short queue lose SYNs under load; the client's kernel repeats them, and so must a mesh.
#[test]
fn a_full_queue_of_the_application_delays_and_does_not_fail() -> Result<()> {
    let cluster = Cluster::mesh("queue")?;
    // Were a repeated SYN taken for a client's, it would be refused here.
    cluster.apply(
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default}\nspec: {mtls: {mode: STRICT}}\n",
    )?;
    let server = cluster.workload("server").node("b").start()?;
    let client = cluster.workload("client").node("a").service_account("someone").start()?;
    client.wait_captured(true)?;
    server.wait_captured(true)?;
    let listener = server.netns().run(|| -> std::io::Result<std::net::TcpListener> {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        socket.bind(&std::net::SocketAddr::new(server.ip(), 9001).into())?;
        socket.listen(1)?;
        Ok(socket.into())
    })??;
    let address = format!("{}:9001", server.ip());
    let end = AtomicBool::new(false);
    let (end, address) = (&end, &address);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            std::thread::sleep(Duration::from_millis(1500));
            listener.set_nonblocking(true).expect("non-blocking");
            while !end.load(Ordering::SeqCst) {
                match listener.accept() {
                    Ok((stream, peer)) => answer(stream, &peer.ip().to_string()),
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let client = &client;
                scope.spawn(move || -> Result<String> {
                    let mut stream = client.connect(address)?;
                    stream.write_all(b"\0opaque")?;
                    let mut text = String::new();
                    stream.read_to_string(&mut text)?;
                    Ok(text)
                })
            })
            .collect();
        let answers: Vec<Result<String>> = clients.into_iter().map(|thread| thread.join().expect("no panic")).collect();
        end.store(true, Ordering::SeqCst);
        for answer in answers {
            ensure!(answer.as_ref().is_ok_and(|text| *text == client.ip().to_string()), "{answer:?}");
        }
        Ok(())
    })
}

/// Reads what the client says first: closing with unread bytes would be a reset.
fn answer(mut stream: TcpStream, text: &str) {
    let ready = stream.set_nonblocking(false).and_then(|()| stream.set_read_timeout(Some(PATIENCE)));
    let mut said = [0; 64];
    if ready.and_then(|()| stream.read(&mut said)).is_ok() {
        let _ = stream.write_all(text.as_bytes());
    }
}
