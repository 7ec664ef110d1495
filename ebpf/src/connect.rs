//! cgroup/connect4 and connect6: decides connects of enrolled pods before a packet exists.
//!
//! Attached at the root cgroup, so every process of the node passes here: sockets outside enrolled
//! pods leave after one map look-up.

use core::ptr::{addr_of, null_mut};

use aya_ebpf::{
    EbpfContext as _,
    bindings::{SO_MARK, SOL_SOCKET, bpf_sock, bpf_sock_addr},
    helpers::{bpf_get_netns_cookie, bpf_map_lookup_elem, bpf_set_retval, bpf_setsockopt, bpf_sk_release},
    macros::cgroup_sock_addr,
    programs::SockAddrContext,
};
use weft_ebpf_common::{
    Address, CAPTURE_MARK, ConnectFacts, ConnectVerdict, Direction, ListenerKey, LocalKey, PodRecord, connect_verdict,
};

use crate::maps::{EXEMPT, LISTENERS, LOCAL, PODS, destination_excluded, worker};

/// `SO_BINDTODEVICE` (asm-generic/socket.h).
const SO_BINDTODEVICE: i32 = 25;
/// `ECONNREFUSED` (asm-generic/errno.h).
const ECONNREFUSED: i32 = 111;
/// What a cgroup hook returns to let a call go on, and to refuse it.
const ALLOW: i32 = 1;
const REFUSE: i32 = 0;

#[cgroup_sock_addr(connect4)]
pub fn weft_connect4(ctx: SockAddrContext) -> i32 {
    // SAFETY: the kernel hands in a valid context; volatile, since the verifier wants plain loads of
    // its fields and the compiler would merge or move them.
    let destination = unsafe { Address::from_v4(addr_of!((*ctx.sock_addr).user_ip4).read_volatile()) };
    try_connect::<false>(&ctx, destination)
}

#[cgroup_sock_addr(connect6)]
pub fn weft_connect6(ctx: SockAddrContext) -> i32 {
    // SAFETY: as above.
    let words = unsafe {
        let ip6 = addr_of!((*ctx.sock_addr).user_ip6).cast::<u32>();
        [ip6.read_volatile(), ip6.add(1).read_volatile(), ip6.add(2).read_volatile(), ip6.add(3).read_volatile()]
    };
    try_connect::<true>(&ctx, Address(words))
}

#[inline(always)]
fn try_connect<const V6: bool>(ctx: &SockAddrContext, destination: Address) -> i32 {
    // SAFETY: the helper accepts the context of this program type.
    let cookie = unsafe { bpf_get_netns_cookie(ctx.as_ptr()) };
    // SAFETY: the record is copied at once; a concurrent update can only tear between two valid ones.
    let Some(pod) = (unsafe { PODS.get(&cookie) }) else { return ALLOW };
    let pod: PodRecord = *pod;
    // SAFETY: as in the entry functions.
    let (protocol, port) = unsafe {
        let protocol = addr_of!((*ctx.sock_addr).protocol).read_volatile();
        let port = addr_of!((*ctx.sock_addr).user_port).read_volatile();
        (protocol, u32::from(u16::from_be(port as u16)))
    };
    let exempt = exempt_kind(ctx);
    let facts = ConnectFacts {
        protocol,
        destination,
        exempt,
        excluded: exempt == 0 && destination_excluded(cookie, &pod, destination, port),
        agent_listens: exempt == 0 && agent_listens(cookie, pod.workers),
    };
    match connect_verdict(&facts) {
        ConnectVerdict::Pass => ALLOW,
        ConnectVerdict::PassLocal => {
            note_local::<V6>(ctx, cookie, port, exempt);
            ALLOW
        }
        ConnectVerdict::Capture => capture(ctx),
        ConnectVerdict::Refuse => refuse(),
    }
}

/// The flag the agent put on its own sockets; 0 for all others.
#[inline(always)]
fn exempt_kind(ctx: &SockAddrContext) -> u32 {
    // SAFETY: the map accepts the context's socket; the pointer is checked before it is read.
    unsafe { EXEMPT.get_ptr_mut(ctx).as_ref() }.copied().unwrap_or(0)
}

/// Is there a listening socket of an agent for this pod?
#[inline(always)]
fn agent_listens(cookie: u64, workers: u32) -> bool {
    let key = ListenerKey { cookie, direction: Direction::Outbound as u32, worker: worker(workers) };
    let map = (&raw const LISTENERS).cast_mut().cast();
    // SAFETY: key and map are of the declared types; a socket that is found is released at once.
    unsafe {
        let socket = bpf_map_lookup_elem(map, (&raw const key).cast());
        if socket.is_null() {
            return false;
        }
        bpf_sk_release(socket);
    }
    true
}

/// Marks the socket, so that the pod's capture rule routes it to `lo`.
#[inline(always)]
fn capture(ctx: &SockAddrContext) -> i32 {
    let mut mark = CAPTURE_MARK;
    let mut no_device = [0_u8; 4];
    // SAFETY: both values outlive the calls and have the lengths given.
    unsafe {
        if bound_device(ctx.sock_addr) != 0 {
            // A socket bound to a device skips the capture route, whose device is `lo`.
            bpf_setsockopt(ctx.as_ptr(), SOL_SOCKET as i32, SO_BINDTODEVICE, no_device.as_mut_ptr().cast(), 4);
        }
        let marked = bpf_setsockopt(ctx.as_ptr(), SOL_SOCKET as i32, SO_MARK as i32, (&raw mut mark).cast(), 4);
        if marked == 0 { ALLOW } else { refuse() }
    }
}

#[inline(always)]
unsafe fn bound_device(context: *mut bpf_sock_addr) -> u32 {
    // SAFETY: the verifier knows the pointer as a socket that is never null in this hook.
    unsafe {
        let socket = socket(context);
        if socket.is_null() { 0 } else { addr_of!((*socket).bound_dev_if).read_volatile() }
    }
}

#[inline(always)]
unsafe fn socket(context: *mut bpf_sock_addr) -> *mut bpf_sock {
    // SAFETY: a plain load of a context field.
    unsafe { if context.is_null() { null_mut() } else { addr_of!((*context).__bindgen_anon_1.sk).read_volatile() } }
}

/// Notes a connection that the agent makes inside the pod, for the lookup hook. The agent has bound
/// the socket to an explicit address, so its source is known already.
#[inline(always)]
fn note_local<const V6: bool>(ctx: &SockAddrContext, cookie: u64, destination_port: u32, kind: u32) {
    // SAFETY: fields of a socket that the verifier knows; each load is volatile and plain.
    let key = unsafe {
        let socket = socket(ctx.sock_addr);
        if socket.is_null() {
            return;
        }
        // Known when compiled: choosing at run time would make one load through a computed pointer of
        // the two, which the verifier refuses.
        let source = if !V6 {
            Address::from_v4(addr_of!((*socket).src_ip4).read_volatile())
        } else {
            let ip6 = addr_of!((*socket).src_ip6).cast::<u32>();
            Address([ip6.read_volatile(), ip6.add(1).read_volatile(), ip6.add(2).read_volatile(), ip6.add(3).read_volatile()])
        };
        LocalKey { cookie, source, source_port: addr_of!((*socket).src_port).read_volatile(), destination_port }
    };
    // Without the note the SYN goes to the agent's own inbound listener, which refuses it: closed.
    let _ = LOCAL.insert(&key, &kind, 0);
}

/// Refuses with ECONNREFUSED instead of the hook's EPERM: what a client of a dead proxy would see.
#[inline(always)]
fn refuse() -> i32 {
    // SAFETY: no preconditions; before Linux 5.18 the hook would not load.
    unsafe { bpf_set_retval(-ECONNREFUSED) };
    REFUSE
}
