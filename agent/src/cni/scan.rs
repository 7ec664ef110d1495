//! Looks through /proc for the network namespaces of running pods.
//!
//! A process belongs to the pod that its cgroups name ([`super::cgroup`]). Of a pod's processes the oldest one counts:
//! that is its sandbox, which has the pod's namespace whatever its containers make for themselves later. The namespace is
//! opened first, and whose it is is read again after ([`super::process`]), so that a process which ends, moves or whose
//! number is used again in between is nobody's.

use std::{
    collections::{BTreeSet, HashMap},
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{cgroup::pod_uid, process::Process};
use crate::net::netns::{NETNS_DIR, NetnsId};

/// Where to look.
#[derive(Clone, Debug)]
pub struct Scanner {
    proc: PathBuf,
    mounts: PathBuf,
}

/// A pod's namespace.
#[derive(Debug)]
pub struct Found {
    /// The namespace, held open.
    pub file: File,
    /// A path that leads to it: where the runtime mounted it, which lasts as long as the pod; else that of a process.
    pub path: PathBuf,
    /// Which one it is.
    pub id: NetnsId,
}

/// What became of the pods that were looked for.
#[derive(Debug, Default)]
pub struct Scan {
    /// Those whose namespace was found, by uid.
    pub found: HashMap<Arc<str>, Found>,
    /// Why the others were not.
    pub missing: HashMap<Arc<str>, String>,
}

/// The oldest process of a pod so far.
struct Oldest {
    start: u64,
    pid: u32,
    file: File,
    id: NetnsId,
}

impl Default for Scanner {
    fn default() -> Self {
        Self { proc: "/proc".into(), mounts: NETNS_DIR.into() }
    }
}

impl Scanner {
    /// The namespace of the node itself, which is no pod's.
    ///
    /// # Errors
    /// When /proc is not the node's (the agent needs hostPID), or may not be looked into.
    pub fn host(&self) -> io::Result<NetnsId> {
        NetnsId::at(self.proc.join("1/ns/net"))
    }

    /// Looks for the namespaces of the pods with these uids. Blocks while it reads some files of every process.
    ///
    /// # Errors
    /// When /proc cannot be read at all.
    pub fn scan(&self, wanted: &BTreeSet<Arc<str>>) -> io::Result<Scan> {
        let host = self.host()?;
        let mut oldest: HashMap<Arc<str>, Oldest> = HashMap::new();
        let mut scan = Scan::default();
        for entry in fs::read_dir(&self.proc)? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            let Ok(process) = Process::open(&self.proc, pid) else { continue };
            let Some(uid) = pod(&process).and_then(|uid| wanted.get(&*uid)) else { continue };
            match look(&process, pid, uid) {
                Ok(Some(seen)) if seen.id == host => {
                    let reason = "its processes use the node's own network".to_owned();
                    scan.missing.entry(uid.clone()).or_insert(reason);
                }
                Ok(Some(seen)) => {
                    if oldest.get(uid).is_none_or(|other| (seen.start, seen.pid) < (other.start, other.pid)) {
                        oldest.insert(uid.clone(), seen);
                    }
                }
                // It has ended, or is not the pod's any more.
                Ok(None) => {}
                Err(error) => {
                    let reason =
                        format!("cannot look into its process {pid}: {error} (the agent needs CAP_SYS_PTRACE)");
                    scan.missing.insert(uid.clone(), reason);
                }
            }
        }
        let mounts = self.mounted();
        for (uid, Oldest { pid, file, id, .. }) in oldest {
            let path = mounts.get(&id).filter(|path| NetnsId::at(path).is_ok_and(|now| now == id));
            let path = path.cloned().unwrap_or_else(|| self.proc.join(format!("{pid}/ns/net")));
            scan.missing.remove(&uid);
            scan.found.insert(uid, Found { file, path, id });
        }
        for uid in wanted.iter().filter(|uid| !scan.found.contains_key(*uid)) {
            scan.missing.entry(uid.clone()).or_insert_with(|| "no process of it runs on this node".to_owned());
        }
        Ok(scan)
    }

    /// Namespaces that are mounted by name, as container runtimes do.
    fn mounted(&self) -> HashMap<NetnsId, PathBuf> {
        let Ok(entries) = fs::read_dir(&self.mounts) else { return HashMap::new() };
        let paths = entries.flatten().map(|entry| entry.path());
        paths.filter_map(|path| Some((NetnsId::at(&path).ok()?, path))).collect()
    }
}

fn pod(process: &Process) -> Option<String> {
    pod_uid(&process.cgroup().ok()?)
}

/// The process' namespace, if it is still a process of the pod once that is open.
fn look(process: &Process, pid: u32, uid: &str) -> io::Result<Option<Oldest>> {
    let file = match process.netns() {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
        Err(_ended) => return Ok(None),
        Ok(file) => file,
    };
    let id = NetnsId::of(&file.metadata()?);
    let (still, start) = (pod(process), process.start_time());
    let (Some(still), Ok(start)) = (still, start) else { return Ok(None) };
    Ok((still == uid).then_some(Oldest { start, pid, file, id }))
}

/// A namespace as the container runtime names it, for whoever may be in another mount namespace than the runtime: at the
/// same place where that is mounted, else through the root of the node's first process.
pub fn path_from_here(runtime_path: &Path) -> PathBuf {
    // `/var/run` is a link to `/run` on every node, but need not be one in the agent's image.
    let path = match runtime_path.strip_prefix("/var/run") {
        Ok(below) => Path::new("/run").join(below),
        Err(_) => runtime_path.to_owned(),
    };
    if path.exists() {
        return path;
    }
    let through_root = Path::new("/proc/1/root").join(path.strip_prefix("/").unwrap_or(&path));
    if through_root.exists() { through_root } else { path }
}

#[cfg(test)]
mod tests;
