//! cgroup/connect4 and connect6, once more: notes the connections of the node's kubelet to captured pods.
//!
//! The kubelet asks applications how they are, in plain text, from the node; no policy is meant for it. By its address
//! it cannot be told from others on the node, so it is told here, where its process is the current one: its connection
//! gets its port now instead of a moment later, and is noted with it for the lookup hook in the pod, which then leaves
//! it alone. Attached at the root cgroup beside the connect hook; a kernel that refuses this program has no less.

use core::ptr::addr_of;

use aya_ebpf::{
    EbpfContext as _,
    bindings::{bpf_pidns_info, bpf_sock_addr},
    helpers::{
        bpf_bind, bpf_get_current_pid_tgid, bpf_get_netns_cookie, bpf_get_ns_current_pid_tgid, bpf_get_prandom_u32,
        bpf_ktime_get_ns,
    },
    macros::cgroup_sock_addr,
    programs::SockAddrContext,
};
use weft_ebpf_common::{Address, IPPROTO_TCP, KubeletKey, KubeletRecord, LocalKey, ProbedPod};

use crate::maps::{KUBELETS, PID_NAMESPACE_DEVICE, PID_NAMESPACE_INODE, PROBE_COUNT, PROBED, PROBES};

/// Ports tried for one connection.
const ATTEMPTS: u32 = 8;
/// `AF_INET` and `AF_INET6`.
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
/// What a cgroup hook returns to let a call go on: this one refuses nothing.
const ALLOW: i32 = 1;

#[cgroup_sock_addr(connect4)]
pub fn weft_probe4(ctx: SockAddrContext) -> i32 {
    // SAFETY: the kernel hands in a valid context; volatile, since the verifier wants plain loads.
    let destination = unsafe { Address::from_v4(addr_of!((*ctx.sock_addr).user_ip4).read_volatile()) };
    let _ = try_note::<false>(&ctx, destination);
    ALLOW
}

#[cgroup_sock_addr(connect6)]
pub fn weft_probe6(ctx: SockAddrContext) -> i32 {
    // SAFETY: as above.
    let words = unsafe {
        let ip6 = addr_of!((*ctx.sock_addr).user_ip6).cast::<u32>();
        [ip6.read_volatile(), ip6.add(1).read_volatile(), ip6.add(2).read_volatile(), ip6.add(3).read_volatile()]
    };
    let _ = try_note::<true>(&ctx, Address(words));
    ALLOW
}

/// Notes the connection if it is the kubelet's and leads to a captured pod.
#[inline(always)]
fn try_note<const V6: bool>(ctx: &SockAddrContext, destination: Address) -> Option<()> {
    // SAFETY: the helper accepts the context of this program type.
    let cookie = unsafe { bpf_get_netns_cookie(ctx.as_ptr()) };
    let key = KubeletKey { cookie, tgid: tgid()?, padding: 0 };
    // SAFETY: both values are copied at once.
    let (kubelet, pod): (KubeletRecord, ProbedPod) =
        unsafe { (*KUBELETS.get(&key)?, *PROBED.get(&destination)?) };
    // SAFETY: fields of a valid context.
    let (protocol, port) = unsafe {
        let protocol = addr_of!((*ctx.sock_addr).protocol).read_volatile();
        (protocol, u32::from(u16::from_be(addr_of!((*ctx.sock_addr).user_port).read_volatile() as u16)))
    };
    if protocol != IPPROTO_TCP || kubelet.ports == 0 {
        return None;
    }
    for _ in 0..ATTEMPTS {
        // SAFETY: the helper has no preconditions.
        let random = unsafe { bpf_get_prandom_u32() };
        let source_port = kubelet.first_port + random % kubelet.ports;
        if bind::<V6>(ctx.sock_addr, pod.source, source_port as u16) {
            let key = LocalKey { cookie: pod.cookie, source: pod.source, source_port, destination_port: port };
            // SAFETY: the helper has no preconditions.
            let now = unsafe { bpf_ktime_get_ns() };
            PROBES.insert(&key, &now, 0).ok()?;
            // SAFETY: the slot is this CPU's own.
            unsafe { *PROBE_COUNT.get_ptr_mut(0)? += 1 };
            return Some(());
        }
    }
    None
}

/// The current process, in the agent's numbers.
#[inline(always)]
fn tgid() -> Option<u32> {
    let (device, inode) = (PID_NAMESPACE_DEVICE.load(), PID_NAMESPACE_INODE.load());
    if inode == 0 {
        return Some((bpf_get_current_pid_tgid() >> 32) as u32);
    }
    let mut found = bpf_pidns_info { pid: 0, tgid: 0 };
    // SAFETY: the pointer is to a value of the size given. The helper refuses processes of other namespaces.
    let result = unsafe {
        bpf_get_ns_current_pid_tgid(device, inode, &raw mut found, size_of::<bpf_pidns_info>() as u32)
    };
    (result == 0).then_some(found.tgid)
}

/// `struct sockaddr_in` (linux/in.h).
#[repr(C)]
struct SockAddr4 {
    family: u16,
    port: u16,
    address: u32,
    zero: [u32; 2],
}

/// `struct sockaddr_in6` (linux/in6.h).
#[repr(C)]
struct SockAddr6 {
    family: u16,
    port: u16,
    flow: u32,
    address: [u32; 4],
    scope: u32,
}

/// Binds the socket; false when it has an address already, or the port is in use.
#[inline(always)]
fn bind<const V6: bool>(context: *mut bpf_sock_addr, source: Address, port: u16) -> bool {
    let port = port.to_be();
    let result = if V6 {
        let mut address = SockAddr6 { family: AF_INET6, port, flow: 0, address: source.0, scope: 0 };
        // SAFETY: the pointer is to a value of the size given.
        unsafe { bpf_bind(context, (&raw mut address).cast(), size_of::<SockAddr6>() as i32) }
    } else {
        let mut address = SockAddr4 { family: AF_INET, port, address: source.0[3], zero: [0; 2] };
        // SAFETY: as above.
        unsafe { bpf_bind(context, (&raw mut address).cast(), size_of::<SockAddr4>() as i32) }
    };
    result == 0
}
