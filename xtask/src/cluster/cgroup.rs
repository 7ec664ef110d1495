//! A node's control groups: one group of the node's own in every hierarchy that the machine has mounted.
//!
//! Works with version 1 beside version 2 (each controller a hierarchy of its own), and with version 2 alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Where every distribution mounts them.
pub const ROOT: &str = "/sys/fs/cgroup";

/// How long killed processes may keep their groups busy.
const REMOVE_TIMEOUT: Duration = Duration::from_secs(10);

/// How often removing is tried.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// One mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// Where.
    pub mount_point: PathBuf,
    /// Which.
    pub kind: Kind,
}

/// What a hierarchy is, in the words of mount(2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Version 1; the options name its controllers or `name=systemd`.
    V1(String),
    /// Version 2.
    V2,
}

/// The hierarchies of the machine.
pub fn hierarchies() -> Result<Vec<Hierarchy>> {
    Ok(parse(&fs::read_to_string("/proc/self/mounts").context("cannot read /proc/self/mounts")?))
}

/// Makes the group in every hierarchy.
pub fn provide(hierarchies: &[Hierarchy], group: &str) -> Result<()> {
    for hierarchy in hierarchies {
        let folder = hierarchy.mount_point.join(group);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        // A new cpuset is empty, and nothing may enter it before it has CPUs and memory.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let parent = hierarchy.mount_point.join(file);
            if matches!(hierarchy.kind, Kind::V1(_)) && parent.exists() {
                let own = folder.join(file);
                fs::copy(&parent, &own)
                    .with_context(|| format!("cannot copy {} to {}", parent.display(), own.display()))?;
            }
        }
        if hierarchy.kind == Kind::V2 {
            delegate(&hierarchy.mount_point)?;
        }
    }
    Ok(())
}

/// Lets the groups below `folder`, a group of version 2, have every controller that it has itself.
pub fn delegate(folder: &Path) -> Result<()> {
    let list = folder.join("cgroup.controllers");
    let controllers = fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let enable: Vec<String> = controllers.split_whitespace().map(|controller| format!("+{controller}")).collect();
    let file = folder.join("cgroup.subtree_control");
    fs::write(&file, enable.join(" ")).with_context(|| format!("cannot write {}", file.display()))
}

/// Moves a process into the group.
pub fn enter(hierarchies: &[Hierarchy], group: &str, pid: u32) -> Result<()> {
    for hierarchy in hierarchies {
        let file = hierarchy.mount_point.join(group).join("cgroup.procs");
        fs::write(&file, pid.to_string()).with_context(|| format!("cannot write {pid} to {}", file.display()))?;
    }
    Ok(())
}

/// Removes the group and all below it, in every hierarchy.
pub fn remove(hierarchies: &[Hierarchy], group: &str) -> Result<()> {
    let started = Instant::now();
    for hierarchy in hierarchies {
        let folder = hierarchy.mount_point.join(group);
        while let Err(error) = remove_tree(&folder) {
            if started.elapsed() > REMOVE_TIMEOUT {
                bail!(
                    "cannot remove the control group {}: {error}; its cgroup.procs names who is in it",
                    folder.display()
                );
            }
            thread::sleep(RETRY_INTERVAL);
        }
    }
    Ok(())
}

/// Deepest first; the files in a group go with it.
fn remove_tree(folder: &Path) -> std::io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(folder)
}

fn parse(mounts: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in mounts.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [_, mount_point, kind, options, ..] = fields[..] else { continue };
        if !Path::new(mount_point).starts_with(ROOT) || found.iter().any(|h| h.mount_point == Path::new(mount_point)) {
            continue;
        }
        let kind = match kind {
            "cgroup" => Kind::V1(mount_options(options)),
            "cgroup2" => Kind::V2,
            _ => continue,
        };
        found.push(Hierarchy { mount_point: PathBuf::from(mount_point), kind });
    }
    found
}

/// What of a mount's shown options chooses the hierarchy when it is mounted again.
fn mount_options(shown: &str) -> String {
    let is_of_mount = |option: &&str| {
        !matches!(
            *option,
            "rw" | "ro" | "relatime" | "noatime" | "nosuid" | "nodev" | "noexec" | "xattr" | "clone_children"
        ) && !option.starts_with("release_agent=")
    };
    let chosen: Vec<&str> = shown.split(',').filter(is_of_mount).collect();
    let named = chosen.iter().any(|option| option.starts_with("name="));
    if named { format!("none,{}", chosen.join(",")) } else { chosen.join(",") }
}

#[cfg(test)]
mod tests;
