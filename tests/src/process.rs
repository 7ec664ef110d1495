//! Processes: spawned inside namespaces, dead when the harness is dead.
//!
//! Used by pods (`kubelet`, `place`) and agents. A child asks the kernel for SIGKILL at its parent's death (PDEATHSIG). The kernel
//! means the parent *thread*, and a test's thread is short-lived, so every child is born from one thread that never ends.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::netns::Netns;

/// The environment variable that marks each process of a cluster (value: the cluster's id), so that clean-up finds it.
pub(crate) const CLUSTER_MARK: &str = "WEFT_TESTBED_CLUSTER";
/// The environment variable that marks each process of a pod (value: the pod's network namespace).
pub(crate) const POD_MARK: &str = "WEFT_TESTBED_POD";

/// How a pod differs from the machine besides its network: files bound over `/etc` and a host name.
#[derive(Clone, Debug)]
pub(crate) struct PodFiles {
    pub(crate) hosts: PathBuf,
    pub(crate) resolv: PathBuf,
    pub(crate) hostname: String,
    /// A folder to be seen as `/tmp`; `None` leaves the machine's.
    pub(crate) tmp: Option<PathBuf>,
}

/// What to run and where; spawned by [`Process::spawn`] or [`run_to_end`].
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) keep_env: bool,
    pub(crate) netns: Netns,
    pub(crate) files: Option<PodFiles>,
}

/// A running child; killed and reaped when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: u32,
    child: Mutex<Child>,
}

/// What a finished command left.
#[derive(Clone, Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output, bytes that are not UTF-8 replaced.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
}

impl Output {
    /// The exit code, or -1 when a signal ended it.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }
}

impl Process {
    /// Starts `spec` with both outputs appended to `log`.
    pub(crate) fn spawn(spec: &Spec, log: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(log);
        let file = file.with_context(|| format!("opening log {}", log.display()))?;
        let child = spawn(spec, Stdio::null(), Stdio::from(file.try_clone()?), Stdio::from(file))?;
        Ok(Self { name: spec.program.display().to_string(), pid: child.id(), child: Mutex::new(child) })
    }

    /// The process id; another process may have it once this one was waited for.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// How it ended; `None` while it runs.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.lock().try_wait().ok().flatten()
    }

    /// Sends `signal`; a process that has ended is left in peace.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let mut child = self.lock();
        if child.try_wait()?.is_none() {
            kill(Pid::from_raw(self.pid.cast_signed()), signal)
                .with_context(|| format!("sending {signal} to {} (pid {})", self.name, self.pid))?;
        }
        Ok(())
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&self) {
        let mut child = self.lock();
        // Both fail only when it has been reaped already.
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Waits for the end, at most `patience`.
    pub fn wait(&self, patience: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            let status = self.exit_status();
            if status.is_some() || Instant::now() >= deadline {
                return status;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// SIGTERM, and SIGKILL after `grace`. Returns how it ended; `None` when it had to be killed.
    pub fn stop(&self, grace: Duration) -> Option<ExitStatus> {
        let _ = self.signal(Signal::SIGTERM);
        let status = self.wait(grace);
        if status.is_none() {
            self.kill();
        }
        status
    }

    fn lock(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs `spec` to its end and collects its output; kills it and fails after `patience`.
pub(crate) fn run_to_end(spec: &Spec, patience: Duration) -> Result<Output> {
    let mut child = spawn(spec, Stdio::null(), Stdio::piped(), Stdio::piped())?;
    let stdout = collect(child.stdout.take().map(OwnedFd::from));
    let stderr = collect(child.stderr.take().map(OwnedFd::from));
    let deadline = Instant::now() + patience;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() >= deadline {
            let _ = child.kill();
            let _ = child.wait();
            bail!("`{} {}` did not end within {patience:?}", spec.program.display(), spec.args.join(" "));
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let text = |reader: std::thread::JoinHandle<Vec<u8>>| {
        String::from_utf8_lossy(&reader.join().unwrap_or_default()).into_owned()
    };
    Ok(Output { status, stdout: text(stdout), stderr: text(stderr) })
}

fn collect(pipe: Option<OwnedFd>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            // A broken pipe ends the output; what came before it counts.
            let _ = File::from(pipe).read_to_end(&mut bytes);
        }
        bytes
    })
}

fn spawn(spec: &Spec, stdin: Stdio, stdout: Stdio, stderr: Stdio) -> Result<Child> {
    let mut command = Command::new(&spec.program);
    command.args(&spec.args).stdin(stdin).stdout(stdout).stderr(stderr).current_dir("/");
    if !spec.keep_env {
        command.env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into()));
        command.env("HOME", "/root");
    }
    command.envs(spec.env.iter().map(|(k, v)| (k, v)));
    let mut enter = Entrance::new(spec)?;
    // SAFETY: between fork and exec `enter` only makes system calls on values prepared above: it neither allocates nor locks.
    unsafe { command.pre_exec(move || enter.enter()) };
    let what = format!("starting {}", spec.program.display());
    on_nursery(move || command.spawn()).with_context(|| what)
}

/// Everything the child needs between fork and exec, prepared so that no memory has to be allocated there.
struct Entrance {
    parent: Pid,
    netns: OwnedFd,
    /// Source and target of each bind mount, and the host name.
    files: Option<(Vec<(CString, &'static CStr)>, CString)>,
}

impl Entrance {
    fn new(spec: &Spec) -> Result<Self> {
        let files = match &spec.files {
            None => None,
            Some(files) => {
                let mut binds = vec![(&files.hosts, c"/etc/hosts"), (&files.resolv, c"/etc/resolv.conf")];
                binds.extend(files.tmp.iter().map(|tmp| (tmp, c"/tmp")));
                let binds = binds.into_iter().map(|(from, to)| Ok((CString::new(from.as_os_str().as_bytes())?, to)));
                Some((binds.collect::<Result<_>>()?, CString::new(files.hostname.as_str())?))
            }
        };
        Ok(Self { parent: Pid::this(), netns: spec.netns.fd().try_clone_to_owned()?, files })
    }

    fn enter(&mut self) -> io::Result<()> {
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
        if Pid::parent() != self.parent {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        setns(&self.netns, CloneFlags::CLONE_NEWNET)?;
        let Some((binds, hostname)) = &self.files else { return Ok(()) };
        unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS)?;
        // Mounts made below stay here; names of namespaces removed by the harness still go away here.
        let none = None::<&CStr>;
        mount(none, c"/", none, MsFlags::MS_SLAVE | MsFlags::MS_REC, none)?;
        for (from, to) in binds {
            mount(Some(from.as_c_str()), *to, none, MsFlags::MS_BIND, none)?;
        }
        // SAFETY: the pointer and the length describe `hostname`, which outlives the call.
        if unsafe { libc::sethostname(hostname.as_ptr(), hostname.as_bytes().len()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }
}

type Birth = Box<dyn FnOnce() + Send>;

/// Runs `work` on the one thread that lives as long as the process.
fn on_nursery<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    static NURSERY: OnceLock<Mutex<Sender<Birth>>> = OnceLock::new();
    let nursery = NURSERY.get_or_init(|| {
        let (sender, receiver) = channel::<Birth>();
        std::thread::spawn(move || receiver.into_iter().for_each(|birth| birth()));
        Mutex::new(sender)
    });
    let (reply, answer) = channel();
    let birth: Birth = Box::new(move || {
        // The receiver waits below.
        let _ = reply.send(work());
    });
    let gone = || io::Error::other("the thread that spawns processes is gone");
    nursery.lock().unwrap_or_else(PoisonError::into_inner).send(birth).map_err(|_| gone())?;
    answer.recv().map_err(|_| gone())?
}

/// Whether process `pid` belongs to whoever set the environment variable `mark` to `value`.
pub(crate) fn has_mark(pid: u32, mark: &str, value: &str) -> bool {
    let Ok(environ) = std::fs::read(format!("/proc/{pid}/environ")) else { return false };
    let wanted = format!("{mark}={value}");
    environ.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes())
}

/// All process ids of the machine.
pub(crate) fn pids() -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Sends SIGKILL to each process that `matches`.
pub(crate) fn kill_where(matches: impl Fn(u32) -> bool) -> usize {
    let own = std::process::id();
    let victims: Vec<u32> = pids().into_iter().filter(|pid| *pid != own && matches(*pid)).collect();
    for pid in &victims {
        // It may have ended meanwhile.
        let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
    }
    victims.len()
}
