//! Addresses of a pod that is a network namespace and has no status to say so.

use std::{fs::File, io, net::IpAddr, path::PathBuf, thread};

use nix::{
    ifaddrs::getifaddrs,
    net::if_::InterfaceFlags,
    sched::{CloneFlags, setns},
};

/// Where the addresses of a network namespace come from; tests bring their own.
pub trait NetnsAddresses: Send + Sync {
    /// Global addresses of the interfaces of `netns` (a name below `/run/netns` or an absolute path),
    /// without those of `lo`.
    ///
    /// # Errors
    /// When the namespace does not exist or may not be entered.
    fn addresses(&self, netns: &str) -> io::Result<Vec<IpAddr>>;
}

/// Asks the kernel, from inside the namespace. Needs `CAP_SYS_ADMIN`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kernel;

impl NetnsAddresses for Kernel {
    fn addresses(&self, netns: &str) -> io::Result<Vec<IpAddr>> {
        let namespace = File::open(path(netns))?;
        // A thread of its own: the namespace belongs to the thread, and this one ends with the question.
        let ask = move || -> io::Result<Vec<IpAddr>> {
            setns(namespace, CloneFlags::CLONE_NEWNET)?;
            interface_addresses()
        };
        let thread = thread::Builder::new().name("netns-addresses".into()).spawn(ask)?;
        thread.join().map_err(|_| io::Error::other("the thread that entered the namespace panicked"))?
    }
}

/// File of a namespace.
fn path(netns: &str) -> PathBuf {
    // An absolute path replaces the directory.
    PathBuf::from("/run/netns").join(netns)
}

fn interface_addresses() -> io::Result<Vec<IpAddr>> {
    let mut found = Vec::new();
    for interface in getifaddrs()? {
        let Some(address) = interface.address else { continue };
        let v4 = address.as_sockaddr_in().map(|one| IpAddr::V4(one.ip()));
        let v6 = address.as_sockaddr_in6().map(|one| IpAddr::V6(one.ip()));
        let is_loopback = interface.flags.contains(InterfaceFlags::IFF_LOOPBACK);
        if let Some(ip) = v4.or(v6).filter(|ip| !is_loopback && is_global(*ip))
            && !found.contains(&ip)
        {
            found.push(ip);
        }
    }
    // IPv4 first: it is the primary family unless a Service says otherwise.
    found.sort();
    Ok(found)
}

/// Could another pod dial it? Link-local addresses mean something only on their link.
fn is_global(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_link_local() && !ip.is_loopback() && !ip.is_unspecified(),
        IpAddr::V6(ip) => !ip.is_unicast_link_local() && !ip.is_loopback() && !ip.is_unspecified(),
    }
}

#[cfg(test)]
mod tests;
