//! All maps: who writes and who reads each. The agent pins them, so that capture outlives it.

use aya_ebpf::{
    Global,
    bindings::BPF_F_NO_PREALLOC,
    btf_maps::SkStorage,
    macros::{btf_map, map},
    maps::{HashMap, LpmTrie, LruHashMap, PerCpuArray, SockHash, lpm_trie::Key},
};
use weft_ebpf_common::{
    ADDRESSES_MAX, Address, Direction, KUBELETS_MAX, KubeletKey, KubeletRecord, LISTENERS_MAX, ListenerKey, LocalKey,
    NetKey, PODS_MAX, PodRecord, PortKey, ProbedPod,
};

/// Enrolled pods by namespace cookie. Agent writes, connect hook reads.
#[map]
pub static PODS: HashMap<u64, PodRecord> = HashMap::with_max_entries(PODS_MAX, 0);

/// The agent's listening sockets. Agent writes, both hooks read; a closed socket leaves by itself,
/// so an entry proves that an agent lives.
#[map]
pub static LISTENERS: SockHash<ListenerKey> = SockHash::with_max_entries(LISTENERS_MAX, 0);

/// Ports left alone. Agent writes, both hooks read.
#[map]
pub static EXCLUDED_PORTS: HashMap<PortKey, u32> = HashMap::with_max_entries(16384, BPF_F_NO_PREALLOC);

/// Outbound networks left alone: 1; 0 for a smaller one inside that is captured all the same. Agent writes, connect
/// hook reads.
#[map]
pub static EXCLUDED_NETS: LpmTrie<NetKey, u32> = LpmTrie::with_max_entries(16384, 0);

/// The only outbound networks captured, for pods that have such a list. As above.
#[map]
pub static INCLUDED_NETS: LpmTrie<NetKey, u32> = LpmTrie::with_max_entries(16384, 0);

/// Connections the agent is making inside a pod to the pod itself; an entry lives while it connects.
/// Connect hook writes, lookup hook reads, agent removes.
#[map]
pub static LOCAL: LruHashMap<LocalKey, u32> = LruHashMap::with_max_entries(4096, 0);

/// Processes that are this node's kubelet. Agent writes, probe hook reads.
#[map]
pub static KUBELETS: HashMap<KubeletKey, KubeletRecord> = HashMap::with_max_entries(KUBELETS_MAX, 0);

/// Captured pods by address. Agent writes, probe hook reads.
#[map]
pub static PROBED: HashMap<Address, ProbedPod> = HashMap::with_max_entries(ADDRESSES_MAX, 0);

/// Connections that the kubelet is making to captured pods, and when each began (nanoseconds since the boot). Probe
/// hook writes, lookup hook reads; an entry means nothing after [`weft_ebpf_common::PROBE_NANOS`].
#[map]
pub static PROBES: LruHashMap<LocalKey, u64> = LruHashMap::with_max_entries(4096, 0);

/// How many connections the probe hook has noted. Probe hook writes, agent reads.
#[map]
pub static PROBE_COUNT: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// Flag of the agent's own sockets. Agent writes through the socket, connect hook reads.
#[btf_map]
pub static EXEMPT: SkStorage<u32> = SkStorage::new();

/// Namespace cookie of the pod that an instance of the lookup program serves. Set at load.
#[unsafe(no_mangle)]
pub static POD_COOKIE: Global<u64> = Global::new(0);

/// The agent's pid namespace, in whose numbers `KUBELETS` names processes: device and inode of its file; zero for the
/// machine's first one. Set at load.
#[unsafe(no_mangle)]
pub static PID_NAMESPACE_DEVICE: Global<u64> = Global::new(0);
#[unsafe(no_mangle)]
pub static PID_NAMESPACE_INODE: Global<u64> = Global::new(0);

/// Is the port left alone in that direction?
#[inline(always)]
pub fn port_excluded(cookie: u64, direction: Direction, port: u32) -> bool {
    let key = PortKey { cookie, direction: direction as u32, port };
    // SAFETY: the value is a plain integer that is only compared with null.
    unsafe { EXCLUDED_PORTS.get(&key) }.is_some()
}

/// Is an outbound destination left alone?
#[inline(always)]
pub fn destination_excluded(cookie: u64, pod: &PodRecord, address: Address, port: u32) -> bool {
    let key = Key::new(64 + 128, NetKey { cookie, address });
    if pod.include_only != 0 && INCLUDED_NETS.get(&key).is_none() {
        return true;
    }
    pod.has_exclusions != 0
        && (port_excluded(cookie, Direction::Outbound, port) || EXCLUDED_NETS.get(&key).is_some_and(|one| *one != 0))
}

/// The worker that serves connections of this CPU.
#[inline(always)]
pub fn worker(workers: u32) -> u32 {
    // SAFETY: the helper has no preconditions.
    let cpu = unsafe { aya_ebpf::helpers::bpf_get_smp_processor_id() };
    if workers == 0 { 0 } else { cpu as u32 % workers }
}
