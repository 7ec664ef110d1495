//! Nothing of a cluster outlives it, however it ends; and agents are processes that tests can hold to account.
//!
//! Some tests run this test program again as a child: the ignored tests at the end are what such a child does.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use weft_testbed::cleanup::{BPF_DIR, CLUSTERS_DIR};
use weft_testbed::{Cluster, Program, eventually};

const PATIENCE: Duration = Duration::from_secs(15);

/// What of the cluster `id` is on the machine, one line each.
fn traces(id: &str) -> Vec<String> {
    let mut found = Vec::new();
    for dir in ["/run/netns", CLUSTERS_DIR, BPF_DIR] {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
        found.extend(entries.filter(|path| path.to_string_lossy().contains(id)).map(|path| path.display().to_string()));
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    found.extend(mounts.lines().filter(|line| line.contains(id)).map(|line| format!("mount {line}")));
    found.extend(processes(id).iter().map(|pid| format!("process {pid}")));
    found
}

/// Living processes with the cluster's mark.
fn processes(id: &str) -> Vec<u32> {
    let pids = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    let mark = format!("WEFT_TESTBED_CLUSTER={id}");
    let marked = |pid: &u32| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
    };
    pids.filter(marked).collect()
}

/// A cluster with all that can stay behind: pods, a running command, an agent, an orphan of the agent, a folder of pins.
fn full_cluster(name: &str) -> Result<Cluster> {
    let cluster = Cluster::new(name)?.node("a")?.node("b")?;
    cluster.service("web").port(80, 80).apply()?;
    let pods = cluster.workload("web").program(Program::Nginx).replicas(2).start_all()?;
    // Its parent, a shell, is gone at once: nobody tells it to end when the harness dies.
    pods[0].exec("sh", &["-c", "sleep 1000 > /dev/null 2>&1 &"])?;
    cluster.agent_binary(stand_in_agent(&cluster)?);
    cluster.start_agents()?;
    std::fs::create_dir_all(Path::new(BPF_DIR).join(format!("{}-a/links", cluster.id())))?;
    ensure!(traces(&cluster.id().to_string()).len() > 10, "the search finds what is there");
    Ok(cluster)
}

/// A program that takes the arguments of `weft agent` and answers on the socket: this test program, running `answer_as_agent`.
fn stand_in_agent(cluster: &Cluster) -> Result<PathBuf> {
    let path = cluster.dir().join("stand-in");
    let own = std::env::current_exe()?;
    let script = format!(
        "#!/bin/sh\n[ \"$1 $2 $4 $6 $8\" = 'agent --node --manifests --state-dir --bpf-dir' ] || exit 64\n\
         echo \"agent of $3 reads $5\"\nexport STAND_IN_SOCKET=\"$7/$3.sock\"\n\
         exec {} --exact answer_as_agent --ignored --nocapture\n",
        own.display()
    );
    std::fs::write(&path, script)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

/// Runs `hold_a_cluster` in a child and returns it with the id of its cluster.
fn child_with_cluster() -> Result<(Child, String)> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--exact", "hold_a_cluster", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()?;
    let stdout = child.stdout.take().context("no stdout")?;
    let id = BufReader::new(stdout)
        .lines()
        .map_while(Result::ok)
        .find_map(|line| Some(line.split_once("cluster=")?.1.to_owned()));
    Ok((child, id.context("the child has no cluster")?))
}

#[test]
fn nothing_is_left_after_drop() -> Result<()> {
    let cluster = full_cluster("drop")?;
    let id = cluster.id().to_string();
    // Handles that live longer keep nothing on the machine.
    let _pods = cluster.pods();
    drop(cluster);
    assert_eq!(traces(&id), [""; 0]);
    Ok(())
}

#[test]
fn nothing_is_left_after_a_panic() {
    let id = std::sync::Mutex::new(String::new());
    let panicked = std::panic::catch_unwind(|| {
        let cluster = full_cluster("panic").unwrap();
        *id.lock().unwrap() = cluster.id().to_string();
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    assert!(panicked.is_err());
    assert_eq!(traces(&id.into_inner().unwrap()), [""; 0]);
}

#[test]
fn signals_remove_everything_and_still_end_the_process() -> Result<()> {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let (mut child, id) = child_with_cluster()?;
        kill(Pid::from_raw(child.id().cast_signed()), signal)?;
        let status = child.wait()?;
        assert_eq!(status.signal(), Some(signal as i32), "{status}");
        assert_eq!(traces(&id), [""; 0], "{signal}");
    }
    Ok(())
}

#[test]
fn what_a_killed_process_leaves_is_removed_by_the_next_cluster() -> Result<()> {
    let (mut child, id) = child_with_cluster()?;
    let before = processes(&id).len();
    child.kill()?;
    child.wait()?;
    // Its direct children die with it, even before anybody cleans up.
    eventually(PATIENCE, || ensure_fewer(processes(&id).len(), before));
    let _next = Cluster::new("next")?;
    assert_eq!(traces(&id), [""; 0]);
    Ok(())
}

fn ensure_fewer(now: usize, before: usize) -> Result<()> {
    ensure!(now + 4 <= before, "{now} of {before} processes live");
    Ok(())
}

#[test]
fn agents_are_started_asked_killed_and_started_again() -> Result<()> {
    let cluster = Cluster::new("agents")?.node("a")?.node("b")?;
    cluster.agent_binary(stand_in_agent(&cluster)?);
    cluster.start_agents()?;
    let agent = cluster.agent("a")?;
    let inode = std::fs::metadata(format!("/proc/{}/ns/net", agent.pid()?))?.ino();
    assert_eq!(inode, cluster.node_named("a")?.netns().inode()?);
    assert!(
        agent.log().contains(&format!("agent of a reads {}/manifests", cluster.dir().display())),
        "{}",
        agent.log()
    );
    assert!(agent.rss()? > 100_000);
    assert_eq!(agent.admin("/elsewhere")?.status, 404);
    assert!(agent.start().is_err(), "it runs already");
    let first = agent.pid()?;
    agent.kill9()?;
    assert!(!agent.is_running() && cluster.agent("b")?.is_running());
    assert!(agent.ready(Duration::from_secs(1)).unwrap_err().to_string().contains("signal: 9"));
    agent.start()?;
    agent.ready(PATIENCE)?;
    assert_ne!(agent.pid()?, first);
    assert_eq!(agent.stop()?.signal(), Some(15));
    agent.start()?;
    agent.ready(PATIENCE)?;
    agent.restart()?;
    agent.ready(PATIENCE)
}

#[test]
#[ignore = "what a child of other tests does"]
fn hold_a_cluster() -> Result<()> {
    let cluster = full_cluster("held")?;
    println!("\ncluster={}", cluster.id());
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

#[test]
#[ignore = "what the stand-in for an agent does"]
fn answer_as_agent() -> Result<()> {
    let socket = PathBuf::from(std::env::var("STAND_IN_SOCKET")?);
    if socket.exists() {
        std::fs::remove_file(&socket)?;
    }
    for stream in UnixListener::bind(&socket)?.incoming() {
        let mut stream = stream?;
        let mut request = [0; 1024];
        let count = stream.read(&mut request)?;
        if count == 0 {
            // Somebody only wanted to know who listens.
            continue;
        }
        let status = if request[..count].starts_with(b"GET /ready ") { "200 OK" } else { "404 Not Found" };
        write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")?;
    }
    Ok(())
}
