//! Network namespaces with a name under `/run/netns`, as `ip netns` makes them.
//!
//! Owned by nodes and pods; whoever wants a socket inside one calls [`Netns::run`]. Removal by name is `cleanup`'s business.

use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};

/// Where names of network namespaces live (iproute2's convention).
pub(crate) const NETNS_DIR: &str = "/run/netns";

/// A network namespace; clones share one open file.
#[derive(Clone, Debug)]
pub struct Netns {
    name: String,
    file: Arc<File>,
}

impl Netns {
    /// Makes a namespace called `name`, with `lo` still down and IPv6 addresses usable at once.
    pub(crate) fn create(name: &str) -> Result<Self> {
        share_netns_dir()?;
        let path = Path::new(NETNS_DIR).join(name);
        File::create_new(&path).with_context(|| format!("creating {}", path.display()))?;
        on_own_thread(|| -> Result<()> {
            unshare(CloneFlags::CLONE_NEWNET).context("making a network namespace (this needs root)")?;
            quiet_sysctls()?;
            mount(Some("/proc/thread-self/ns/net"), &path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
                .with_context(|| format!("naming a network namespace {}", path.display()))
        })?;
        Self::open(name)
    }

    /// Opens the namespace called `name`.
    pub(crate) fn open(name: &str) -> Result<Self> {
        let path = Path::new(NETNS_DIR).join(name);
        let file = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
        Ok(Self { name: name.to_owned(), file: Arc::new(file) })
    }

    /// The name under `/run/netns`; also the value of a Pod's annotation `weft.dev/netns`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The inode that identifies the namespace in `/proc/<pid>/ns/net`.
    pub fn inode(&self) -> Result<u64> {
        Ok(self.file.metadata()?.ino())
    }

    /// Runs `work` on a thread of its own inside this namespace. Sockets opened there stay there, whoever uses them later.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        on_own_thread(|| {
            self.enter()?;
            Ok(work())
        })
    }

    /// Moves the calling thread into this namespace, for good.
    pub(crate) fn enter(&self) -> Result<()> {
        setns(self.file.as_fd(), CloneFlags::CLONE_NEWNET)
            .with_context(|| format!("entering network namespace {}", self.name))
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Takes the name away; the namespace itself ends with its last process and socket.
pub(crate) fn remove(path: &Path) {
    // Both fail when somebody else has already removed it: that is what we want.
    let _ = umount2(path, MntFlags::MNT_DETACH);
    let _ = fs::remove_file(path);
}

/// All names under `/run/netns`.
pub(crate) fn names() -> Vec<(String, PathBuf)> {
    let Ok(entries) = fs::read_dir(NETNS_DIR) else { return Vec::new() };
    entries.flatten().filter_map(|e| Some((e.file_name().into_string().ok()?, e.path()))).collect()
}

fn on_own_thread<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// Makes `/run/netns` a shared mount, so that names appear in every mount namespace (what `ip netns add` does first).
fn share_netns_dir() -> Result<()> {
    fs::create_dir_all(NETNS_DIR)?;
    let dir = File::open(NETNS_DIR)?;
    // Two test processes that start together must not both mount it.
    let Ok(_lock) = Flock::lock(dir, FlockArg::LockExclusive) else { bail!("cannot lock {NETNS_DIR}") };
    let share = || mount(None::<&str>, NETNS_DIR, None::<&str>, MsFlags::MS_SHARED | MsFlags::MS_REC, None::<&str>);
    if share().is_err() {
        let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
        mount(Some(NETNS_DIR), NETNS_DIR, None::<&str>, bind, None::<&str>).context("bind-mounting /run/netns")?;
        share().context("sharing the mount /run/netns")?;
    }
    Ok(())
}

/// Settings of the calling thread's new namespace: no reverse path filter (capture routes by mark), no waiting for
/// duplicate address detection, no router solicitations, no limit on the ICMP errors that tell clients they are refused.
fn quiet_sysctls() -> Result<()> {
    for (key, value) in [
        ("ipv4/conf/all/rp_filter", "0"),
        ("ipv4/conf/default/rp_filter", "0"),
        ("ipv4/icmp_ratelimit", "0"),
        ("ipv6/icmp/ratelimit", "0"),
        ("ipv6/conf/all/accept_dad", "0"),
        ("ipv6/conf/default/accept_dad", "0"),
        ("ipv6/conf/default/dad_transmits", "0"),
        ("ipv6/conf/default/accept_ra", "0"),
        ("ipv6/conf/default/router_solicitations", "0"),
    ] {
        sysctl(key, value)?;
    }
    Ok(())
}

/// Writes a `net.` sysctl of the calling thread's namespace.
pub(crate) fn sysctl(key: &str, value: &str) -> Result<()> {
    fs::write(Path::new("/proc/sys/net").join(key), value).with_context(|| format!("setting sysctl net/{key}={value}"))
}
