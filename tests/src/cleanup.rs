//! Takes away what a cluster put on the machine: processes, namespaces, folders, pinned BPF objects.
//!
//! Called by `Cluster::drop`, by the handler of SIGINT and SIGTERM, and for clusters whose owner was killed by each
//! `Cluster::new`. It works from the cluster's id alone, so that it can run whatever state the owner is in.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::fd::IntoRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Mutex, Once, OnceLock, PoisonError};
use std::time::Duration;

use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, raise, sigaction};

use crate::id::ClusterId;
use crate::netns;
use crate::process::{CLUSTER_MARK, has_mark, kill_where};

/// Where each cluster keeps its folder. Not under `/tmp`: pods may get a `/tmp` of their own, and socket paths must stay short.
pub const CLUSTERS_DIR: &str = "/run/weft-testbed";
/// Where agents pin their BPF links and maps, one folder per agent, named `<id>-<node>`.
pub const BPF_DIR: &str = "/sys/fs/bpf/weft";

/// Where hierarchies of cgroups are mounted, or the only one.
const CGROUPS: &str = "/sys/fs/cgroup";

/// Clusters of this process that have to be removed if it is told to end.
static LIVING: Mutex<BTreeSet<ClusterId>> = Mutex::new(BTreeSet::new());
/// Set when the process is about to end: controllers must not start anything any more.
static ENDING: AtomicBool = AtomicBool::new(false);
/// The signal handler writes the signal's number here.
static SIGNAL_PIPE: AtomicI32 = AtomicI32::new(-1);

/// Said between the removal of the clusters and the end of the process.
static FAREWELL: OnceLock<Farewell> = OnceLock::new();

/// What [`at_signal`] takes: a function of the clusters that were removed.
pub type Farewell = fn(&BTreeSet<ClusterId>);

/// Whether a signal told this process to end.
pub fn process_is_ending() -> bool {
    ENDING.load(Ordering::Relaxed)
}

/// Calls `farewell` when SIGINT or SIGTERM has removed this process's clusters, just before the signal ends the process. Only the
/// first call counts.
pub fn at_signal(farewell: Farewell) {
    // A second one is ignored, as said above.
    let _ = FAREWELL.set(farewell);
}

/// Notes a new cluster for removal by signal.
pub(crate) fn register(id: &ClusterId) {
    catch_signals();
    LIVING.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
}

/// Removes everything that belongs to `id`; what is already gone is no error.
pub(crate) fn remove_cluster(id: &ClusterId) {
    let prefix = format!("{id}-");
    let names: Vec<_> = netns::names().into_iter().filter(|(name, _)| name.starts_with(&prefix)).collect();
    let inodes: BTreeSet<u64> = names.iter().filter_map(|(_, path)| Some(fs::metadata(path).ok()?.ino())).collect();
    let value = id.to_string();
    // A dying process may just be forking: look until none is found.
    for _ in 0..200 {
        if kill_where(|pid| lives_in(pid, &inodes) || has_mark(pid, CLUSTER_MARK, &value)) == 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    remove_keepers_cgroups();
    names.iter().for_each(|(_, path)| netns::remove(path));
    let _ = fs::remove_dir_all(Path::new(CLUSTERS_DIR).join(&value));
    for entry in fs::read_dir(BPF_DIR).into_iter().flatten().flatten() {
        if ClusterId::prefix_of(&entry.file_name().to_string_lossy()).as_ref() == Some(id) {
            remove_pins(&entry.path());
        }
    }
    LIVING.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
}

/// Removes clusters whose owner is dead; returns how many there were. Called by each `Cluster::new`.
pub fn cleanup_leftovers() -> usize {
    let folders = [CLUSTERS_DIR, BPF_DIR].into_iter().flat_map(|dir| fs::read_dir(dir).into_iter().flatten().flatten());
    let folders = folders.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let names = netns::names().into_iter().map(|(name, _)| name);
    let ids: BTreeSet<ClusterId> = folders.chain(names).filter_map(|name| ClusterId::prefix_of(&name)).collect();
    let dead: Vec<_> = ids.iter().filter(|id| !id.owner_lives()).collect();
    dead.iter().for_each(|id| remove_cluster(id));
    dead.len()
}

/// Whether the process is in one of the namespaces. One that only waits to be reaped has none.
fn lives_in(pid: u32, inodes: &BTreeSet<u64>) -> bool {
    fs::metadata(format!("/proc/{pid}/ns/net")).is_ok_and(|meta| inodes.contains(&meta.ino()))
}

/// A keeper that was killed leaves its cgroups; those of another cluster's keepers are not empty, and stay.
fn remove_keepers_cgroups() {
    let hierarchies = fs::read_dir(CGROUPS).into_iter().flatten().flatten().map(|entry| entry.path());
    for hierarchy in hierarchies.chain([CGROUPS.into()]) {
        let _ = fs::remove_dir(hierarchy.join("weft-keeper"));
    }
}

/// A bpffs folder may hold a mount of its own, and holds only pins and folders.
fn remove_pins(dir: &Path) {
    let _ = umount2(dir, MntFlags::MNT_DETACH);
    let _ = fs::remove_dir_all(dir);
}

/// Installs the handler of SIGINT and SIGTERM once: it wakes a thread that removes all clusters and then lets the signal act.
fn catch_signals() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let Ok((mut reader, writer)) = std::io::pipe() else { return };
        SIGNAL_PIPE.store(writer.into_raw_fd(), Ordering::SeqCst);
        let action = SigAction::new(SigHandler::Handler(note_signal), SaFlags::SA_RESTART, SigSet::empty());
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            // SAFETY: `note_signal` calls only write(2), which is async-signal-safe.
            let _ = unsafe { sigaction(signal, &action) };
        }
        std::thread::spawn(move || {
            let mut number = [0];
            if reader.read_exact(&mut number).is_ok() {
                end_by(i32::from(number[0]));
            }
        });
    });
}

extern "C" fn note_signal(number: libc::c_int) {
    let byte = number.to_le_bytes()[0];
    // SAFETY: the pointer is to one byte on this stack; a failed write leaves nothing to do.
    unsafe { libc::write(SIGNAL_PIPE.load(Ordering::SeqCst), (&raw const byte).cast(), 1) };
}

fn end_by(number: i32) {
    ENDING.store(true, Ordering::SeqCst);
    let living = LIVING.lock().unwrap_or_else(PoisonError::into_inner).clone();
    living.iter().for_each(remove_cluster);
    if let Some(farewell) = FAREWELL.get() {
        farewell(&living);
    }
    let Ok(signal) = Signal::try_from(number) else { std::process::exit(1) };
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: restores the default action, so that the signal ends the process as its sender expects.
    let _ = unsafe { sigaction(signal, &default) };
    let _ = raise(signal);
}
