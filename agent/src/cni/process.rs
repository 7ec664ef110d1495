//! A process of the node, held by its folder in /proc: what is read later is of the same process, or an error, also
//! when its number belongs to another one by then.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::OwnedFd,
    path::Path,
};

use nix::{
    fcntl::{OFlag, open, openat},
    sys::stat::Mode,
};

/// Most that is read of one file of /proc: a path has 4096 bytes at most, and there are some dozen hierarchies.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Field of `/proc/<pid>/stat` with the start time (proc_pid_stat(5): field 22), counted from the state (field 3),
/// which is the first behind the name.
const START_TIME: usize = 22 - 3;

/// One process.
#[derive(Debug)]
pub struct Process {
    folder: OwnedFd,
}

impl Process {
    /// The process that has the number now.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(proc: &Path, pid: u32) -> io::Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(Self { folder: open(&proc.join(pid.to_string()), flags, Mode::empty())? })
    }

    /// The file with its cgroups, one a line.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cgroup(&self) -> io::Result<String> {
        self.read("cgroup")
    }

    /// When it began, in ticks since the machine did.
    ///
    /// # Errors
    /// When it has ended.
    pub fn start_time(&self) -> io::Result<u64> {
        let stat = self.read("stat")?;
        start_time(&stat)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("no start time in {stat:?}")))
    }

    /// Its network namespace.
    ///
    /// # Errors
    /// When it has ended, or may not be looked into (needs CAP_SYS_PTRACE).
    pub fn netns(&self) -> io::Result<File> {
        self.file("ns/net")
    }

    fn read(&self, name: &str) -> io::Result<String> {
        let mut text = Vec::new();
        self.file(name)?.take(FILE_BYTES_MAX).read_to_end(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    fn file(&self, name: &str) -> io::Result<File> {
        Ok(openat(&self.folder, name, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?.into())
    }
}

/// The name in front is in brackets and may hold anything, also brackets and blanks.
fn start_time(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(START_TIME)?.parse().ok()
}

#[cfg(test)]
mod tests;
