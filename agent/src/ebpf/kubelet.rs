//! Which process is this node's kubelet, and how it reaches captured pods: what the probe hook has to know.
//!
//! The kubelet is a process of the node's own: in the host's network namespace, root's, named as kubelets are, and not
//! part of a pod, whose cgroups a kubelet keeps below `kubepods`. Who can make such a process can do anything on the
//! node. The hook compares process ids; a process that has ended is forgotten before its number comes round again.

use std::{
    collections::BTreeMap,
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket},
    os::unix::fs::MetadataExt,
    path::Path,
};

use weft_ebpf_common::{Address, KubeletKey, KubeletRecord, ProbedPod};

use super::Kernel;
use crate::net::Netns;

/// What a kubelet's pods' cgroups have in their paths (`kubepods`, `kubepods.slice`).
const PODS_CGROUP: &str = "kubepods";

/// Ephemeral ports where the host does not say (Linux's default).
const PORTS: (u32, u32) = (32768, 60999);

/// What is known of the kubelet, for those who ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recognised {
    /// Its process, when there is one.
    pub pid: Option<u32>,
    /// Connections of its that went past the agent, counted since the node's first agent began.
    pub probes: u64,
}

/// Keeps the probe hook in step with the node's processes.
pub struct Kubelets {
    names: Vec<String>,
    host: Option<Netns>,
    /// Process ids with the time at which each began.
    known: BTreeMap<u32, u64>,
}

impl Kubelets {
    /// Looks for processes of these names.
    pub fn new(names: Vec<String>) -> Self {
        let host = Netns::of_host();
        if let Err(error) = &host {
            tracing::warn!(%error, "the host's network namespace cannot be entered: the kubelet is not recognised");
        }
        Self { names, host: host.ok(), known: BTreeMap::new() }
    }

    /// Looks whether the kubelet is still the one that is known.
    pub fn refresh(&mut self, kernel: &Kernel) -> Recognised {
        let Some(host) = &self.host else { return Recognised::default() };
        let is_same = |pid: &u32, began: &mut u64| start_time(*pid) == Some(*began);
        let mut now = self.known.clone();
        now.retain(is_same);
        if now.is_empty() {
            now = find(&self.names, host);
        }
        let mut maps = kernel.maps();
        let key = |tgid: u32| KubeletKey { cookie: host.cookie(), tgid, padding: 0 };
        // Also what an earlier agent knew.
        let told: Vec<KubeletKey> = maps.kubelets.keys().flatten().collect();
        for gone in told.iter().filter(|told| !now.contains_key(&told.tgid)) {
            let _ = maps.kubelets.remove(gone);
        }
        for pid in now.keys().filter(|pid| !told.contains(&key(**pid))) {
            match maps.kubelets.insert(key(*pid), ports(host), 0) {
                Ok(()) => tracing::info!(pid, "the kubelet is recognised"),
                Err(error) => tracing::warn!(pid, %error, "the kubelet is not recognised"),
            }
        }
        self.known = now;
        let counts = maps.probe_count.get(&0, 0);
        Recognised { pid: self.known.keys().next().copied(), probes: counts.map_or(0, |counts| counts.iter().sum()) }
    }

    /// Tells the hook how the host reaches a captured pod.
    pub fn add_pod(&self, kernel: &Kernel, cookie: u64, addresses: &[IpAddr]) {
        let Some(host) = &self.host else { return };
        for address in addresses {
            let source = match host.enter(|| source_of(*address)) {
                Ok(Ok(source)) => source,
                Ok(Err(error)) | Err(error) => {
                    tracing::debug!(%address, %error, "the host does not reach a pod");
                    continue;
                }
            };
            let pod = ProbedPod { cookie, source: words(source) };
            if let Err(error) = kernel.maps().probed.insert(words(*address), pod, 0) {
                tracing::warn!(%address, %error, "probes of a pod are not recognised");
            }
        }
    }

    /// The pod is captured no more.
    pub fn remove_pod(&self, kernel: &Kernel, cookie: u64, addresses: &[IpAddr]) {
        let mut maps = kernel.maps();
        for address in addresses.iter().map(|address| words(*address)) {
            // The address may be another pod's by now.
            if maps.probed.get(&address, 0).is_ok_and(|pod| pod.cookie == cookie) {
                let _ = maps.probed.remove(&address);
            }
        }
    }
}

/// The address that the calling thread's namespace would speak from; nothing is sent.
fn source_of(pod: IpAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if pod.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    // Any port will do.
    socket.connect((pod, 9))?;
    Ok(socket.local_addr()?.ip())
}

fn words(address: IpAddr) -> Address {
    let octets = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    };
    Address::from_octets(octets)
}

/// The host's ephemeral ports.
fn ports(host: &Netns) -> KubeletRecord {
    let setting = "/proc/sys/net/ipv4/ip_local_port_range";
    let text = host.enter(|| fs::read_to_string(setting)).and_then(|read| read).unwrap_or_default();
    let mut numbers = text.split_whitespace().filter_map(|word| word.parse::<u32>().ok());
    let (first, last) = match (numbers.next(), numbers.next()) {
        (Some(first), Some(last)) if first <= last && last <= u32::from(u16::MAX) => (first, last),
        _ => PORTS,
    };
    KubeletRecord { first_port: first, ports: last - first + 1 }
}

/// Processes that are the node's kubelet, with the times at which they began.
fn find(names: &[String], host: &Netns) -> BTreeMap<u32, u64> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter_map(|pid| {
        // The time first: another process that gets the number meanwhile is not taken for this one.
        let began = start_time(pid)?;
        is_kubelet(Path::new(&format!("/proc/{pid}")), names, host).then_some((pid, began))
    })
    .collect()
}

fn is_kubelet(process: &Path, names: &[String], host: &Netns) -> bool {
    let read = |file: &str| fs::read_to_string(process.join(file)).unwrap_or_default();
    is_named(&read("comm"), &read("cmdline"), names)
        && is_root(&read("status"))
        && is_outside_of_pods(&read("cgroup"))
        && fs::metadata(process.join("ns/net")).is_ok_and(|netns| host.is_inode(netns.dev(), netns.ino()))
}

/// By its own name, that of its file, or as the first word of a program that is many.
fn is_named(comm: &str, cmdline: &str, names: &[String]) -> bool {
    let mut words = cmdline.split('\0');
    let file = words.next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    names.iter().any(|name| comm.trim_end() == name || file == name || (first == name && second.starts_with("--")))
}

fn is_root(status: &str) -> bool {
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    // Real and effective.
    ids.is_some_and(|ids| ids.split_whitespace().take(2).all(|id| id == "0"))
}

fn is_outside_of_pods(cgroups: &str) -> bool {
    !cgroups.is_empty() && !cgroups.contains(PODS_CGROUP)
}

/// Ticks from the boot to a process's start (proc_pid_stat(5), field 22).
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may have anything in it.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests;
