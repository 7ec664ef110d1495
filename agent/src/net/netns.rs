//! A network namespace held open, and how to do something inside it.

use std::{
    cell::OnceCell,
    fs::File,
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
};

use nix::sched::{CloneFlags, setns};

/// Where `ip netns` and container runtimes mount named namespaces.
pub const NETNS_DIR: &str = "/run/netns";

/// Namespaces of processes, whose paths end with them although the namespace may live on.
const PROC_DIR: &str = "/proc";

/// `SO_NETNS_COOKIE` (asm-generic/socket.h, Linux 5.14): not in libc yet for all targets.
const SO_NETNS_COOKIE: libc::c_int = 71;

/// One network namespace. It lives as long as this value, even when its name is removed.
#[derive(Debug)]
pub struct Netns {
    file: File,
    path: PathBuf,
    cookie: u64,
}

impl Netns {
    /// Opens a namespace by its name below [`NETNS_DIR`] or by an absolute path.
    ///
    /// # Errors
    /// When the file does not exist or is no network namespace.
    pub fn open(name: &str) -> io::Result<Self> {
        let path = if name.starts_with('/') { PathBuf::from(name) } else { Path::new(NETNS_DIR).join(name) };
        Self::from_file(File::open(&path)?, path)
    }

    /// A namespace that is open already: whoever has to know whose it is opens it first and looks then, since a path
    /// can come to mean another one in between. `path` is where it is found again.
    ///
    /// # Errors
    /// When the file is no network namespace.
    pub fn from_file(file: File, path: PathBuf) -> io::Result<Self> {
        let mut netns = Self { file, path, cookie: 0 };
        netns.cookie = netns.enter(read_cookie)??;
        Ok(netns)
    }

    /// The host's: in a container that sees the host's processes (`hostPID`) that of process 1, else our own.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn of_host() -> io::Result<Self> {
        let mounts = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/mnt"));
        let is_contained = mounts("1").is_ok_and(|hosts| mounts("self").is_ok_and(|own| own != hosts));
        Self::open(if is_contained { "/proc/1/ns/net" } else { "/proc/self/ns/net" })
    }

    /// The kernel's number for this namespace, never reused while the machine runs.
    pub fn cookie(&self) -> u64 {
        self.cookie
    }

    /// Is it the one whose file has that device and inode?
    pub fn is_inode(&self, device: u64, inode: u64) -> bool {
        self.file.metadata().is_ok_and(|own| (own.dev(), own.ino()) == (device, inode))
    }

    /// Where it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Does its path still lead to the same namespace? A pod that was replaced under the same name
    /// has another one. That a process has ended, by whose number it was found, says nothing about the
    /// namespace: other processes of the pod may live in it.
    pub fn is_current(&self) -> bool {
        match Self::open(&self.path.to_string_lossy()) {
            Ok(now) => now.cookie == self.cookie,
            Err(_) => self.path.starts_with(PROC_DIR) && self.path.ends_with("ns/net"),
        }
    }

    /// Runs `action` with the calling thread inside the namespace. `action` must not await: other
    /// tasks of the thread would find themselves in the pod.
    ///
    /// # Errors
    /// When the namespace cannot be entered (needs CAP_SYS_ADMIN).
    pub fn enter<R>(&self, action: impl FnOnce() -> R) -> io::Result<R> {
        thread_local! {
            static HOME: OnceCell<File> = const { OnceCell::new() };
        }
        HOME.with(|home| {
            let home = match home.get() {
                Some(file) => file,
                None => {
                    let file = File::open("/proc/thread-self/ns/net")?;
                    home.get_or_init(|| file)
                }
            };
            setns(self.file.as_fd(), CloneFlags::CLONE_NEWNET)?;
            let _back = Back(home.as_fd());
            Ok(action())
        })
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Which namespace a file of the kernel's namespace file system (nsfs) is: equal for equal namespaces, whatever the
/// path, and used again after the namespace has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NetnsId {
    device: u64,
    inode: u64,
}

impl NetnsId {
    /// Of a file as found.
    pub fn of(metadata: &std::fs::Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }

    /// Of a path.
    ///
    /// # Errors
    /// When the path leads nowhere.
    pub fn at(path: impl AsRef<Path>) -> io::Result<Self> {
        std::fs::metadata(path).map(|metadata| Self::of(&metadata))
    }
}

/// Brings the thread home, also when the action panics.
struct Back<'a>(BorrowedFd<'a>);

impl Drop for Back<'_> {
    fn drop(&mut self) {
        if let Err(error) = setns(self.0, CloneFlags::CLONE_NEWNET) {
            // Going on would open sockets of one pod inside another: nothing is worse than that.
            eprintln!("weft: cannot return to the node's network namespace: {error}; stopping at once");
            std::process::abort();
        }
    }
}

fn read_cookie() -> io::Result<u64> {
    let socket = std::net::UdpSocket::bind("[::]:0").or_else(|_no_ipv6| std::net::UdpSocket::bind("0.0.0.0:0"))?;
    let mut cookie = 0_u64;
    let mut length = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the option fills at most `length` bytes of a u64 that outlives the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    if result == 0 { Ok(cookie) } else { Err(io::Error::last_os_error()) }
}
