//! What is captured and what is left alone: whatever an enrolled pod dials by TCP, however it dials, and nothing else.
//!
//! The server in these tests tells a client who it seems to be. A direct connection shows the client's own port; one that went
//! through an agent shows the client's address with the agent's port.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use weft_testbed::{Cluster, Place, Pod, Program, Server, eventually};

const PATIENCE: Duration = Duration::from_secs(20);

/// Tells each client its address, before it says anything.
fn who_am_i(place: &Place, port: u16) -> Result<Server> {
    place.serve(port, |mut stream, peer| {
        // A client that has gone need not know.
        let _ = stream.write_all(format!("{peer}\n").as_bytes());
    })
}

/// Whether the connection reached its server without an agent in between; the client's address must be right either way.
fn is_direct(stream: TcpStream, own: IpAddr) -> Result<bool> {
    let port = stream.local_addr()?.port();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).context("reading who I am")?;
    let seen: SocketAddr = line.trim().parse().with_context(|| format!("the server said {line:?}"))?;
    ensure!(seen.ip() == own, "the server saw {seen} instead of {own}");
    Ok(seen.port() == port)
}

fn dials_directly(client: &Pod, address: IpAddr, port: u16) -> Result<bool> {
    let own = if address.is_ipv6() { client.ip6() } else { client.ip() };
    is_direct(client.connect(&SocketAddr::new(address, port).to_string())?, own)
}

/// A pod outside the mesh.
fn outsider(cluster: &Cluster, name: &str, node: &str) -> Result<Pod> {
    cluster.workload(name).node(node).label("sidecar.istio.io/inject", "false").start()
}

fn insider(cluster: &Cluster, name: &str, node: &str) -> Result<Pod> {
    let pod = cluster.workload(name).node(node).start()?;
    pod.wait_captured(true)?;
    Ok(pod)
}

#[test]
fn pods_outside_the_mesh_and_the_nodes_are_left_alone() -> Result<()> {
    let cluster = Cluster::mesh("outside")?;
    let (client, server) = (outsider(&cluster, "client", "a")?, outsider(&cluster, "server", "b")?);
    let inside = insider(&cluster, "inside", "b")?;
    let _servers = [who_am_i(&server, 9001)?, who_am_i(&inside, 9001)?];
    for address in [server.ip(), server.ip6()] {
        assert!(dials_directly(&client, address, 9001)?, "{address}");
    }
    let stream = client.connect(&format!("{}:9001", server.ip()))?;
    assert_eq!(stream.peer_addr()?, SocketAddr::new(server.ip(), 9001), "getpeername is what was dialled");
    assert_eq!(socket2::SockRef::from(&stream).mark()?, 0, "no mark");
    for (name, place) in [("rules", client.exec("ip", &["rule"])?), ("rules6", client.exec("ip", &["-6", "rule"])?)] {
        assert!(!place.stdout.contains("7337"), "{name}: {}", place.stdout);
    }
    // A program of the node, which no pod's policy concerns.
    let node = cluster.on_node("a")?;
    let stream = node.connect(&format!("{}:9001", server.ip()))?;
    assert_eq!(socket2::SockRef::from(&stream).mark()?, 0);
    let own = stream.local_addr()?.ip();
    assert!(is_direct(stream, own)?);
    // Into the mesh both go through the agent of the server, which shows them as they are.
    assert!(!dials_directly(&client, inside.ip(), 9001)?);
    let stream = node.connect(&format!("{}:9001", inside.ip()))?;
    let own = stream.local_addr()?.ip();
    assert!(!is_direct(stream, own)?);
    Ok(())
}

#[test]
fn excluded_ports_and_networks_go_past_the_agent_and_all_others_do_not() -> Result<()> {
    let cluster = Cluster::mesh("exclude")?;
    let servers = [outsider(&cluster, "one", "b")?, outsider(&cluster, "two", "b")?];
    let _serving: Vec<Server> =
        servers.iter().flat_map(|server| [9001, 9002].map(|port| who_am_i(server, port))).collect::<Result<_>>()?;
    let annotated = |name: &str, annotation: &str, value: &str| {
        let name_of = format!("traffic.sidecar.istio.io/{annotation}");
        cluster.workload(name).node("a").annotation(&name_of, value).start()
    };
    let ports = annotated("ports", "excludeOutboundPorts", "9001, 4000")?;
    let nets =
        annotated("nets", "excludeOutboundIPRanges", &format!("{}/32,{}/128", servers[0].ip(), servers[0].ip6()))?;
    let only = annotated("only", "includeOutboundIPRanges", &format!("{}/32", servers[0].ip()))?;
    let inbound = annotated("inbound", "excludeInboundPorts", "9001")?;
    let _inbound = [who_am_i(&inbound, 9001)?, who_am_i(&inbound, 9002)?];
    let plain = outsider(&cluster, "plain", "b")?;
    let [one, two] = [servers[0].ip(), servers[1].ip()];
    let expected = [
        (&ports, one, 9001, true),
        (&ports, servers[0].ip6(), 9001, true),
        (&ports, one, 9002, false),
        (&nets, one, 9001, true),
        (&nets, servers[0].ip6(), 9002, true),
        (&nets, two, 9001, false),
        (&nets, servers[1].ip6(), 9001, false),
        (&only, one, 9001, false),
        (&only, two, 9001, true),
        (&plain, inbound.ip(), 9001, true),
        (&plain, inbound.ip6(), 9001, true),
        (&plain, inbound.ip(), 9002, false),
        (&inbound, one, 9001, false),
    ];
    for (client, address, port, direct) in expected {
        eventually(PATIENCE, || {
            let seen = dials_directly(client, address, port)?;
            ensure!(seen == direct, "{} to {address}:{port} is direct: {seen}", client.name());
            Ok(())
        });
    }
    Ok(())
}

#[test]
fn changing_what_is_excluded_never_opens_the_pod() -> Result<()> {
    let cluster = Cluster::mesh("exclude-live")?;
    let server = outsider(&cluster, "server", "b")?;
    let _serving = [who_am_i(&server, 9001)?, who_am_i(&server, 9002)?];
    let client = insider(&cluster, "client", "a")?;
    let annotation = "traffic.sidecar.istio.io/excludeOutboundPorts";
    let end = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (client, server, end) = (&client, &server, &end);
        let watching = scope.spawn(move || -> Result<usize> {
            let mut count = 0;
            while !end.load(std::sync::atomic::Ordering::SeqCst) {
                ensure!(!dials_directly(client, server.ip(), 9002)?, "connection {count} went past the agent");
                count += 1;
            }
            Ok(count)
        });
        for direct in [true, false, true, false] {
            client.set_annotation(annotation, if direct { "9001" } else { "4000" })?;
            eventually(PATIENCE, || {
                ensure!(dials_directly(client, server.ip(), 9001)? == direct, "exclusion is not {direct}");
                Ok(())
            });
        }
        end.store(true, std::sync::atomic::Ordering::SeqCst);
        let count = watching.join().expect("the watcher panicked")?;
        ensure!(count > 4, "only {count} connections while it changed");
        Ok(())
    })
}

#[test]
fn a_pod_reaches_itself() -> Result<()> {
    let cluster = Cluster::mesh("hairpin")?;
    cluster.service("own").port(80, 5000).dual_stack().apply()?;
    let own = cluster.workload("own").node("a").program(Program::Echo { port: 5000 }).start()?;
    own.wait_captured(true)?;
    let agent = cluster.agent_of(&own)?;
    // Through its own Service it is a client like any other: by mTLS, with its identity.
    assert_eq!(own.get_many("http://own/", &[], 100, 4).count(|response| response.status == 200), 100);
    let warm = own.get("http://own/")?;
    assert!(warm.text().contains("spiffe://cluster.local/ns/default/sa/default"), "{}", warm.text());
    let seen = [own.ip(), own.ip6()].map(|address| format!("\"peer_address\":\"{address}\""));
    assert!(seen.iter().any(|address| warm.text().contains(address)), "{}", warm.text());
    let before = agent.descriptors()?;
    let answers = own.get_many("http://own/", &[], 200, 4);
    assert_eq!(answers.count(|response| response.status == 200), 200, "{:?}", answers.summary());
    let vip6 = own.addresses_of("own").into_iter().find(IpAddr::is_ipv6).context("no IPv6 address")?;
    let by_v6 = own.get(&format!("http://[{vip6}]/"))?;
    assert!(by_v6.text().contains("spiffe://"), "{}", by_v6.text());
    // By its own address and by loopback it talks to itself as without a mesh.
    for host in [own.ip().to_string(), format!("[{}]", own.ip6()), "127.0.0.1".to_owned(), "[::1]".to_owned()] {
        let answers = own.get_many(&format!("http://{host}:5000/"), &[], 20, 2);
        assert_eq!(answers.count(|response| response.status == 200), 20, "{host}: {:?}", answers.summary());
    }
    eventually(PATIENCE, || {
        let now = agent.descriptors()?;
        ensure!(now <= before + 20, "{now} descriptors, {before} before");
        Ok(())
    });
    Ok(())
}

#[test]
fn no_way_of_dialling_slips_past() -> Result<()> {
    let cluster = Cluster::mesh("slip")?;
    let server = outsider(&cluster, "server", "b")?;
    let _serving = who_am_i(&server, 9001)?;
    let client = insider(&cluster, "client", "a")?;
    let v4 = SocketAddr::new(server.ip(), 9001);
    let v6 = SocketAddr::new(server.ip6(), 9001);
    let IpAddr::V4(server4) = server.ip() else { anyhow::bail!("an IPv4 address") };
    let mapped = SocketAddr::new(server4.to_ipv6_mapped().into(), 9001);
    let (own4, own6) = (SocketAddr::new(client.ip(), 0), SocketAddr::new(client.ip6(), 0));
    type Prepare<'a> = Box<dyn Fn(&Socket) -> std::io::Result<()> + Send + Sync + 'a>;
    let ways: Vec<(&str, SocketAddr, Prepare<'_>)> = vec![
        ("plainly", v4, Box::new(|_| Ok(()))),
        ("IPv6", v6, Box::new(|_| Ok(()))),
        ("v4-mapped", mapped, Box::new(|_| Ok(()))),
        ("bound to a device", v4, Box::new(|socket| socket.bind_device(Some(b"eth0")))),
        ("bound to a device, IPv6", v6, Box::new(|socket| socket.bind_device(Some(b"eth0")))),
        ("bound to an address", v4, Box::new(|socket| socket.bind(&own4.into()))),
        ("bound to an address, IPv6", v6, Box::new(|socket| socket.bind(&own6.into()))),
        ("with another mark", v4, Box::new(|socket| socket.set_mark(77))),
        ("with another mark, IPv6", v6, Box::new(|socket| socket.set_mark(77))),
        ("with the agent's mark", v4, Box::new(|socket| socket.set_mark(0x7e77_0001))),
        ("non-blocking", v4, Box::new(|socket| socket.set_nonblocking(true))),
    ];
    for (way, address, prepare) in &ways {
        let stream = client.netns().run(|| dial(*address, prepare))?.with_context(|| (*way).to_owned())?;
        let own = if address.is_ipv6() && *address != mapped { client.ip6() } else { client.ip() };
        assert!(!is_direct(stream, own).with_context(|| (*way).to_owned())?, "{way}: went past the agent");
    }
    // MPTCP sockets of kernels that have them are captured like others.
    let mptcp = client.netns().run(|| dial_protocol(v4, Protocol::MPTCP, |_| Ok(())))?;
    if let Ok(stream) = mptcp {
        assert!(!is_direct(stream, client.ip())?, "MPTCP went past the agent");
    }
    Ok(())
}

fn dial(address: SocketAddr, prepare: impl Fn(&Socket) -> std::io::Result<()>) -> std::io::Result<TcpStream> {
    dial_protocol(address, Protocol::TCP, prepare)
}

fn dial_protocol(
    address: SocketAddr,
    protocol: Protocol,
    prepare: impl Fn(&Socket) -> std::io::Result<()>,
) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(protocol))?;
    prepare(&socket)?;
    match socket.connect(&SockAddr::from(address)) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
        _ => {}
    }
    std::thread::sleep(Duration::from_millis(20));
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(socket.into())
}

#[test]
fn ipv6_is_secured_from_end_to_end() -> Result<()> {
    let cluster = Cluster::mesh("six")?;
    cluster.service("server").port(80, 5000).dual_stack().apply()?;
    let server = cluster.workload("server").node("b").program(Program::Echo { port: 5000 }).start()?;
    let client = insider(&cluster, "client", "a")?;
    server.wait_captured(true)?;
    let vip = client.addresses_of("server").into_iter().find(IpAddr::is_ipv6).context("no IPv6 address")?;
    let wire = server.capture("eth0", 5000)?;
    for url in [format!("http://[{vip}]/secret-6"), format!("http://[{}]:5000/secret-6", server.ip6())] {
        let answer = client.get(&url)?;
        assert_eq!(answer.status, 200, "{url}: {answer:?}");
        assert!(answer.text().contains("spiffe://cluster.local/ns/default/sa/default"), "{url}: {}", answer.text());
    }
    let direct = client.get(&format!("http://[{}]:5000/secret-6", server.ip6()))?;
    assert!(direct.text().contains(&format!("\"peer_address\":\"{}\"", client.ip6())), "{}", direct.text());
    assert!(!wire.packets().is_empty() && !wire.contains("secret-6"), "ciphertext on the wire");
    Ok(())
}

#[test]
fn udp_is_left_alone() -> Result<()> {
    let cluster = Cluster::mesh("udp")?;
    let (client, server) = (insider(&cluster, "client", "a")?, insider(&cluster, "server", "b")?);
    for (own, peer) in [(client.ip(), server.ip()), (client.ip6(), server.ip6())] {
        let listening = server.netns().run(|| UdpSocket::bind((peer, 5353)))??;
        listening.set_read_timeout(Some(Duration::from_secs(5)))?;
        let socket = client.netns().run(|| -> std::io::Result<UdpSocket> {
            let socket = UdpSocket::bind((own, 0))?;
            socket.connect((peer, 5353))?;
            Ok(socket)
        })??;
        socket.send(b"datagram")?;
        let mut bytes = [0; 32];
        let (count, from) = listening.recv_from(&mut bytes)?;
        assert_eq!((&bytes[..count], from), (&b"datagram"[..], socket.local_addr()?));
    }
    Ok(())
}

#[test]
fn two_meshes_on_one_machine_do_not_know_each_other() -> Result<()> {
    // Without a keeper, so that it shows at once when an agent is dead.
    let clusters = [Cluster::mesh_with("first", &["--hold-seconds=0"])?, Cluster::mesh("second")?];
    let mut pods = Vec::new();
    for cluster in &clusters {
        cluster.service("server").port(80, 5000).apply()?;
        let server = cluster.workload("server").node("b").program(Program::Echo { port: 5000 }).start()?;
        server.wait_captured(true)?;
        pods.push(insider(cluster, "client", "a")?);
    }
    let works = |index: usize| -> Result<()> {
        let answer = pods[index].get("http://server/")?;
        ensure!(answer.status == 200 && answer.text().contains("spiffe://"), "{answer:?}");
        Ok(())
    };
    works(0)?;
    works(1)?;
    clusters[0].agent("a")?.kill9()?;
    let started = Instant::now();
    assert!(pods[0].get("http://server/").is_err(), "its agent is dead");
    assert!(started.elapsed() < Duration::from_secs(1));
    works(1)?;
    clusters[1].agent("a")?.stop()?;
    assert!(pods[0].get("http://server/").is_err(), "the other mesh's agent leaves alone what is not its own");
    assert_eq!(pods[1].get("http://server/")?.status, 200, "a stopped agent leaves its pods as they were");
    Ok(())
}
