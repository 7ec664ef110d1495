//! Requests of one pod to one other share a connection between weft peers: fewer connections, and nobody waits for anybody.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use weft_testbed::{APPLIES, Cluster, Pod, Program, eventually};

const PORT: u16 = 5000;

struct Mesh {
    cluster: Cluster,
    client: Pod,
    server: Pod,
}

impl Mesh {
    fn new(name: &str) -> Result<Self> {
        let cluster = Cluster::mesh(name)?;
        cluster.service("server").port(80, PORT).apply()?;
        let server = cluster.workload("server").node("b").program(Program::Httpbin { port: PORT }).start()?;
        let client = cluster.workload("client").node("a").start()?;
        server.wait_captured(true)?;
        client.wait_captured(true)?;
        eventually(APPLIES, || {
            ensure!(client.get("http://server/status/200")?.status == 200, "the server does not answer yet");
            Ok(())
        });
        Ok(Self { cluster, client, server })
    }

    /// Connections between the two pods, as the client's kernel counts them.
    fn connections(&self) -> Result<usize> {
        let peer = format!("{}:{PORT}", self.server.ip());
        let listed = self.client.exec("ss", &["-Htn", "state", "established"])?.stdout;
        Ok(listed.lines().filter(|line| line.split_whitespace().any(|field| field == peer)).count())
    }
}

#[test]
fn many_requests_at_once_need_few_connections() -> Result<()> {
    let mesh = Mesh::new("sharing")?;
    let workers = std::thread::available_parallelism()?.get();
    // All of them are under way at once while the server takes its time.
    let answers = std::thread::scope(|scope| -> Result<_> {
        let load = scope.spawn(|| mesh.client.request("GET", "http://server/delay/2").send_many(32, 32));
        std::thread::sleep(Duration::from_secs(1));
        let connections = mesh.connections()?;
        // The client's Service address is another: only the mesh's own connections count.
        assert!((1..=workers).contains(&connections), "{connections} connections for 32 requests");
        Ok(load.join().expect("no panic"))
    })?;
    assert_eq!(answers.count(|answer| answer.status == 200), 32, "{:?}", answers.summary());
    Ok(())
}

#[test]
fn a_reader_that_stops_delays_nobody_else() -> Result<()> {
    let mesh = Mesh::new("stopped-reader")?;
    let mut stopped = Vec::new();
    for _ in 0..4 {
        // More than all buffers on the way hold; read to the first bytes, then never again.
        let mut stream = mesh.client.connect("server:80")?;
        write!(stream, "GET /bytes/100000000 HTTP/1.1\r\nHost: server\r\n\r\n")?;
        let mut first = [0; 1000];
        stream.read_exact(&mut first)?;
        stopped.push(stream);
    }
    let started = Instant::now();
    let answers = mesh.client.get_many("http://server/status/200", &[], 200, 4);
    assert_eq!(answers.count(|answer| answer.status == 200), 200, "{:?}", answers.summary());
    assert!(started.elapsed() < Duration::from_secs(10), "{:?} for 200 requests", started.elapsed());
    Ok(())
}

#[test]
fn requests_go_on_when_the_peers_agent_is_replaced() -> Result<()> {
    let mesh = Mesh::new("peer-restart")?;
    let agent = mesh.cluster.agent("b")?;
    for _ in 0..3 {
        // What was shared ends with the agent; the next request finds it out and dials anew.
        agent.restart()?;
        mesh.server.wait_captured(true)?;
        let answers = mesh.client.get_many("http://server/status/200", &[], 20, 4);
        assert_eq!(answers.count(|answer| answer.status == 200), 20, "{:?}", answers.summary());
    }
    Ok(())
}
