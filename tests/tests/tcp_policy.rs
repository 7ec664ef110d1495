//! Who may talk to whom over plain connections, also when that changes while they talk; and what passes by the mesh.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use weft_testbed::{Cluster, Place, Pod, Program, Server, eventually};

/// The declared TCP port of Service `server`.
const TCP: u16 = 9000;
/// Its HTTP port.
const HTTP: u16 = 5000;
const PATIENCE: Duration = Duration::from_secs(15);
/// How soon a connection that is no longer allowed has to end.
const SOON: Duration = Duration::from_secs(3);

struct Mesh {
    cluster: Cluster,
    client: Pod,
    server: Pod,
    stranger: Pod,
    _echo: Server,
}

impl Mesh {
    fn new(name: &str) -> Result<Self> {
        let cluster = Cluster::mesh(name)?;
        cluster.service("server").port(80, HTTP).named_port("tcp", TCP, TCP).apply()?;
        let server = cluster.workload("server").node("b").program(Program::Echo { port: HTTP }).start()?;
        let client = cluster.workload("client").node("a").service_account("client").start()?;
        let stranger = cluster.workload("stranger").node("a").label("sidecar.istio.io/inject", "false").start()?;
        server.wait_captured(true)?;
        client.wait_captured(true)?;
        let _echo = echo(&server, TCP)?;
        Ok(Self { cluster, client, server, stranger, _echo })
    }

    fn require_mtls(&self, mode: &str) -> Result<()> {
        self.cluster.apply(&format!(
            "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {{name: default}}\nspec: {{mtls: {{mode: {mode}}}}}\n"
        ))
    }
}

fn echo(place: &Place, port: u16) -> Result<Server> {
    place.serve(port, |stream, _| {
        // Tests hold connections open for longer than a handler waits by itself.
        let _ = stream.set_read_timeout(None);
        let _ = io::copy(&mut &stream, &mut &stream);
    })
}

/// Says something and hears it back.
fn talks(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(b"\0word")?;
    let mut word = [0; 5];
    stream.read_exact(&mut word)
}

/// Waits for the connection's end, without saying anything, and returns after how long it came.
fn ends(stream: &mut TcpStream) -> Result<Duration> {
    let started = Instant::now();
    match stream.read(&mut [0; 8]) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(started.elapsed()),
        Ok(0) => Ok(started.elapsed()),
        other => anyhow::bail!("it goes on: {other:?}"),
    }
}

#[test]
fn permissive_takes_both_on_one_port_and_strict_resets_plain_text() -> Result<()> {
    let mesh = Mesh::new("modes")?;
    let tcp = format!("{}:{TCP}", mesh.server.ip());
    let http = format!("http://{}:{HTTP}/", mesh.server.ip());
    for place in [&mesh.client, &mesh.stranger] {
        talks(&mut place.connect(&tcp)?).with_context(|| place.name().to_owned())?;
        assert_eq!(place.get(&http)?.status, 200, "{}", place.name());
    }
    let inside = mesh.client.get(&http)?.text();
    assert!(inside.contains("sa/client"), "{inside}");
    let plain = mesh.stranger.request("GET", &http).header("x-forwarded-client-cert", "forged").send()?.text();
    assert!(!plain.to_ascii_lowercase().contains("x-forwarded-client-cert"), "a claim is not passed on: {plain}");
    let mut open = mesh.stranger.connect(&tcp)?;
    talks(&mut open)?;
    let mut kept = mesh.stranger.connection(&http)?;
    assert_eq!(kept.get(&http)?.status, 200);
    let mut allowed = mesh.client.connect(&tcp)?;
    talks(&mut allowed)?;
    mesh.require_mtls("STRICT")?;
    let after = ends(&mut open).context("an open plain connection")?;
    assert!(after < SOON, "ended after {after:?}");
    let refused = kept.get(&http).expect_err("a kept plain connection");
    println!("STRICT: closed after {after:?}, the kept one: {refused}");
    assert!(talks(&mut mesh.stranger.connect(&tcp)?).is_err(), "a new plain connection");
    assert!(mesh.stranger.get(&http).is_err());
    talks(&mut allowed).context("mTLS goes on")?;
    assert_eq!(mesh.client.get(&http)?.status, 200);
    Ok(())
}

#[test]
fn a_new_policy_ends_connections_that_it_forbids() -> Result<()> {
    let mesh = Mesh::new("live")?;
    let deny = |name: &str, rule: &str| {
        format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: {name}}}\nspec:\n  \
             selector: {{matchLabels: {{app: server}}}}\n  action: DENY\n  rules: [{rule}]\n"
        )
    };
    let tcp = format!("server:{TCP}");
    let (mut open, mut other) = (mesh.client.connect(&tcp)?, mesh.stranger.connect(&tcp)?);
    talks(&mut open)?;
    talks(&mut other)?;
    let mut kept = mesh.client.connection("http://server/")?;
    assert_eq!(kept.get("http://server/")?.status, 200);
    mesh.cluster.apply(&deny("client", "{from: [{source: {principals: [cluster.local/ns/default/sa/client]}}]}"))?;
    let after = ends(&mut open).context("the open connection of the denied")?;
    println!("DENY: closed after {after:?}");
    assert!(after < SOON, "ended after {after:?}");
    talks(&mut other).context("who is not denied goes on")?;
    assert_eq!(kept.get("http://server/")?.status, 403, "the kept connection of the denied");
    assert!(talks(&mut mesh.client.connect(&tcp)?).is_err());
    assert_eq!(mesh.client.get("http://server/")?.text(), "RBAC: access denied");
    mesh.cluster.delete("AuthorizationPolicy", "default", "client")?;
    eventually(PATIENCE, || Ok(talks(&mut mesh.client.connect(&tcp)?)?));
    // A stream that began as a request is judged as that request.
    let server = mesh.cluster.workload("chat").label("app", "server").node("b").start()?;
    server.wait_captured(true)?;
    let _upgrading = server.serve(7070, |mut stream, _| {
        let mut head = [0; 4096];
        let _ = stream.read(&mut head);
        let _ = stream.write_all(b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
        let _ = io::copy(&mut &stream, &mut &stream);
    })?;
    let mut stream = mesh.client.connect(&format!("{}:7070", server.ip()))?;
    stream.write_all(b"GET /chat HTTP/1.1\r\nHost: chat\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")?;
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    talks(&mut stream)?;
    mesh.cluster.apply(&deny("path", "{to: [{operation: {paths: [/elsewhere]}}]}"))?;
    std::thread::sleep(Duration::from_millis(500));
    talks(&mut stream).context("the rule is about another path")?;
    mesh.cluster.apply(&deny("path", "{to: [{operation: {paths: [/chat]}}]}"))?;
    let after = ends(&mut stream).context("the upgraded connection")?;
    assert!(after < SOON, "ended after {after:?}");
    Ok(())
}

#[test]
fn the_world_outside_is_reached_unless_only_the_registry_is_allowed() -> Result<()> {
    let mesh = Mesh::new("passthrough")?;
    let web = mesh.cluster.outside_program("web.example", &Program::Echo { port: 8088 })?;
    let bytes = mesh.cluster.outside_program("bytes.example", &Program::TcpEcho { port: 8089, server_first: false })?;
    let policy = |mode: &str| {
        mesh.cluster.apply(&format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\ndata:\n  mesh: |\n    \
             outboundTrafficPolicy: {{mode: {mode}}}\n"
        ))
    };
    let (http, tcp) = (format!("http://{web}:8088/"), format!("{bytes}:8089"));
    let open = || -> Result<()> {
        ensure!(mesh.client.get(&http)?.status == 200);
        Ok(talks(&mut mesh.client.connect(&tcp)?)?)
    };
    open()?;
    policy("REGISTRY_ONLY")?;
    eventually(PATIENCE, || {
        let answer = mesh.client.get(&http)?;
        ensure!(answer.status == 502, "{answer:?}");
        ensure!(talks(&mut mesh.client.connect(&tcp)?).is_err(), "TCP still passes");
        Ok(())
    });
    assert_eq!(mesh.client.get("http://server/")?.status, 200, "the mesh itself is known");
    talks(&mut mesh.client.connect(&format!("server:{TCP}"))?)?;
    policy("ALLOW_ANY")?;
    eventually(PATIENCE, open);
    Ok(())
}

#[test]
fn applications_see_the_address_of_the_pod_that_asks() -> Result<()> {
    let mesh = Mesh::new("address")?;
    let near = mesh.cluster.workload("near").node("b").start()?;
    near.wait_captured(true)?;
    for client in [&mesh.client, &near, &mesh.stranger] {
        for (address, own) in
            [(mesh.server.ip().to_string(), client.ip()), (format!("[{}]", mesh.server.ip6()), client.ip6())]
        {
            let text = client.get(&format!("http://{address}:{HTTP}/"))?.text();
            assert!(text.contains(&format!("\"peer_address\":\"{own}\"")), "{}: {text}", client.name());
            assert!(text.contains(&format!("\"local_port\":{HTTP}")), "{}: {text}", client.name());
        }
    }
    Ok(())
}

#[test]
fn two_thousand_idle_connections_cost_little_memory() -> Result<()> {
    const COUNT: usize = 2000;
    let mesh = Mesh::new("idle")?;
    let agents = [mesh.cluster.agent("a")?, mesh.cluster.agent("b")?];
    let open = |count: usize| -> Result<Vec<TcpStream>> {
        (0..count)
            .map(|_| {
                let mut stream = mesh.client.connect(&format!("server:{TCP}"))?;
                talks(&mut stream)?;
                Ok(stream)
            })
            .collect()
    };
    drop(open(50)?);
    let before = [agents[0].rss()?, agents[1].rss()?];
    let mut streams = open(COUNT)?;
    std::thread::sleep(Duration::from_millis(500));
    for (agent, before) in agents.iter().zip(before) {
        let each = agent.rss()?.saturating_sub(before) / COUNT as u64;
        println!("agent {}: {each} bytes for each idle mTLS connection", agent.node());
        assert!(each < 64 * 1024, "{each} bytes for each connection");
    }
    for stream in streams.iter_mut().step_by(100) {
        talks(stream)?;
    }
    Ok(())
}

/// A busy machine may hold up a handshake; what comes late is still a handshake, and not for the application.
#[test]
fn a_handshake_that_begins_late_is_not_given_to_the_application() -> Result<()> {
    let mesh = Mesh::new("late-hello")?;
    // The ClientHello of openssl with the mesh's protocol name, recorded on the stranger's own loopback.
    let (sender, recorded) = std::sync::mpsc::channel();
    let _recorder = mesh.stranger.serve(4433, move |mut stream, _| {
        let mut hello = vec![0; 8192];
        if let Ok(count) = stream.read(&mut hello) {
            hello.truncate(count);
            let _ = sender.send(hello);
        }
    })?;
    mesh.stranger.exec("sh", &["-c", "echo | timeout 5 openssl s_client -connect 127.0.0.1:4433 -alpn istio 2>&1"])?;
    let hello = recorded.recv_timeout(PATIENCE)?;
    assert_eq!((hello[0], hello[5]), (0x16, 1), "a ClientHello");
    for (port, what) in [(TCP, "TCP"), (HTTP, "HTTP")] {
        for wait in [0, 400] {
            let mut stream = mesh.stranger.connect(&format!("{}:{port}", mesh.server.ip()))?;
            std::thread::sleep(Duration::from_millis(wait));
            stream.write_all(&hello)?;
            let mut answer = [0; 6];
            stream.read_exact(&mut answer).with_context(|| format!("{what} after {wait} ms"))?;
            assert_eq!((answer[0], answer[5]), (0x16, 2), "{what} after {wait} ms: a ServerHello, not an echo");
        }
    }
    Ok(())
}
