//! One agent follows another, in order or after a `kill -9`: nobody is refused, and in order nobody is failed.
//!
//! What an agent was relaying when it was killed is lost with it; whatever begins later is served, if late.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use weft_testbed::{Agent, Cluster, Failure, HttpConnection, Place, Pod, Process, Program, Step, eventually};

const PATIENCE: Duration = Duration::from_secs(30);
/// Requests a second of each load.
const RATE: u32 = 60;
/// How long loads run before and after each event.
const AROUND: Duration = Duration::from_millis(700);

/// A request, when it began, and what came of it: the body's text.
type Outcome = (Instant, Result<String, Failure>);

/// How a load's requests reach their server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Each over a connection of its own.
    Fresh,
    /// Over one connection, as long as its other end keeps it.
    Kept,
    /// The same with POST, which may not be sent twice.
    KeptPost,
}

/// Requests at a steady rate, with the time of each.
struct Steady {
    threads: Vec<JoinHandle<Vec<Outcome>>>,
    ended: Arc<AtomicBool>,
}

impl Steady {
    /// Four threads: one slow answer must not hold up the next request.
    fn start(from: &Place, url: &str, way: Way) -> Self {
        const THREADS: u32 = 4;
        let ended = Arc::new(AtomicBool::new(false));
        let threads = (0..THREADS).map(|number| {
            let (from, url, ended) = (from.clone(), url.to_owned(), Arc::clone(&ended));
            std::thread::spawn(move || {
                let gap = Duration::from_secs(1) * THREADS / RATE;
                let started = Instant::now() + gap * number / THREADS;
                let (mut outcomes, mut kept) = (Vec::new(), None);
                for turn in 0.. {
                    std::thread::sleep((started + gap * turn).saturating_duration_since(Instant::now()));
                    if ended.load(Ordering::SeqCst) {
                        break;
                    }
                    let begun = Instant::now();
                    outcomes.push((begun, ask(&from, &url, way, &mut kept)));
                }
                outcomes
            })
        });
        Self { threads: threads.collect(), ended }
    }

    fn finish(self) -> Vec<Outcome> {
        self.ended.store(true, Ordering::SeqCst);
        self.threads.into_iter().flat_map(|thread| thread.join().expect("a load panicked")).collect()
    }
}

fn ask(from: &Place, url: &str, way: Way, kept: &mut Option<HttpConnection>) -> Result<String, Failure> {
    if way == Way::Fresh {
        return answered(from.request("GET", url).timeout(PATIENCE).send()?);
    }
    // What any client with a pool does: a connection whose other end has left is not used.
    kept.take_if(|connection| !connection.is_open() || has_ended(connection.stream()));
    let connection = match kept {
        Some(connection) => connection,
        None => kept.insert(from.connection(url)?),
    };
    let response = match way {
        Way::KeptPost => connection.request("POST", url, &[], b"once"),
        Way::Fresh | Way::Kept => connection.get(url),
    };
    if response.is_err() {
        *kept = None;
    }
    answered(response?)
}

/// Anything but a 200 is shown by its text.
fn answered(response: weft_testbed::Response) -> Result<String, Failure> {
    let text = response.text();
    Ok(if response.status == 200 { text } else { format!("status {}: {text}", response.status) })
}

fn has_ended(stream: &TcpStream) -> bool {
    let peek = || -> std::io::Result<bool> {
        stream.set_nonblocking(true)?;
        let ended = matches!(stream.peek(&mut [0]), Ok(0));
        stream.set_nonblocking(false)?;
        Ok(ended)
    };
    peek().unwrap_or(true)
}

/// Fails with what was not answered as it should be: all, or those begun outside of `[from, to]`.
fn all_fine(what: &str, outcomes: &[Outcome], expected: &str, excused: impl Fn(Instant) -> bool) -> Result<()> {
    let mut wrong = Vec::new();
    for (begun, outcome) in outcomes {
        match outcome {
            Ok(text) if text.contains(expected) => {}
            Err(failure) if failure.step != Step::Connect && excused(*begun) => {}
            // What the server's agent had taken with it is lost; the client's agent says so.
            Ok(text) if text.starts_with("status 503: upstream connect error") && excused(*begun) => {}
            Ok(text) => wrong.push(format!("{:?}", text.chars().take(200).collect::<String>())),
            Err(failure) => wrong.push(failure.to_string()),
        }
    }
    ensure!(
        wrong.is_empty(),
        "{what}: {} of {} went wrong: {:?}",
        wrong.len(),
        outcomes.len(),
        &wrong[..wrong.len().min(5)]
    );
    Ok(())
}

fn nothing_excused(_begun: Instant) -> bool {
    false
}

/// Sends lines and hears them back over one connection.
struct Talk(BufReader<TcpStream>);

impl Talk {
    fn open(from: &Place, address: &str) -> Result<Self> {
        let mut talk = Self(BufReader::new(from.connect(address)?));
        talk.says("hello")?;
        Ok(talk)
    }

    fn says(&mut self, word: &str) -> Result<()> {
        writeln!(self.0.get_mut(), "{word}")?;
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        ensure!(line.trim_end() == word, "{line:?} came back");
        Ok(())
    }
}

/// Client on node a and server on node b, both enrolled, and a stranger on node b outside the mesh.
struct World {
    client: Pod,
    server: Pod,
    stranger: Pod,
    cluster: Cluster,
}

impl World {
    fn new(name: &str, args: &[&str]) -> Result<Self> {
        let cluster = Cluster::mesh_with(name, args)?;
        cluster.service("server").port(80, 5000).apply()?;
        cluster.service("talk").named_port("tcp", 9000, 9000).apply()?;
        let server = cluster.workload("server").node("b").program(Program::Echo { port: 5000 }).start()?;
        let talk = Program::TcpEcho { port: 9000, server_first: false };
        let talk = cluster.workload("talk").node("b").program(talk).start()?;
        let client = cluster.workload("client").node("a").start()?;
        let stranger = cluster.workload("stranger").node("b").label("sidecar.istio.io/inject", "false").start()?;
        for pod in [&client, &server, &talk] {
            pod.wait_captured(true)?;
        }
        let world = Self { client, server, stranger, cluster };
        eventually(PATIENCE, || world.works());
        Ok(world)
    }

    fn works(&self) -> Result<()> {
        let answer = self.client.get("http://server/")?;
        ensure!(answer.status == 200 && answer.text().contains("spiffe://"), "{answer:?}");
        Ok(())
    }

    fn agent(&self, node: &str) -> Result<Agent> {
        self.cluster.agent(node)
    }

    /// The loads, with what each answer has to say: through both agents, and through the server's alone.
    fn loads(&self) -> Vec<(&'static str, Steady, &'static str)> {
        let direct = format!("http://{}:5000/", self.server.ip());
        [
            ("client, fresh", &*self.client, "http://server/", Way::Fresh, "spiffe://"),
            ("client, kept", &*self.client, "http://server/", Way::Kept, "spiffe://"),
            ("client, POST", &*self.client, "http://server/", Way::KeptPost, "spiffe://"),
            ("stranger, fresh", &*self.stranger, &*direct, Way::Fresh, "hostname"),
            ("stranger, kept", &*self.stranger, &*direct, Way::Kept, "hostname"),
        ]
        .map(|(what, from, url, way, expected)| (what, Steady::start(from, url, way), expected))
        .into()
    }
}

/// Lets the successor of `node`'s agent become ready, then ends the old one as Kubernetes does.
fn upgrade(world: &World, node: &str) -> Result<Arc<Process>> {
    let old = world.agent(node)?.start_successor()?;
    world.agent(node)?.ready(PATIENCE).with_context(|| format!("upgrading {node}"))?;
    ensure!(old.exit_status().is_none(), "the old agent has not been told to end");
    old.signal(Signal::SIGTERM)?;
    Ok(old)
}

fn ended_well(process: &Arc<Process>) -> Result<()> {
    let status = process.exit_status().context("it runs")?;
    ensure!(status.success(), "{status}");
    Ok(())
}

fn finish(loads: Vec<(&'static str, Steady, &'static str)>, excused: impl Fn(Instant) -> bool) -> Result<usize> {
    let mut count = 0;
    for (what, load, expected) in loads {
        let outcomes = load.finish();
        all_fine(what, &outcomes, expected, &excused)?;
        count += outcomes.len();
    }
    Ok(count)
}

#[test]
fn an_upgrade_under_load_fails_nothing() -> Result<()> {
    let world = World::new("upgrade", &["--drain-seconds=20"])?;
    let mut talk = Talk::open(&world.client, "talk:9000")?;
    let (loads, started) = (world.loads(), Instant::now());
    std::thread::sleep(AROUND);
    let mut old = Vec::new();
    for node in ["a", "b", "a"] {
        old.push(upgrade(&world, node)?);
        talk.says("an old connection goes on").with_context(|| format!("after {node}"))?;
        std::thread::sleep(AROUND);
    }
    // The third one had no such connection and has nothing to wait for; the first two end with theirs.
    eventually(PATIENCE, || ended_well(&old[2]));
    talk.says("still")?;
    ensure!(old[0].exit_status().is_none() && old[1].exit_status().is_none(), "they have a conversation to carry");
    drop(talk);
    eventually(PATIENCE, || old.iter().try_for_each(ended_well));
    let elapsed = started.elapsed();
    let count = finish(loads, nothing_excused)?;
    println!("{count} requests in {elapsed:?}, three upgrades");
    ensure!(count as f64 > elapsed.as_secs_f64() * 5.0 * f64::from(RATE) * 0.5, "only {count} requests in {elapsed:?}");
    world.works()
}

#[test]
fn what_begins_while_an_agent_is_dead_waits_for_the_next_one() -> Result<()> {
    let world = World::new("killed", &[])?;
    for node in ["a", "b"] {
        let mut talk = Talk::open(&world.client, "talk:9000")?;
        let loads = world.loads();
        std::thread::sleep(AROUND);
        world.agent(node)?.kill9()?;
        let killed = Instant::now();
        ensure!(talk.says("anyone?").is_err(), "what a killed agent relayed is lost");
        std::thread::sleep(AROUND);
        world.agent(node)?.start()?;
        world.agent(node)?.ready(PATIENCE)?;
        std::thread::sleep(AROUND);
        let count = finish(loads, |begun| begun <= killed).with_context(|| format!("node {node}"))?;
        println!(
            "{count} requests around the death of {node}'s agent, which was ready again after {:?}",
            killed.elapsed()
        );
    }
    Ok(())
}

#[test]
fn an_agent_that_dies_after_it_took_over_is_followed_by_the_one_before() -> Result<()> {
    let world = World::new("resumed", &[])?;
    let old = world.agent("a")?.start_successor()?;
    world.agent("a")?.ready(PATIENCE)?;
    let loads = world.loads();
    std::thread::sleep(AROUND);
    world.agent("a")?.kill9()?;
    let killed = Instant::now();
    std::thread::sleep(AROUND * 3);
    finish(loads, |begun| begun <= killed)?;
    ensure!(world.client.get("http://server/")?.elapsed < AROUND, "it is served at once again");
    // It is a whole agent again: it captures, and can be taken over from.
    let late = world.cluster.workload("late").node("a").start()?;
    late.wait_captured(true)?;
    world.agent("a")?.start()?;
    std::thread::sleep(AROUND);
    ensure!(!world.agent("a")?.is_running(), "a node has one agent");
    world.agent("a")?.start_successor()?;
    world.agent("a")?.ready(PATIENCE)?;
    old.signal(Signal::SIGTERM)?;
    eventually(PATIENCE, || ended_well(&old));
    world.works()
}

/// Whenever the one or the other is killed while it takes over, or is taken over from: the other one serves.
#[test]
fn either_may_die_at_any_moment_of_the_handover() -> Result<()> {
    let world = World::new("moments", &[])?;
    let loads = world.loads();
    let mut deaths: Vec<Instant> = Vec::new();
    let (mut current, mut took) = (world.agent("a")?.process()?, Duration::from_millis(500));
    for turn in 0..12_u32 {
        let started = Instant::now();
        let old = world.agent("a")?.start_successor()?;
        let new = world.agent("a")?.process()?;
        ensure!(Arc::ptr_eq(&old, &current) || turn > 0);
        std::thread::sleep(took * (turn / 2 + 1) / 6);
        let (dies, lives) = if turn % 2 == 0 { (new, current) } else { (current, new) };
        dies.kill();
        deaths.push(Instant::now());
        current = lives;
        eventually(PATIENCE, || world.works());
        took = took.max(started.elapsed().min(Duration::from_secs(2)));
        std::thread::sleep(AROUND);
    }
    let near = |begun: Instant| deaths.iter().any(|death| begun <= *death && *death - begun < Duration::from_secs(3));
    let count = finish(loads, near)?;
    println!("{count} requests around {} deaths", deaths.len());
    Ok(())
}

/// The only agent of a node is told to end, as `kubectl delete pod` does, and another one comes later.
#[test]
fn an_agent_that_is_deleted_and_made_anew_fails_nothing() -> Result<()> {
    let world = World::new("deleted", &["--keep-capture"])?;
    let (loads, started) = (world.loads(), Instant::now());
    for node in ["a", "b"] {
        std::thread::sleep(AROUND);
        ensure!(world.agent(node)?.stop()?.success());
        std::thread::sleep(AROUND);
        world.agent(node)?.start()?;
        world.agent(node)?.ready(PATIENCE)?;
    }
    std::thread::sleep(AROUND);
    let count = finish(loads, nothing_excused)?;
    println!("{count} requests in {:?}, two deletions", started.elapsed());
    Ok(())
}
