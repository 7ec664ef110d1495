//! sk_lookup: brings the SYNs of one enrolled pod to its agent's listeners. Attached to the pod's
//! network namespace, one instance for each pod, which knows its namespace by [`POD_COOKIE`].

use core::ptr::addr_of;

use aya_ebpf::{helpers::bpf_ktime_get_ns, macros::sk_lookup, programs::SkLookupContext};
use weft_ebpf_common::{
    Address, Direction, ExemptKind, ListenerKey, LocalKey, LookupFacts, LookupVerdict, is_recent_probe, lookup_verdict,
};

use crate::maps::{LISTENERS, LOCAL, PODS, POD_COOKIE, PROBES, port_excluded, worker};

/// `SK_PASS` and `SK_DROP` (linux/bpf.h); a dropped SYN is answered with a reset.
const PASS: u32 = 1;
const DROP: u32 = 0;
/// `AF_INET`.
const AF_INET: u32 = 2;
/// `BPF_SK_LOOKUP_F_NO_REUSEPORT` (linux/bpf.h): that very socket. All listeners of a pod share one port; without the
/// flag the kernel would spread connections over them, those of an agent that is being replaced included.
const NO_REUSEPORT: u64 = 2;

#[sk_lookup]
pub fn weft_lookup(ctx: SkLookupContext) -> u32 {
    match try_lookup(&ctx) {
        Ok(()) => PASS,
        Err(()) => DROP,
    }
}

#[inline(always)]
fn try_lookup(ctx: &SkLookupContext) -> Result<(), ()> {
    let cookie = POD_COOKIE.load();
    // SAFETY: the record is copied at once.
    let Some(pod) = (unsafe { PODS.get(&cookie) }) else { return Ok(()) };
    let pod = *pod;
    let (mut facts, remote_port) = gather(ctx);
    let key = LocalKey { cookie, source: facts.remote, source_port: remote_port, destination_port: facts.local_port };
    // SAFETY: the value is copied at once; likewise below.
    if let Some(kind) = unsafe { LOCAL.get(&key) } {
        // It stays until the agent is connected: a SYN that found the application's queue full comes again.
        facts.noted = *kind;
    } else if let Some(began) = unsafe { PROBES.get(&key) } {
        // SAFETY: the helper has no preconditions.
        if is_recent_probe(*began, unsafe { bpf_ktime_get_ns() }) {
            facts.noted = ExemptKind::Kubelet as u32;
        }
    }
    facts.excluded = pod.has_exclusions != 0 && port_excluded(cookie, Direction::Inbound, facts.local_port);
    match lookup_verdict(&facts) {
        LookupVerdict::Pass => Ok(()),
        LookupVerdict::Steer(direction) => {
            let key = ListenerKey { cookie, direction: direction as u32, worker: worker(pod.workers) };
            LISTENERS.redirect_sk_lookup(ctx, key, NO_REUSEPORT).map_err(|_no_agent| ())
        }
    }
}

/// Reads the context: facts, and the remote port in host byte order.
#[inline(always)]
fn gather(ctx: &SkLookupContext) -> (LookupFacts, u32) {
    let lookup = ctx.lookup;
    // SAFETY: the kernel hands in a valid context; volatile, since the verifier wants plain loads.
    unsafe {
        // Both forms are read (the absent one is zero), then one is chosen: loads in two branches would
        // be merged into one through a computed pointer, which the verifier refuses.
        let local4 = addr_of!((*lookup).local_ip4).read_volatile();
        let remote4 = addr_of!((*lookup).remote_ip4).read_volatile();
        let local6 = ip6(addr_of!((*lookup).local_ip6).cast());
        let remote6 = ip6(addr_of!((*lookup).remote_ip6).cast());
        let is_v4 = addr_of!((*lookup).family).read_volatile() == AF_INET;
        let (local, remote) =
            if is_v4 { (Address::from_v4(local4), Address::from_v4(remote4)) } else { (local6, remote6) };
        let facts = LookupFacts {
            protocol: addr_of!((*lookup).protocol).read_volatile(),
            local,
            local_port: addr_of!((*lookup).local_port).read_volatile(),
            remote,
            ingress_ifindex: addr_of!((*lookup).ingress_ifindex).read_volatile(),
            noted: 0,
            excluded: false,
        };
        (facts, u32::from(u16::from_be(addr_of!((*lookup).remote_port).read_volatile())))
    }
}

/// # Safety
/// `words` points to an IPv6 address of the context.
#[inline(always)]
unsafe fn ip6(words: *const u32) -> Address {
    // SAFETY: the caller's promise.
    unsafe {
        Address([
            words.read_volatile(),
            words.add(1).read_volatile(),
            words.add(2).read_volatile(),
            words.add(3).read_volatile(),
        ])
    }
}
