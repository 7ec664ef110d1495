//! What this kernel and machine offer, and what capture needs of it. Changes nothing: opens, asks and closes again.
//!
//! `weft check` prints the rows; an agent looks at them before it captures anything, so that it never captures by half.

use std::{
    fs, io,
    net::{Ipv6Addr, TcpListener, UdpSocket},
    os::fd::AsRawFd,
};

use super::{check, kernel};
use crate::net::{Netns, sysctl};

/// Oldest kernel: `bpf_set_retval` came with 5.18, `SO_NETNS_COOKIE` with 5.14, socket lookup programs with 5.9,
/// `tcp_fwmark_accept` with 3.15.
pub const KERNEL_FLOOR: (u32, u32) = (5, 18);

/// `CAP_NET_ADMIN` and `CAP_SYS_ADMIN` (linux/capability.h).
const CAPABILITIES: [(u32, &str); 2] = [(12, "CAP_NET_ADMIN"), (21, "CAP_SYS_ADMIN")];

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is there.
    Ok,
    /// weft works without it, but not as well.
    Warn,
    /// weft does not work without it.
    Missing,
}

/// One thing that was looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What.
    pub what: String,
    /// Is it there?
    pub state: State,
    /// What was found.
    pub found: String,
    /// More about it, in lines of its own.
    pub detail: String,
    /// What it is for.
    pub purpose: &'static str,
    /// What to do when it is not there.
    pub next_step: &'static str,
}

/// What this machine lacks that capture needs, in a line: `None` when it can capture.
pub fn lacks() -> Option<String> {
    let rows = rows();
    let missing = rows.iter().filter(|row| row.state == State::Missing);
    let words: Vec<String> = missing.map(|row| format!("{}: {} ({})", row.what, row.found, row.next_step)).collect();
    (!words.is_empty()).then(|| words.join("; "))
}

/// A check's findings: what was found, or what is wrong.
type Found = Result<String, String>;

/// All checks, the most basic first.
pub fn rows() -> Vec<Row> {
    let mut rows = vec![
        row(
            "capabilities",
            State::Missing,
            "entering pods, routes, eBPF",
            capabilities(),
            "run weft as root, or give the container CAP_SYS_ADMIN and CAP_NET_ADMIN",
        ),
        row(
            "kernel",
            State::Missing,
            "refusing connects (5.18), namespace cookies (5.14)",
            kernel_release(),
            "use Linux 5.18 or later",
        ),
        row(
            "kernel BTF",
            State::Warn,
            "loading eBPF on other kernels than it was built on",
            btf(),
            "use a kernel with CONFIG_DEBUG_INFO_BTF=y",
        ),
        row(
            "cgroup2",
            State::Missing,
            "seeing connects of all pods",
            cgroup2(),
            "mount -t cgroup2 none /sys/fs/cgroup/unified",
        ),
        row(
            "bpf file system",
            State::Missing,
            "capture that outlives the agent",
            bpffs(),
            "mount -t bpf bpf /sys/fs/bpf",
        ),
        row("eBPF object", State::Missing, "capture", object(), "cargo xtask build-ebpf, then build weft again"),
    ];
    rows.extend(programs());
    rows.extend([
        row("SO_NETNS_COOKIE", State::Missing, "telling pods apart", netns_cookie(), "use Linux 5.14 or later"),
        row(
            "IP_TRANSPARENT",
            State::Missing,
            "accepting for any address, dialling as the client",
            transparent(),
            "give the process CAP_NET_ADMIN",
        ),
        row(
            "tcp_fwmark_accept",
            State::Missing,
            "an application's answers finding the agent",
            fwmark_accept(),
            "give the container CAP_SYS_ADMIN and no AppArmor profile, or make it privileged",
        ),
        row(
            "IPv6",
            State::Warn,
            "pods with IPv6 addresses",
            ipv6(),
            "boot without ipv6.disable=1 if pods have IPv6 addresses",
        ),
        row("io_uring", State::Warn, "nothing yet; epoll is used", io_uring(), ""),
    ]);
    rows
}

fn row(what: &str, otherwise: State, purpose: &'static str, found: Found, next_step: &'static str) -> Row {
    let (state, found) = match found {
        Ok(found) => (State::Ok, found),
        Err(found) => (otherwise, found),
    };
    Row { what: what.to_owned(), state, found, detail: String::new(), purpose, next_step }
}

fn programs() -> Vec<Row> {
    const NEXT_STEP: &str = "show the kernel's words to who builds the kernel, or weft: one of them is to change";
    match check::probe_load() {
        Err(error) => vec![row("eBPF programs", State::Missing, "capture", Err(one_line(&error)), NEXT_STEP)],
        Ok(programs) => programs
            .into_iter()
            .map(|program| match program.result {
                Ok(()) => row(program.name, State::Missing, program.purpose, Ok("loads".to_owned()), NEXT_STEP),
                Err(refused) => Row {
                    detail: refused.verifier,
                    ..row(program.name, State::Missing, program.purpose, Err(refused.reason), NEXT_STEP)
                },
            })
            .collect(),
    }
}

/// More would break the table.
fn one_line(error: &dyn std::error::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

fn capabilities() -> Found {
    let status = fs::read_to_string("/proc/self/status").map_err(said)?;
    let effective = status
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("CapEff:")?.trim(), 16).ok())
        .ok_or("the kernel does not say (CapEff in /proc/self/status)")?;
    let lacking: Vec<_> =
        CAPABILITIES.iter().filter(|(bit, _)| effective & (1 << bit) == 0).map(|(_, name)| *name).collect();
    if lacking.is_empty() { Ok("all".to_owned()) } else { Err(format!("no {}", lacking.join(", "))) }
}

fn kernel_release() -> Found {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").map_err(said)?.trim().to_owned();
    match version(&release) {
        Some(version) if version >= KERNEL_FLOOR => Ok(release),
        _ => Err(release),
    }
}

/// Major and minor number.
pub fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn btf() -> Found {
    let path = "/sys/kernel/btf/vmlinux";
    fs::metadata(path).map(|_| path.to_owned()).map_err(|_| format!("no {path}"))
}

fn cgroup2() -> Found {
    kernel::root_cgroup().map(|path| path.display().to_string()).map_err(|_| "not mounted".to_owned())
}

fn bpffs() -> Found {
    let mounts = fs::read_to_string("/proc/self/mounts").map_err(said)?;
    let mounted = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (path, kind) = (fields.next()?, fields.next()?);
        (kind == "bpf").then(|| path.to_owned())
    });
    mounted.ok_or_else(|| "not mounted".to_owned())
}

fn object() -> Found {
    check::embedded().map(|bytes| format!("{bytes} bytes")).map_err(|_| "not in this binary".to_owned())
}

fn netns_cookie() -> Found {
    Netns::open("/proc/self/ns/net").map(|netns| netns.cookie().to_string()).map_err(said)
}

fn transparent() -> Found {
    let socket = UdpSocket::bind("127.0.0.1:0").map_err(said)?;
    let on: libc::c_int = 1;
    // SAFETY: the option reads one int that outlives the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_IP,
            libc::IP_TRANSPARENT,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok("allowed".to_owned()) } else { Err(said(io::Error::last_os_error())) }
}

fn fwmark_accept() -> Found {
    sysctl::check("ipv4/tcp_fwmark_accept").map(|()| "writable".to_owned()).map_err(said)
}

fn ipv6() -> Found {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).map(|_| "there".to_owned()).map_err(said)
}

fn io_uring() -> Found {
    if let Ok(disabled) = fs::read_to_string("/proc/sys/kernel/io_uring_disabled")
        && disabled.trim() == "2"
    {
        return Err("switched off (kernel.io_uring_disabled=2)".to_owned());
    }
    // `struct io_uring_params` (linux/io_uring.h): 120 bytes, all zero asks for the defaults.
    let mut params = [0_u64; 15];
    // SAFETY: the kernel reads and writes the 120 bytes of `params`, which outlive the call.
    let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1_u32, params.as_mut_ptr()) };
    if ring < 0 {
        return Err(said(io::Error::last_os_error()));
    }
    // SAFETY: the call returned this descriptor, and nobody else has it.
    unsafe { libc::close(ring as libc::c_int) };
    Ok("there".to_owned())
}

fn said(error: io::Error) -> String {
    error.to_string()
}
