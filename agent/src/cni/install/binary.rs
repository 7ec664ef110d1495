//! The plugin's binary on the node: this program itself, under another name.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::{fd::AsRawFd, unix::fs::PermissionsExt},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{process::Command, time::timeout};

use super::original::beside;
use crate::cni::plugin::NAME;

/// This program, also when its file was replaced since it started.
pub const SELF: &str = "/proc/self/exe";

/// Mount namespace of the node, where the container runtime will start the plugin.
const NODE_MOUNTS: &str = "/proc/1/ns/mnt";

/// How long the trial run may take.
const TRIAL: Duration = Duration::from_secs(10);

/// Compared at once.
const BLOCK: usize = 64 * 1024;

/// Where the binary is in a folder of plugins.
pub fn path(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

/// Puts the program there, unless it is. True when it was put there. Blocks.
///
/// # Errors
/// The file system's, naming the file.
pub fn install(program: &Path, folder: &Path) -> io::Result<bool> {
    let target = path(folder);
    let named = |error: io::Error| io::Error::new(error.kind(), format!("cannot write {}: {error}", target.display()));
    if is_same(program, &target).unwrap_or(false) {
        return Ok(false);
    }
    // A file that is being run cannot be written to, and one half written must not be run.
    let next = beside(&target);
    let copied = fs::create_dir_all(folder)
        .and_then(|()| fs::copy(program, &next))
        .and_then(|_| fs::set_permissions(&next, fs::Permissions::from_mode(0o755)))
        .and_then(|()| File::open(&next)?.sync_all())
        .and_then(|()| fs::rename(&next, &target));
    copied.map(|()| true).map_err(|error| {
        // Best effort: the first error is the one to tell.
        let _ = fs::remove_file(&next);
        named(error)
    })
}

fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let found = other.metadata()?;
    if one.metadata()?.len() != found.len() || found.permissions().mode() & 0o111 == 0 {
        return Ok(false);
    }
    let (mut left, mut right) = ([0; BLOCK], [0; BLOCK]);
    loop {
        let read = one.read(&mut left)?;
        if read == 0 {
            return Ok(true);
        }
        other.read_exact(&mut right[..read])?;
        if left[..read] != right[..read] {
            return Ok(false);
        }
    }
}

/// Runs the installed plugin as the container runtime will, outside of the agent's container: a binary that the node
/// cannot run (another C library, `noexec`) would keep every pod of the node from starting, the agent's own included.
///
/// # Errors
/// Why it does not run there.
pub async fn try_on_node(folder: &Path) -> Result<(), String> {
    let binary = path(folder);
    let mut command = Command::new(&binary);
    command.env_clear().env("CNI_COMMAND", "VERSION").kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Ok(mounts) = File::open(NODE_MOUNTS) {
        let enter = move || {
            // SAFETY: `setns` is a plain system call; the child has one thread, which is what it asks for.
            match unsafe { libc::setns(mounts.as_raw_fd(), libc::CLONE_NEWNS) } {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        };
        // SAFETY: between fork and exec only that system call is made; it allocates nothing and takes no lock.
        unsafe { command.pre_exec(enter) };
    }
    let at = format!("{} on the node", binary.display());
    let output = match timeout(TRIAL, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => {
            return Err(format!("cannot run {at}: {error} (is the binary made for the node's C library?)"));
        }
        Err(_elapsed) => return Err(format!("{at} does not answer")),
    };
    if output.status.success() && String::from_utf8_lossy(&output.stdout).contains("supportedVersions") {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{at} does not work ({}): {}", output.status, said.lines().next().unwrap_or_default()))
}
