//! The keeper holds the pods' listeners while no agent lives: where it lives, how long, and that nothing is left of it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use weft_testbed::cleanup::BPF_DIR;
use weft_testbed::{Agent, Cluster, FailureKind, Program, Step, eventually};

const PATIENCE: Duration = Duration::from_secs(20);
/// Restarts after which nothing may have piled up.
const RESTARTS: usize = 50;

/// The cluster's keepers.
fn keepers(cluster: &Cluster) -> BTreeSet<i32> {
    let mark = format!("WEFT_TESTBED_CLUSTER={}", cluster.id());
    let is_ours = |pid: &i32| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        name.trim() == "weft-keeper" && environ.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
    };
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_ours).collect()
}

/// The only keeper of the cluster.
fn keeper(cluster: &Cluster) -> Result<i32> {
    let found = keepers(cluster);
    ensure!(found.len() == 1, "{found:?}");
    found.first().copied().context("no keeper")
}

fn descriptors(pid: i32) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

fn sockets(pid: i32) -> Result<usize> {
    let links = fs::read_dir(format!("/proc/{pid}/fd"))?.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    Ok(links.filter(|link| link.to_string_lossy().starts_with("socket:")).count())
}

/// One node with a captured client, and a server outside the mesh.
fn small_world(name: &str, args: &[&str]) -> Result<(Cluster, weft_testbed::Pod, String)> {
    let cluster = Cluster::new(name)?.node("a")?;
    cluster.agent_args(args);
    cluster.enrol("default", true)?;
    cluster.start_agents()?;
    let server = cluster.workload("server").label("sidecar.istio.io/inject", "false");
    let server = server.program(Program::Echo { port: 5000 }).start()?;
    let client = cluster.workload("client").start()?;
    client.wait_captured(true)?;
    Ok((cluster, client, format!("http://{}:5000/", server.ip())))
}

fn agent(cluster: &Cluster) -> Result<Agent> {
    cluster.agent("a")
}

#[test]
fn it_lives_outside_of_what_its_agent_would_be_killed_with() -> Result<()> {
    let (cluster, _client, _url) = small_world("place", &[])?;
    let pid = keeper(&cluster)?;
    let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    for line in cgroups.lines() {
        assert!(line.ends_with(":/weft-keeper"), "{cgroups}");
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit_once(')').context("no name")?.1.split_whitespace().collect();
    assert_eq!(fields[3], pid.to_string(), "its session is its own: {stat}");
    for descriptor in 0..3 {
        assert_eq!(fs::read_link(format!("/proc/{pid}/fd/{descriptor}"))?, Path::new("/dev/null"));
    }
    assert_eq!(fs::read_dir(format!("/proc/{pid}/task"))?.count(), 1);
    let socket = cluster.dir().join("state/a.keeper");
    assert_eq!(fs::metadata(&socket)?.permissions().mode() & 0o777, 0o600);
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let memory: Vec<&str> =
        status.lines().filter(|line| line.starts_with("Rss") || line.starts_with("VmRSS")).collect();
    println!("memory of a keeper: {memory:?}, {} descriptors", descriptors(pid)?);
    Ok(())
}

/// Starts the agent as a container's only process: in a mount namespace and a cgroup of its own.
fn in_a_container(cluster: &Cluster, cgroup: &Path) -> Result<PathBuf> {
    let path = cluster.dir().join("contained");
    let weft = std::env::var("WEFT_BIN").context("WEFT_BIN names the agent's binary")?;
    let script = format!(
        "#!/bin/sh\necho $$ > {}/cgroup.procs\nexec unshare --mount --propagation slave --uts --ipc {weft} \"$@\"\n",
        cgroup.display()
    );
    fs::write(&path, script)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

/// A cgroup that goes with this value, and everything in it.
struct Cgroup(PathBuf);

impl Cgroup {
    fn make(name: &str) -> Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        let root = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"));
        let root = root.and_then(|line| line.split(' ').nth(1)).context("no cgroup2")?;
        let path = Path::new(root).join(name);
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// What a container runtime does at a container's end.
    fn kill(&self) -> Result<()> {
        eventually(PATIENCE, || {
            let members = fs::read_to_string(self.0.join("cgroup.procs"))?;
            for pid in members.lines() {
                let _ = kill(Pid::from_raw(pid.parse()?), Signal::SIGKILL);
            }
            ensure!(members.is_empty(), "{members}");
            Ok(())
        });
        Ok(())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = self.kill();
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn it_survives_its_agents_container_and_holds_none_of_it() -> Result<()> {
    let cluster = Cluster::new("contain")?.node("a")?;
    let cgroup = Cgroup::make(&format!("{}-agent", cluster.id()))?;
    cluster.agent_binary(in_a_container(&cluster, &cgroup.0)?);
    cluster.enrol("default", true)?;
    cluster.start_agents()?;
    let client = cluster.workload("client").start()?;
    client.wait_captured(true)?;
    let pid = keeper(&cluster)?;
    let members = fs::read_to_string(cgroup.0.join("cgroup.procs"))?;
    assert!(!members.lines().any(|member| member == pid.to_string()), "the keeper is in its agent's cgroup");
    for namespace in ["mnt", "uts", "ipc"] {
        let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/{namespace}"));
        let agents = of(members.lines().next().context("no agent")?)?;
        // Where this test may not look at process 1, its own namespaces are the host's.
        let hosts = of("1").or_else(|_| of("self"))?;
        assert_ne!(agents, hosts, "the agent is contained");
        if fs::read_link("/proc/1/ns/mnt").is_ok() {
            assert_eq!(of(&pid.to_string())?, hosts, "{namespace}");
        }
    }
    cgroup.kill()?;
    assert_eq!(keeper(&cluster)?, pid);
    // What is said now is heard by the next agent.
    let asking = std::thread::spawn(move || client.reaches_agent());
    std::thread::sleep(Duration::from_millis(300));
    agent(&cluster)?.start()?;
    assert!(asking.join().expect("no panic"), "the connection waited");
    Ok(())
}

#[test]
fn nobody_waits_for_ever() -> Result<()> {
    let (cluster, client, url) = small_world("patience", &["--hold-seconds=2"])?;
    let pid = keeper(&cluster)?;
    agent(&cluster)?.kill9()?;
    let started = Instant::now();
    // Two seconds later the listeners are closed, and what waited in them is told.
    let failure = client.request("GET", &url).timeout(PATIENCE).send().expect_err("nobody serves it");
    assert_eq!(failure.kind, FailureKind::Reset, "{failure}");
    let waited = started.elapsed();
    assert!((1500..15_000).contains(&waited.as_millis()), "{waited:?}");
    eventually(PATIENCE, || {
        ensure!(!keepers(&cluster).contains(&pid), "the keeper is still there");
        Ok(())
    });
    let failure = client.get(&url).expect_err("nobody serves it");
    assert_eq!((failure.kind, failure.step), (FailureKind::Refused, Step::Connect), "{failure}");
    agent(&cluster)?.start()?;
    eventually(PATIENCE, || {
        ensure!(client.get(&url)?.status == 200);
        Ok(())
    });
    assert_ne!(keeper(&cluster)?, pid);
    Ok(())
}

#[test]
fn a_keeper_that_dies_is_replaced_and_holds_everything_again() -> Result<()> {
    let (cluster, client, url) = small_world("replaced", &[])?;
    let first = keeper(&cluster)?;
    let held = sockets(first)?;
    kill(Pid::from_raw(first), Signal::SIGKILL)?;
    eventually(PATIENCE, || {
        let second = keeper(&cluster)?;
        ensure!(second != first && sockets(second)? >= held, "{} of {held} sockets", sockets(second)?);
        Ok(())
    });
    // What it holds is in use a moment later, when the pod has been captured anew.
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(client.get(&url)?.status, 200);
    agent(&cluster)?.kill9()?;
    let asking = {
        let (client, url) = (client.clone(), url.clone());
        std::thread::spawn(move || client.request("GET", &url).timeout(PATIENCE).send())
    };
    std::thread::sleep(Duration::from_millis(300));
    agent(&cluster)?.start()?;
    assert_eq!(asking.join().expect("no panic")?.status, 200);
    Ok(())
}

#[test]
fn nothing_is_left_of_it() -> Result<()> {
    let (cluster, client, url) = small_world("gone", &[])?;
    let socket = cluster.dir().join("state/a.keeper");
    // An agent that ends in order takes it along.
    agent(&cluster)?.stop()?;
    // It is told to, and ends by itself.
    eventually(PATIENCE, || {
        ensure!(keepers(&cluster).is_empty() && !socket.exists(), "a keeper lives");
        Ok(())
    });
    assert_eq!(fs::read_dir(cluster.dir().join("state"))?.flatten().filter(|entry| entry.path().is_file()).count(), 0);
    // One that keeps its pods captured does not, and clean-up does.
    cluster.agent_args(&["--keep-capture"]);
    agent(&cluster)?.start()?;
    eventually(PATIENCE, || client.is_captured());
    let pid = keeper(&cluster)?;
    agent(&cluster)?.stop()?;
    assert_eq!(keeper(&cluster)?, pid);
    let state = cluster.dir().join("state").display().to_string();
    let pins = Path::new(BPF_DIR).join(format!("{}-a", cluster.id())).display().to_string();
    let output = std::process::Command::new(std::env::var("WEFT_BIN").context("WEFT_BIN")?)
        .args(["cleanup", "--node=a", "--state-dir", &state, "--bpf-dir", &pins])
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("removed keeper at"), "{said}");
    eventually(PATIENCE, || {
        ensure!(keepers(&cluster).is_empty(), "a keeper lives");
        Ok(())
    });
    assert!(!socket.exists());
    assert_eq!(client.get(&url)?.status, 200, "the pod is as it was before");
    Ok(())
}

#[test]
fn fifty_restarts_leave_no_descriptor() -> Result<()> {
    let (cluster, client, url) = small_world("restarts", &[])?;
    let pid = keeper(&cluster)?;
    let settled = || -> Result<(usize, usize)> {
        agent(&cluster)?.ready(PATIENCE)?;
        ensure!(client.get(&url)?.status == 200);
        Ok((descriptors(pid)?, agent(&cluster)?.descriptors()?))
    };
    eventually(PATIENCE, || settled().map(drop));
    std::thread::sleep(Duration::from_secs(3));
    let before = settled()?;
    let started = Instant::now();
    for turn in 0..RESTARTS {
        if turn % 2 == 0 {
            agent(&cluster)?.kill9()?;
            agent(&cluster)?.start()?;
        } else {
            agent(&cluster)?.start_successor()?.kill();
        }
        // Not always to the end: it may be killed at any moment of its start.
        if turn % 3 == 0 {
            agent(&cluster)?.ready(PATIENCE)?;
        } else {
            std::thread::sleep(Duration::from_millis(37 * (turn as u64 % 7)));
        }
    }
    println!("{RESTARTS} restarts in {:?}", started.elapsed());
    assert_eq!(keeper(&cluster)?, pid, "one keeper for all");
    eventually(PATIENCE, || {
        let now = settled()?;
        ensure!(now.0 <= before.0 && now.1 <= before.1 + 2, "{now:?} descriptors, {before:?} before");
        Ok(())
    });
    Ok(())
}
