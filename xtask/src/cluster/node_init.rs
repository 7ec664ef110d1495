//! A node from inside: its first process, which makes the file system look like a real node's and keeps its daemons alive.
//!
//! Inside, every path is the one that a real node has, so that a DaemonSet's manifest needs nothing special. What a node
//! writes below `/etc`, `/opt` and `/var` stays on its own disk, and what the kubelet sets for a whole machine does not
//! reach the machine.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::mount::{MsFlags, mount};
use nix::sys::wait::{WaitStatus, wait};

use super::cgroup::{self, Hierarchy, Kind};
use super::layout::{Layout, Node};
use super::node_files;

/// These become layers over the machine's own.
const LAYERED: [&str; 3] = ["etc", "opt", "var"];

/// These have to be a real file system: containerd makes layers itself, and layers on layers do not work.
const REAL: [&str; 2] = ["var/lib/kubelet", "var/lib/containerd"];

/// The sysctls that the kubelet writes and that are the whole machine's; it finds throw-away files instead.
const SHIELDED: [&str; 6] = [
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];

/// The sysctls of the node's own network that pods need.
const NETWORK: [(&str, &str); 4] = [
    ("ipv4/ip_forward", "1"),
    ("ipv4/conf/all/rp_filter", "0"),
    ("ipv4/conf/default/rp_filter", "0"),
    ("ipv6/conf/all/forwarding", "1"),
];

/// How long a daemon that ended rests before it is started again.
const RESTART_DELAY: Duration = Duration::from_secs(1);

/// Does not return while the node lives.
pub fn run(layout: &Layout, number: u8) -> Result<()> {
    let node = layout.node(number);
    fs::write("/proc/sys/kernel/hostname", node.name()).context("cannot set the host name")?;
    let hierarchies = cgroup::hierarchies()?;
    mount_kernel_file_systems(&hierarchies)?;
    mount_disk(node)?;
    shield_sysctls()?;
    give_identity(node)?;
    for (name, value) in NETWORK {
        let file = Path::new("/proc/sys/net").join(name);
        // A kernel without IPv6 has nothing to forward.
        if !file.exists() {
            continue;
        }
        fs::write(&file, value).with_context(|| format!("cannot write {}", file.display()))?;
    }
    // Volumes with mount propagation have to reach the pods' mount namespaces.
    remount("/", MsFlags::MS_SHARED | MsFlags::MS_REC)?;
    node_files::write(node)?;
    keep_running(&node_files::daemons(node))
}

fn mount_kernel_file_systems(hierarchies: &[Hierarchy]) -> Result<()> {
    attach("proc", "/proc", "proc", None)?;
    attach("sysfs", "/sys", "sysfs", None)?;
    mount_cgroups(hierarchies)?;
    attach("bpf", "/sys/fs/bpf", "bpf", None)
}

fn mount_cgroups(hierarchies: &[Hierarchy]) -> Result<()> {
    if let [Hierarchy { kind: Kind::V2, .. }] = hierarchies {
        attach("cgroup2", cgroup::ROOT, "cgroup2", None)?;
        // A group of version 2 with controllers for its children may hold no process itself.
        let own = Path::new(cgroup::ROOT).join("init");
        fs::create_dir_all(&own).with_context(|| format!("cannot make {}", own.display()))?;
        fs::write(own.join("cgroup.procs"), "1").with_context(|| format!("cannot enter {}", own.display()))?;
        return cgroup::delegate(Path::new(cgroup::ROOT));
    }
    attach("tmpfs", cgroup::ROOT, "tmpfs", Some("mode=755"))?;
    for hierarchy in hierarchies {
        fs::create_dir(&hierarchy.mount_point)
            .with_context(|| format!("cannot make {}", hierarchy.mount_point.display()))?;
        match &hierarchy.kind {
            Kind::V2 => attach("cgroup2", &hierarchy.mount_point, "cgroup2", None)?,
            Kind::V1(options) => attach("cgroup", &hierarchy.mount_point, "cgroup", Some(options))?,
        }
        link_single_controllers(&hierarchy.mount_point)?;
    }
    Ok(())
}

/// Two controllers mounted together as `cpu,cpuacct` are looked for by their single names, too.
fn link_single_controllers(mount_point: &Path) -> Result<()> {
    let name = mount_point.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    for single in name.split(',').filter(|single| *single != name) {
        let link = mount_point.with_file_name(single);
        symlink(&name, &link).with_context(|| format!("cannot make the link {}", link.display()))?;
    }
    Ok(())
}

fn mount_disk(node: Node<'_>) -> Result<()> {
    let disk = node.folder().join("disk");
    let work = node.folder().join("work");
    for name in LAYERED {
        let (upper, work) = (disk.join(name), work.join(name));
        for folder in [&upper, &work] {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let options = format!("lowerdir=/{name},upperdir={},workdir={}", upper.display(), work.display());
        attach("overlay", Path::new("/").join(name), "overlay", Some(&options))?;
    }
    for name in REAL {
        let (source, target) = (node.folder().join("real").join(name), Path::new("/").join(name));
        for folder in [&source, &target] {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        bind(&source, &target)?;
    }
    attach("tmpfs", "/run", "tmpfs", Some("mode=755"))?;
    for folder in ["/run/netns", "/run/lock", "/var/log/pods"] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {folder}"))?;
    }
    Ok(())
}

fn shield_sysctls() -> Result<()> {
    for name in SHIELDED {
        let (real, shield) = (Path::new("/proc/sys").join(name), Path::new("/run/shielded").join(name));
        // A kernel without this sysctl needs no shield.
        let Ok(value) = fs::read(&real) else { continue };
        if let Some(folder) = shield.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        fs::write(&shield, value).with_context(|| format!("cannot write {}", shield.display()))?;
        bind(&shield, &real)?;
    }
    Ok(())
}

/// What tells one machine, and one start of a machine, from another.
fn give_identity(node: Node<'_>) -> Result<()> {
    let random = || fs::read_to_string("/proc/sys/kernel/random/uuid").context("cannot get a random number");
    let boot = random()?;
    let shield = Path::new("/run/shielded/boot_id");
    fs::write(shield, &boot).with_context(|| format!("cannot write {}", shield.display()))?;
    bind(shield, Path::new("/proc/sys/kernel/random/boot_id"))?;
    // From the disk: the same after every start.
    let machine = node.folder().join("machine-id");
    if !machine.exists() {
        fs::write(&machine, random()?.replace('-', ""))
            .with_context(|| format!("cannot write {}", machine.display()))?;
    }
    fs::copy(&machine, "/etc/machine-id").context("cannot write /etc/machine-id")?;
    // For who waits until this start is known to the API server.
    let started = node.boot_id();
    fs::write(&started, boot).with_context(|| format!("cannot write {}", started.display()))
}

fn attach(source: &str, target: impl AsRef<Path>, kind: &str, options: Option<&str>) -> Result<()> {
    let target = target.as_ref();
    mount(Some(source), target, Some(kind), MsFlags::empty(), options)
        .with_context(|| format!("cannot mount {kind} ({}) on {}", options.unwrap_or(""), target.display()))
}

fn bind(source: &Path, target: &Path) -> Result<()> {
    mount(Some(source), target, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .with_context(|| format!("cannot bind {} over {}", source.display(), target.display()))
}

fn remount(target: &str, flags: MsFlags) -> Result<()> {
    mount(None::<&str>, target, None::<&str>, flags, None::<&str>)
        .with_context(|| format!("cannot change the propagation of {target}"))
}

/// A program that the node runs all the time.
pub struct Daemon {
    /// Its name, and that of its log in `/var/log`.
    pub name: &'static str,
    /// Program and arguments.
    pub command: Vec<String>,
    /// A file that has to exist before it is started.
    pub after: Option<&'static str>,
}

/// Starts the daemons and starts again what ends; also the parent of every orphan in the node, as any first process.
fn keep_running(daemons: &[Daemon]) -> Result<()> {
    let mut running = BTreeMap::new();
    for daemon in daemons {
        running.insert(start(daemon)?, daemon);
    }
    loop {
        let status = wait().context("cannot wait for the node's processes")?;
        let (WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..)) = status else { continue };
        if let Some(daemon) = running.remove(&pid.as_raw()) {
            eprintln!("{} ended ({status:?}) and is started again", daemon.name);
            thread::sleep(RESTART_DELAY);
            running.insert(start(daemon)?, daemon);
        }
    }
}

fn start(daemon: &Daemon) -> Result<i32> {
    while daemon.after.is_some_and(|file| !Path::new(file).exists()) {
        thread::sleep(Duration::from_millis(50));
    }
    let path = Path::new("/var/log").join(format!("{}.log", daemon.name));
    let place = || format!("cannot write {}", path.display());
    let log = fs::File::options().create(true).append(true).open(&path).with_context(place)?;
    let [program, args @ ..] = daemon.command.as_slice() else { return Ok(0) };
    let child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(log.try_clone().with_context(place)?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("cannot start {}", daemon.name))?;
    i32::try_from(child.id()).context("a process number does not fit")
}
