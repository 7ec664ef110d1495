//! Clients that mean harm, beside a neighbour who only wants to be served: none of the neighbour's requests fails, and the
//! agents' memory stays within what their named limits add up to.
//!
//! The hostile clients are inside the mesh (their own agent reads them first) and outside of it (the server's agent does).

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use weft_testbed::{Cluster, Place, Pod, Server, eventually};

/// Where the application listens, behind port 80 of its Service.
const PORT: u16 = 5000;

/// Requests of the neighbour that have to pass while an attack goes on.
const REQUESTS: usize = 300;

/// The longest head that is read (`dataplane::http1::MAX_HEAD_BYTES`); a buffer that grows by doubling may have twice that.
const HEAD_BYTES_MAX: u64 = 60 * 1024;

/// Credit of a stream between agents and what may wait to be sent on it (`net::mux::{WINDOW_BYTES, SEND_BUFFER_BYTES}`).
const STREAM_BYTES_MAX: u64 = 64 * 1024 + 64 * 1024;

/// What a relay has in its hands between two connections, both directions: as much as a stream may have.
const RELAY_BYTES_MAX: u64 = 2 * STREAM_BYTES_MAX;

/// What agents need beside connections: certificates renewed, log lines, what the allocator keeps.
const SLACK_BYTES: u64 = 32 << 20;

struct Stage {
    cluster: Cluster,
    /// On node a, as the neighbour.
    hostile: Pod,
    neighbour: Pod,
    /// On node a, outside of the mesh.
    stranger: Pod,
    server: Pod,
    _application: Server,
}

/// What the application does with a request: `GET /large` gets a body that nobody should keep for its reader.
const LARGE_BYTES: usize = 8 << 20;

static LARGE: [u8; LARGE_BYTES] = [b'x'; LARGE_BYTES];

impl Stage {
    fn new(name: &str) -> Result<Self> {
        let cluster = Cluster::mesh(name)?;
        cluster.service("server").port(80, PORT).apply()?;
        let server = cluster.workload("server").node("b").start()?;
        let hostile = cluster.workload("hostile").node("a").start()?;
        let neighbour = cluster.workload("neighbour").node("a").start()?;
        let stranger = cluster.workload("stranger").node("a").label("sidecar.istio.io/inject", "false").start()?;
        for pod in [&server, &hostile, &neighbour] {
            pod.wait_captured(true)?;
        }
        let application = server.serve(PORT, |stream, _| serve(stream))?;
        eventually(Duration::from_secs(10), || {
            ensure!(neighbour.get("http://server/")?.status == 200);
            Ok(())
        });
        Ok(Self { cluster, hostile, neighbour, stranger, server, _application: application })
    }

    /// Who attacks, and which address: by way of the own agent, and past it, straight at the server's pod.
    fn ways(&self) -> [(&'static str, &Pod, String); 2] {
        [
            ("from inside", &self.hostile, "server:80".to_owned()),
            ("from outside", &self.stranger, format!("{}:{PORT}", self.server.ip())),
        ]
    }

    fn memory(&self) -> Result<[u64; 2]> {
        Ok([self.cluster.agent("a")?.rss()?, self.cluster.agent("b")?.rss()?])
    }

    /// The neighbour's requests while `attack` builds up and while it stands; `more` is what each agent may take for it.
    fn neighbour_is_served(&self, more: u64, attack: impl FnOnce(&Turns) -> Result<()> + Send) -> Result<()> {
        let before = self.memory()?;
        let turns = Turns::default();
        let highest = std::thread::scope(|scope| -> Result<[u64; 2]> {
            let attack = scope.spawn(|| {
                let ended = attack(&turns);
                // Also when it failed: the neighbour need not wait.
                turns.stands.store(true, Ordering::SeqCst);
                ended
            });
            let served = self.requests(&turns);
            turns.over.store(true, Ordering::SeqCst);
            attack.join().expect("no panic").context("the attack")?;
            served
        })?;
        let mib = |bytes: [u64; 2]| bytes.map(|bytes| bytes >> 20);
        println!("agents have {:?} MiB, before {:?}", mib(highest), mib(before));
        for agent in 0..2 {
            let bound = before[agent] + more + SLACK_BYTES;
            ensure!(highest[agent] <= bound, "agent {agent} has {} bytes, more than {bound}", highest[agent]);
        }
        for agent in ["a", "b"] {
            ensure!(self.cluster.agent(agent)?.is_running(), "agent {agent} has ended");
        }
        Ok(())
    }

    /// Kept and new connections in turn until the attack stands, and [`REQUESTS`] more; the agents' highest memory meanwhile.
    fn requests(&self, turns: &Turns) -> Result<[u64; 2]> {
        let mut kept = self.neighbour.connection("http://server/")?;
        let (mut since, mut before, mut highest) = (0, 0, [0; 2]);
        while since < REQUESTS {
            let number = since + before;
            let answer =
                if number % 10 == 9 { self.neighbour.get("http://server/")? } else { kept.get("http://server/")? };
            ensure!(answer.status == 200, "request {number} of the neighbour: {answer:?}");
            let now = self.memory()?;
            highest = [highest[0].max(now[0]), highest[1].max(now[1])];
            if turns.stands.load(Ordering::SeqCst) { since += 1 } else { before += 1 }
        }
        println!("the neighbour had {before} answers before the attack stood, {since} while it did");
        Ok(highest)
    }
}

/// Who waits for whom.
#[derive(Default)]
struct Turns {
    /// The attack is all there.
    stands: AtomicBool,
    /// The neighbour has been served.
    over: AtomicBool,
}

impl Turns {
    /// Stays as it is until the neighbour has been served.
    fn stand(&self) {
        self.stands.store(true, Ordering::SeqCst);
        while !self.over.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// An application that reads whole requests, and answers each.
fn serve(mut stream: TcpStream) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
    let mut head = Vec::new();
    let mut byte = [0];
    while let Ok(1) = stream.read(&mut byte) {
        head.push(byte[0]);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let is_large = head.starts_with(b"GET /large ");
        head.clear();
        let body = if is_large { &LARGE[..] } else { b"ok" };
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        if stream.write_all(answer.as_bytes()).and_then(|()| stream.write_all(body)).is_err() {
            return;
        }
    }
}

/// Connects without a name to look up each time.
fn connect(pod: &Place, address: &str) -> Result<TcpStream> {
    let stream = pod.connect(address)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Slow senders of one kind, opened by each of the two ways: `before` at once, then a byte of `drip` at a time.
fn drip(stage: &Stage, count: u64, before: &[u8], drip: u8, turns: &Turns) -> Result<()> {
    let mut streams = Vec::new();
    for (way, pod, address) in &stage.ways() {
        for _ in 0..count {
            let mut stream = connect(pod, address).context(*way)?;
            stream.write_all(before).context(*way)?;
            streams.push(stream);
        }
    }
    turns.stands.store(true, Ordering::SeqCst);
    while !turns.over.load(Ordering::SeqCst) {
        for stream in &mut streams {
            // The agent may have ended it by now: its time for a head is over.
            let _ = stream.write_all(&[drip]);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

#[test]
fn slow_heads() -> Result<()> {
    let stage = Stage::new("slow-heads")?;
    let count = 200;
    let begun = format!("GET / HTTP/1.1\r\nHost: server\r\nX: {}", "a".repeat(40_000));
    let more = count * 2 * HEAD_BYTES_MAX;
    stage.neighbour_is_served(more, |turns| drip(&stage, count, begun.as_bytes(), b'b', turns))
}

#[test]
fn slow_bodies() -> Result<()> {
    let stage = Stage::new("slow-bodies")?;
    let count = 100;
    let more = count * (RELAY_BYTES_MAX + STREAM_BYTES_MAX);
    for framing in ["Content-Length: 500000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nFFFFF\r\n"] {
        let begun = format!("POST / HTTP/1.1\r\nHost: server\r\n{framing}");
        stage.neighbour_is_served(more, |turns| drip(&stage, count, begun.as_bytes(), b'b', turns))?;
    }
    Ok(())
}

#[test]
fn readers_that_stop() -> Result<()> {
    let stage = Stage::new("zero-window")?;
    let count = 64;
    // What they asked for is ten times as much.
    let more = 2 * count * (RELAY_BYTES_MAX + STREAM_BYTES_MAX);
    ensure!(more < count * LARGE_BYTES as u64 / 2, "the bound tells nothing");
    stage.neighbour_is_served(more, |turns| {
        let mut streams = Vec::new();
        for (way, pod, address) in &stage.ways() {
            for _ in 0..count {
                let mut stream = connect(pod, address).context(*way)?;
                stream.write_all(b"GET /large HTTP/1.1\r\nHost: server\r\n\r\n").context(*way)?;
                streams.push(stream);
            }
        }
        turns.stand();
        // They were served, all the same: each has the begin of its answer.
        for stream in &mut streams {
            let mut begin = [0; 12];
            stream.read_exact(&mut begin).context("the begin of a large answer")?;
            ensure!(&begin == b"HTTP/1.1 200", "{}", begin.escape_ascii());
        }
        Ok(())
    })
}

/// Sends `begin`, then `again` for ever: how many bytes until the connection ended, and the answer.
fn endless(pod: &Place, address: &str, begin: &[u8], again: &[u8]) -> Result<(usize, String)> {
    let mut stream = connect(pod, address)?;
    let mut sent = begin.len();
    let mut ended = stream.write_all(begin).is_err();
    while !ended && sent < SENT_BYTES_MAX {
        match stream.write(again) {
            Ok(count) => sent += count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(_) => ended = true,
        }
    }
    let mut answer = Vec::new();
    // A reset is an end, too, and may have taken the answer with it.
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let _ = stream.read_to_end(&mut answer);
    Ok((sent, String::from_utf8_lossy(&answer).into_owned()))
}

/// More than all buffers between the client and an agent that does not read on.
const SENT_BYTES_MAX: usize = 64 << 20;

#[test]
fn heads_extensions_and_trailers_without_end() -> Result<()> {
    let stage = Stage::new("endless")?;
    let post = "POST / HTTP/1.1\r\nHost: server\r\nTransfer-Encoding: chunked\r\n\r\n";
    let field = format!("X-Y: {}\r\n", "z".repeat(1000)).repeat(64);
    let kinds: [(&str, String, String); 5] = [
        ("one endless field", "GET / HTTP/1.1\r\nHost: server\r\nX: ".to_owned(), "a".repeat(1 << 16)),
        ("endless fields", "GET / HTTP/1.1\r\nHost: server\r\n".to_owned(), field),
        ("an endless target", "GET /".to_owned(), "a".repeat(1 << 16)),
        ("an endless chunk extension", format!("{post}1;"), "x".repeat(1 << 16)),
        ("endless trailers", format!("{post}0\r\n"), "a: b\r\n".repeat(1 << 13)),
    ];
    let more = 8 * (2 * HEAD_BYTES_MAX + RELAY_BYTES_MAX);
    stage.neighbour_is_served(more, |turns| {
        for round in 0.. {
            for (what, begin, again) in &kinds {
                for (way, pod, address) in &stage.ways() {
                    let (sent, answer) = endless(pod, address, begin.as_bytes(), again.as_bytes())?;
                    ensure!(sent < SENT_BYTES_MAX, "{what} {way}: {sent} bytes were taken");
                    let status = answer.lines().next().unwrap_or_default();
                    // The application answers before it has seen a body's end, so its word may come first.
                    let is_early = begin.starts_with("POST") && status.contains(" 200");
                    let is_refusal = [" 400", " 413", " 414", " 431"].iter().any(|code| status.contains(code));
                    ensure!(is_early || is_refusal || status.is_empty(), "{what} {way}: {status}");
                    if round == 0 {
                        println!("{what} {way}: {status:?} after {} KiB", sent >> 10);
                    }
                }
            }
            // Each kind once at least.
            turns.stands.store(true, Ordering::SeqCst);
            if turns.over.load(Ordering::SeqCst) {
                break;
            }
        }
        Ok(())
    })
}

/// Connections of the flood: what a pod may have of one worker (`dataplane::shared::Limits::connections_per_pod_max`), or more,
/// where the agent may have few descriptors.
const FLOOD: usize = 20_000;

/// What an open connection with the begin of a head costs an agent: the bound that this test holds it to.
const IDLE_BYTES_MAX: u64 = 32 * 1024;

/// As many connections as this process may have descriptors for, after those of the test itself.
fn flood() -> Result<usize> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(soft.max(FLOOD as u64 + OTHER_DESCRIPTORS)), hard)?;
    let (now, _) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let flood = usize::try_from(now.saturating_sub(OTHER_DESCRIPTORS))?.min(FLOOD);
    ensure!(flood >= 1000, "this process may have {now} descriptors only: raise `ulimit -n`");
    Ok(flood)
}

/// What the test needs beside the flood: the application's ends of what the agents let through among them.
const OTHER_DESCRIPTORS: u64 = 2000;

/// How many connections an agent keeps for a pod (`dataplane::shared::Limits::within`): of all workers together, and for two
/// descriptors each never more than half of the agent's.
fn admitted(agent: u32) -> Result<u64> {
    let path = format!("/proc/{agent}/limits");
    let limits = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    let soft = soft.with_context(|| format!("{path} has no number of open files"))?;
    let workers = std::thread::available_parallelism()?.get() as u64;
    Ok((soft / (4 * workers)).min(FLOOD as u64) * workers)
}

#[test]
fn a_flood_of_connections() -> Result<()> {
    let stage = Stage::new("flood")?;
    let address = SocketAddr::new(stage.cluster.cluster_ip("default", "server")?, 80);
    let count = flood()?;
    let started = Instant::now();
    let admitted = admitted(stage.cluster.agent("a")?.pid()?)?.min(count as u64);
    println!("at most {admitted} connections of the pod are kept");
    stage.neighbour_is_served(admitted * IDLE_BYTES_MAX, |turns| {
        let streams = stage.hostile.netns().run(|| -> std::io::Result<Vec<TcpStream>> {
            let mut streams = Vec::new();
            for _ in 0..count {
                // Beyond its bound the pod's connections are reset, sooner or later than they begin to speak.
                match TcpStream::connect_timeout(&address, Duration::from_secs(20)) {
                    Ok(mut stream) => {
                        let _ = stream.write_all(b"GET / HTTP/1.1\r\n");
                        streams.push(stream);
                    }
                    Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(streams)
        })??;
        println!("{} of {count} connections after {:?}", streams.len(), started.elapsed());
        turns.stand();
        // All at once, and without a word.
        drop(streams);
        Ok(())
    })?;
    eventually(Duration::from_secs(30), || {
        let answer = stage.hostile.get("http://server/")?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(())
    });
    Ok(())
}
