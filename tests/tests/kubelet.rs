//! The kubelet's probes under policies that let nobody in: they reach the application itself, from the node's address,
//! and everybody else on the node is judged as ever.
//!
//! A shell stands in for the kubelet: it runs in the node's network namespace, under that name, and dials as it is told.

use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use weft_testbed::{Cluster, Pod, Process, Program, eventually};

const PATIENCE: Duration = Duration::from_secs(20);

const NOBODY: &str = "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default}\n\
    spec: {mtls: {mode: STRICT}}\n---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
    metadata: {name: nobody}\nspec: {}\n";

/// Asks by HTTP whoever it is told to. Says `refused`, `nothing` when a connection ends without an answer, or the answer.
const SCRIPT: &str = r#"
trap "" PIPE
exec 2>/dev/null 4<>"$ORDERS"
while read -r address port <&4; do
  answer=refused
  {
    printf 'GET /probe HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n' >&3
    answer=$(tr -d '\r\n' <&3)
    answer=${answer:-nothing}
  } 3<>"/dev/tcp/$address/$port"
  echo "$answer" >>"$ANSWERS"
done
"#;

/// A process on node `a` that dials.
struct Dialler {
    process: Option<Process>,
    program: PathBuf,
    script: String,
    orders: PathBuf,
    answers: PathBuf,
}

impl Dialler {
    /// `name` is what the process is called, `cgroup` where it moves first.
    fn start(cluster: &Cluster, name: &str, cgroup: Option<&Path>) -> Result<Self> {
        let mut dialler = Self::prepare(cluster, name, cgroup)?;
        let program = dialler.program.display().to_string();
        dialler.process = Some(cluster.on_node("a")?.spawn(&program, &["-c", &dialler.script])?);
        Ok(dialler)
    }

    /// One that somebody else starts.
    fn prepare(cluster: &Cluster, name: &str, cgroup: Option<&Path>) -> Result<Self> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let folder = cluster.dir().join(format!("dialler-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir_all(&folder)?;
        let (program, orders, answers) = (folder.join(name), folder.join("orders"), folder.join("answers"));
        fs::copy("/bin/bash", &program)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        nix::unistd::mkfifo(&orders, nix::sys::stat::Mode::S_IRWXU)?;
        fs::write(&answers, "")?;
        let enter = cgroup.map(|path| format!("echo $$ > {}/cgroup.procs\n", path.display())).unwrap_or_default();
        let script = format!("{enter}ORDERS={}\nANSWERS={}\n{SCRIPT}", orders.display(), answers.display());
        Ok(Self { process: None, program, script, orders, answers })
    }

    fn kill(&self) {
        self.process.iter().for_each(Process::kill);
    }

    /// What a connection to that address brings.
    fn dial(&self, address: IpAddr, port: u16) -> Result<String> {
        let answers = || fs::read_to_string(&self.answers);
        let before = answers()?.lines().count();
        writeln!(fs::File::options().write(true).open(&self.orders)?, "{address} {port}")?;
        Ok(eventually(PATIENCE, || answers()?.lines().nth(before).map(str::to_owned).context("no answer yet")))
    }

    /// Whether it reaches the application, which then sees the node.
    fn passes(&self, pod: &Pod, address: IpAddr) -> Result<bool> {
        let answer = self.dial(address, 5000)?;
        let passes = answer.starts_with("HTTP/1.1 200");
        if passes {
            // Through an agent it would say so.
            ensure!(!answer.contains("x-envoy"), "{answer}");
            ensure!(!answer.contains(&format!("\"peer_address\":\"{}\"", pod.ip())), "{answer}");
        } else {
            ensure!(answer == "nothing", "{answer}");
        }
        Ok(passes)
    }
}

/// A server on node `a` whose policies let nobody in.
fn closed_server(name: &str) -> Result<(Cluster, Pod)> {
    let cluster = Cluster::mesh(name)?;
    let server = close(&cluster)?;
    Ok((cluster, server))
}

fn close(cluster: &Cluster) -> Result<Pod> {
    let server = cluster.workload("server").node("a").program(Program::Echo { port: 5000 }).start()?;
    server.wait_captured(true)?;
    cluster.apply(NOBODY)?;
    let stranger = cluster.workload("stranger").node("a").label("sidecar.istio.io/inject", "false").start()?;
    eventually(PATIENCE, || {
        ensure!(stranger.get(&format!("http://{}:5000/", server.ip())).is_err(), "the policies do not act yet");
        Ok(())
    });
    Ok(server)
}

fn metric(cluster: &Cluster, name: &str) -> Result<u64> {
    let page = cluster.agent("a")?.admin("/metrics")?.text();
    let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(line.with_context(|| format!("no {name}"))?.trim().parse()?)
}

/// The pod's counts of requests that were answered well.
fn served(pod: &Pod) -> Result<Vec<String>> {
    let page = pod.get("http://127.0.0.1:15020/stats/prometheus")?.text();
    let is_count = |line: &&str| line.starts_with("istio_requests_total") && line.contains("response_code=\"200\"");
    Ok(page.lines().filter(is_count).map(str::to_owned).collect())
}

fn recognised(cluster: &Cluster, expected: u64) {
    eventually(PATIENCE, || {
        let now = metric(cluster, "weft_kubelet_recognised")?;
        ensure!(now == expected, "recognised: {now}");
        Ok(())
    });
}

#[test]
fn the_kubelet_passes_and_nobody_else_on_the_node() -> Result<()> {
    let (cluster, server) = closed_server("probes")?;
    let (kubelet, other) = (Dialler::start(&cluster, "kubelet", None)?, Dialler::start(&cluster, "other", None)?);
    recognised(&cluster, 1);
    let (before, counted) = (metric(&cluster, "weft_kubelet_probes_total")?, served(&server)?);
    for turn in 0..5 {
        for address in [server.ip(), server.ip6()] {
            assert!(kubelet.passes(&server, address)?, "{address}, turn {turn}");
            assert!(!other.passes(&server, address)?, "{address}, turn {turn}");
        }
    }
    eventually(PATIENCE, || {
        let now = metric(&cluster, "weft_kubelet_probes_total")?;
        ensure!(now == before + 10, "{now} probes, {before} before");
        Ok(())
    });
    assert_eq!(served(&server)?, counted, "probes are no requests of the mesh");
    // A TCP probe is answered by the application's own socket: a port on which nobody listens refuses.
    assert_eq!(kubelet.dial(server.ip(), 5001)?, "refused");
    assert_eq!(other.dial(server.ip(), 5001)?, "nothing");
    let listener = server.listen(5001)?;
    let accepting = std::thread::spawn(move || listener.accept().map(|(_, peer)| peer.ip().to_canonical()));
    assert_eq!(kubelet.dial(server.ip(), 5001)?, "nothing", "who listens there says nothing");
    let seen = accepting.join().expect("no panic")?;
    let addresses = cluster.on_node("a")?.exec("ip", &["-brief", "address"])?.stdout;
    assert!(addresses.contains(&format!(" {seen}/")), "{seen} is none of the node's: {addresses}");
    Ok(())
}

#[test]
fn the_kubelet_is_known_by_more_than_its_name() -> Result<()> {
    let (cluster, server) = closed_server("names")?;
    // A host-network pod may call its process what it likes.
    let cgroup = Path::new("/sys/fs/cgroup/unified").join(format!("kubepods-{}", cluster.id()));
    let cgroup = if cgroup.parent().is_some_and(Path::exists) {
        cgroup
    } else {
        Path::new("/sys/fs/cgroup").join(format!("kubepods-{}", cluster.id()))
    };
    fs::create_dir_all(&cgroup)?;
    let pretender = Dialler::start(&cluster, "kubelet", Some(&cgroup))?;
    // Long enough for it to be looked at.
    std::thread::sleep(Duration::from_secs(5));
    assert!(!pretender.passes(&server, server.ip())?);
    recognised(&cluster, 0);
    pretender.kill();
    let _ = fs::remove_dir(&cgroup);
    // The real one may be restarted, and its agent, too.
    for round in 0..2 {
        let kubelet = Dialler::start(&cluster, "kubelet", None)?;
        eventually(PATIENCE, || {
            ensure!(kubelet.passes(&server, server.ip())?, "round {round}");
            Ok(())
        });
        cluster.agent("a")?.kill9()?;
        assert!(kubelet.passes(&server, server.ip())?, "an application is well without an agent, too");
        cluster.agent("a")?.start()?;
        cluster.agent("a")?.ready(PATIENCE)?;
        assert!(kubelet.passes(&server, server.ip())?);
        kubelet.kill();
        recognised(&cluster, 0);
    }
    Ok(())
}

/// What comes in by a node port has the node's address, and is not the kubelet's.
#[test]
fn a_node_port_is_no_way_around_the_policies() -> Result<()> {
    let (cluster, server) = closed_server("nodeport")?;
    let kubelet = Dialler::start(&cluster, "kubelet", None)?;
    recognised(&cluster, 1);
    assert!(kubelet.passes(&server, server.ip())?);
    cluster.service("server").port(80, 5000).node_port().apply()?;
    let port = cluster.node_port("default", "server", 80)?;
    let outside = cluster.outside();
    let url = format!("http://{}:{port}/", cluster.node_named("a")?.address());
    for _ in 0..20 {
        assert!(kubelet.passes(&server, server.ip())?);
        let failure = outside.get(&url).expect_err("nobody may come in");
        assert_eq!(failure.kind, weft_testbed::FailureKind::Reset, "{failure}");
    }
    Ok(())
}

/// A node may be a container itself, with processes of its own: there numbers mean other processes than to the kernel.
#[test]
fn a_node_with_processes_of_its_own_has_a_kubelet_of_its_own() -> Result<()> {
    let cluster = Cluster::new("inner")?.node("a")?;
    let kubelet = Dialler::prepare(&cluster, "kubelet", None)?;
    let (inner, outer) = (cluster.dir().join("inner.sh"), cluster.dir().join("outer.sh"));
    let weft = std::env::var("WEFT_BIN").context("WEFT_BIN names the agent's binary")?;
    fs::write(cluster.dir().join("kubelet.sh"), &kubelet.script)?;
    let script = cluster.dir().join("kubelet.sh");
    fs::write(
        &inner,
        format!(
            "mount -t proc proc /proc\n{} {} &\n{weft} \"$@\" &\nwait $!\n",
            kubelet.program.display(),
            script.display()
        ),
    )?;
    let unshare = "exec unshare --pid --fork --kill-child --mount --propagation slave";
    fs::write(&outer, format!("#!/bin/sh\n{unshare} sh {} \"$@\"\n", inner.display()))?;
    fs::set_permissions(&outer, fs::Permissions::from_mode(0o755))?;
    cluster.agent_binary(&outer);
    cluster.enrol("default", true)?;
    cluster.start_agents()?;
    let server = close(&cluster)?;
    let other = Dialler::start(&cluster, "kubelet", None)?;
    recognised(&cluster, 1);
    assert!(kubelet.passes(&server, server.ip())?);
    assert!(!other.passes(&server, server.ip())?, "it is no process of that node");
    Ok(())
}
