//! Where the keeper lives: what would be killed with the agent's container, or would keep its files in use, is left.
//!
//! A container runtime kills a container by its cgroups, all of them; so the keeper moves into one of its own in
//! every hierarchy. In a container with the host's processes (`hostPID`) it first enters the host's namespaces, so
//! that it holds none of the container's, and sees the host's cgroups as the host does.

use std::{
    fs::{self, File},
    io,
    os::fd::RawFd,
    path::{Path, PathBuf},
};

use nix::sched::{CloneFlags, setns};

/// Name of the keepers' cgroup in each hierarchy, and of the process.
const NAME: &str = "weft-keeper";

/// Attempts to enter a cgroup which another keeper removes at that moment.
const ATTEMPTS: usize = 5;

/// Namespaces to enter, the mount namespace last: what it shows in /proc is needed before.
const NAMESPACES: [(&str, CloneFlags); 5] = [
    ("cgroup", CloneFlags::CLONE_NEWCGROUP),
    ("ipc", CloneFlags::CLONE_NEWIPC),
    ("uts", CloneFlags::CLONE_NEWUTS),
    ("net", CloneFlags::CLONE_NEWNET),
    ("mnt", CloneFlags::CLONE_NEWNS),
];

/// Leaves the container, if this is one, and its cgroups. To be called while the process has one thread.
///
/// # Errors
/// What cannot be left.
pub fn move_out() -> io::Result<()> {
    enter_hosts_namespaces()?;
    std::env::set_current_dir("/")?;
    for hierarchy in hierarchies()? {
        enter(&hierarchy).map_err(|error| context(&hierarchy.path, &error))?;
    }
    Ok(())
}

/// Process 1 is the host's where it has another mount namespace than this process: then this is a container.
fn enter_hosts_namespaces() -> io::Result<()> {
    let namespace = |pid: &str, name: &str| format!("/proc/{pid}/ns/{name}");
    let own = fs::read_link(namespace("self", "mnt"))?;
    match fs::read_link(namespace("1", "mnt")) {
        Ok(hosts) if hosts == own => return Ok(()),
        Ok(_) => {}
        // Who may not look at process 1 may not follow it, either.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return stay(),
        Err(error) => return Err(context(Path::new(&namespace("1", "mnt")), &error)),
    }
    let opened: Vec<(PathBuf, File, CloneFlags)> = NAMESPACES
        .iter()
        .map(|(name, kind)| {
            let path = PathBuf::from(namespace("1", name));
            File::open(&path).map_err(|error| context(&path, &error)).map(|file| (path, file, *kind))
        })
        .collect::<io::Result<_>>()?;
    for (path, file, kind) in opened {
        setns(&file, kind).map_err(|error| context(&path, &error.into()))?;
    }
    Ok(())
}

/// Is this the host, as far as can be seen?
fn stay() -> io::Result<()> {
    // From inside a namespace of cgroups, what is outside of it has a path that leads out.
    let outside = fs::read_to_string("/proc/1/cgroup").is_ok_and(|text| text.contains("/.."));
    if !outside {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, "leaving the container needs CAP_SYS_PTRACE and CAP_SYS_ADMIN"))
}

/// A mounted hierarchy of cgroups.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hierarchy {
    path: PathBuf,
    is_v1: bool,
}

/// All hierarchies, each by the mount that comes first.
fn hierarchies() -> io::Result<Vec<Hierarchy>> {
    Ok(mounted(&fs::read_to_string("/proc/self/mountinfo")?))
}

/// From the text of `mountinfo` (proc_pid_mountinfo(5)): `id parent device root path options... - type source ...`.
fn mounted(mountinfo: &str) -> Vec<Hierarchy> {
    let mut seen = Vec::new();
    let mut found = Vec::new();
    for line in mountinfo.lines() {
        let Some((mount, file_system)) = line.split_once(" - ") else { continue };
        let mut fields = mount.split(' ').skip(2);
        let (Some(device), Some(_root), Some(path)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let is_v1 = match file_system.split(' ').next() {
            Some("cgroup") => true,
            Some("cgroup2") => false,
            _ => continue,
        };
        if !seen.contains(&device) {
            seen.push(device);
            found.push(Hierarchy { path: path.into(), is_v1 });
        }
    }
    found
}

/// Moves this process into the keepers' cgroup.
fn enter(hierarchy: &Hierarchy) -> io::Result<()> {
    let cgroup = hierarchy.path.join(NAME);
    let mut result = Ok(());
    for _ in 0..ATTEMPTS {
        result = match fs::create_dir(&cgroup) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => prepare(hierarchy, &cgroup).and_then(|()| fs::write(cgroup.join("cgroup.procs"), "0")),
        };
        match &result {
            // A keeper that ends has just removed it.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV)) => {}
            _ => break,
        }
    }
    result
}

/// A new cgroup of the first version takes nobody before it has processors and memory.
fn prepare(hierarchy: &Hierarchy, cgroup: &Path) -> io::Result<()> {
    if !hierarchy.is_v1 {
        return Ok(());
    }
    for setting in ["cpuset.cpus", "cpuset.mems"] {
        let own = cgroup.join(setting);
        if fs::read_to_string(&own).is_ok_and(|value| value.trim().is_empty()) {
            fs::write(&own, fs::read_to_string(hierarchy.path.join(setting))?)?;
        }
    }
    Ok(())
}

/// Lets go of all that this process has from its parent but the descriptor `kept`, and gives it a name.
///
/// # Errors
/// The system's.
pub fn let_go(kept: RawFd) -> io::Result<()> {
    nix::sys::prctl::set_name(c"weft-keeper")?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    nix::unistd::dup2_stdin(&null)?;
    nix::unistd::dup2_stdout(&null)?;
    nix::unistd::dup2_stderr(&null)?;
    drop(null);
    let first = kept.cast_unsigned() + 1;
    // SAFETY: this process uses no descriptor above `kept`.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
    if closed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Removes the keepers' cgroups, unless another keeper is in them. The process must then end.
pub fn clean_up() {
    for hierarchy in hierarchies().unwrap_or_default() {
        // A process cannot remove the cgroup that it is in; where it cannot leave it, an empty folder stays.
        let _ = fs::write(hierarchy.path.join("cgroup.procs"), "0");
        let _ = fs::remove_dir(hierarchy.path.join(NAME));
    }
}

fn context(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests;
