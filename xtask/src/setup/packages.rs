//! The programs from Debian that tests, demo and benchmark run; installed only where the command is missing.
//!
//! What is installed here must not start to serve: nginx is an upstream that a test starts in a namespace of its own,
//! never a service of the machine.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::Purpose;
use crate::paths;
use crate::run::{Cmd, Steps};

/// A command and the Debian package that brings it.
pub type Need = (&'static str, &'static str);

/// What the namespaces of an emulated node are made of, and what runs in them. A path stands for a package that brings no
/// command.
const NODE: [Need; 8] = [
    ("/usr/lib/cni/ptp", "containernetworking-plugins"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("nginx", "nginx-light"),
    ("curl", "curl"),
    ("openssl", "openssl"),
    ("tcpdump", "tcpdump"),
    ("wrk", "wrk"),
];

/// What a cluster's nodes and control plane are made of.
const CLUSTER: [Need; 8] = [
    ("containerd", "containerd"),
    ("runc", "runc"),
    ("docker-registry", "docker-registry"),
    ("skopeo", "skopeo"),
    ("conntrack", "conntrack"),
    ("iptables", "iptables"),
    ("nsenter", "util-linux"),
    ("mount", "mount"),
];

/// Packages whose services would start with the machine.
const SERVICES: [(&str, &str); 3] =
    [("nginx-light", "nginx"), ("containerd", "containerd"), ("docker-registry", "docker-registry")];

/// What measures.
const LOAD: [Need; 1] = [("iperf3", "iperf3")];

/// Where Debian's maintainer scripts ask whether they may start a service.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// 101 means "not allowed"; the second line is how a leftover is recognised as ours.
const DENY_ALL: &str =
    "#!/bin/sh\n# Written by `cargo xtask setup` of weft for the time of one apt-get install.\nexit 101\n";

/// Installs what `purpose` needs and the machine lacks.
pub fn provide(purpose: Purpose, steps: &mut Steps) -> Result<()> {
    provide_needs(&missing(purpose, |command| paths::find_program(command).is_some()), steps)
}

/// Installs one package for another part of the set-up.
pub fn provide_one(need: Need) -> Result<()> {
    provide_needs(&[need], &mut Steps::new())
}

fn provide_needs(missing: &[Need], steps: &mut Steps) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    let list = packages.join(" ");
    steps.step(&format!("Debian packages: {list}"), || {
        let apt = paths::find_program("apt-get").is_some();
        let commands: Vec<&str> = missing.iter().map(|(command, _)| *command).collect();
        ensure!(apt, "these commands are missing: {}; install them (Debian: {list})", commands.join(" "));
        ensure!(is_root(), "installing needs root: run `sudo apt-get install {list}`, then this again");
        install(&packages)?;
        let absent = missing.iter().find(|(command, _)| paths::find_program(command).is_none());
        ensure!(absent.is_none(), "after installing {list} there is still no `{}`", absent.map_or("", |need| need.0));
        Ok(())
    })
}

/// Whether this process is root, which apt-get and network namespaces need.
pub fn is_root() -> bool {
    // The owner of a process's own folder is its effective user; asking the kernel takes `unsafe` or a crate.
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

fn missing(purpose: Purpose, exists: impl Fn(&str) -> bool) -> Vec<Need> {
    let (node, more): (&[Need], &[Need]) = match purpose {
        Purpose::Build => (&[], &[]),
        Purpose::Test | Purpose::Demo => (&NODE, &[]),
        Purpose::Bench => (&NODE, &LOAD),
        Purpose::Cluster => (&NODE, &CLUSTER),
    };
    node.iter().chain(more).filter(|(command, _)| !exists(command)).copied().collect()
}

fn install(packages: &[&str]) -> Result<()> {
    let network = "apt-get failed: is there a network, and does /etc/apt name a mirror that answers?";
    apt_get(&["update", "-qq"]).context(network)?;
    let _no_services = NoServices::begin(Path::new(POLICY))?;
    let mut args = vec!["install", "-y", "-qq", "--no-install-recommends"];
    args.extend(packages);
    apt_get(&args).context(network)?;
    for (package, unit) in SERVICES {
        if packages.contains(&package) && Path::new("/run/systemd/system").is_dir() {
            // The package enables its unit; nobody asked for a server after the next start of the machine.
            Cmd::new("systemctl").args(["disable", "--quiet", unit]).read()?;
        }
    }
    Ok(())
}

fn apt_get(args: &[&str]) -> Result<String> {
    Cmd::new("apt-get").args(args).env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1").read()
}

/// While it lives, maintainer scripts start no service. A policy of the machine's own stays as it is.
struct NoServices {
    written: Option<PathBuf>,
}

impl NoServices {
    fn begin(policy: &Path) -> Result<Self> {
        let place = || format!("cannot write {}", policy.display());
        if fs::read_to_string(policy).is_ok_and(|text| text == DENY_ALL) {
            fs::remove_file(policy).with_context(place)?;
        }
        let mut options = fs::OpenOptions::new();
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o755);
        match options.write(true).create_new(true).open(policy) {
            Ok(mut file) => {
                let guard = Self { written: Some(policy.to_owned()) };
                file.write_all(DENY_ALL.as_bytes()).with_context(place)?;
                Ok(guard)
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(Self { written: None }),
            Err(error) => Err(error).with_context(place),
        }
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if let Some(policy) = &self.written
            && let Err(error) = fs::remove_file(policy)
        {
            eprintln!("warning: remove {} by hand ({error}): it keeps services from starting", policy.display());
        }
    }
}

#[cfg(test)]
mod tests;
