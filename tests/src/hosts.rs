//! Cluster DNS stand-in: one hosts file per pod, bound over its `/etc/hosts` and rewritten when Services or pods change.
//!
//! A real cluster runs CoreDNS. A hosts file gives `getaddrinfo` the same answers for the names the exercises use, without a
//! server whose traffic would have to be explained in captures. What it cannot give: SRV records, and NXDOMAIN (unknown names
//! fail as "temporary failure"). The harness's own HTTP client resolves with the same table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::net::IpAddr;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result};

use crate::endpoints::Service;

/// Every name a pod of one namespace can resolve.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hosts {
    names: Vec<(IpAddr, String)>,
}

impl Hosts {
    /// The table for `namespace`: all Services by their long names, those of the own namespace by the short one, and `external`.
    pub(crate) fn table(namespace: &str, services: &[Service], external: &BTreeMap<String, Vec<IpAddr>>) -> Self {
        let mut names = Vec::new();
        for service in services {
            let (name, ns) = (&service.name, &service.namespace);
            let headless = service.cluster_ips.is_empty();
            let addresses = if headless { &service.pod_ips } else { &service.cluster_ips };
            for address in addresses {
                for form in
                    [format!("{name}.{ns}.svc.cluster.local"), format!("{name}.{ns}.svc"), format!("{name}.{ns}")]
                {
                    names.push((*address, form));
                }
                if ns == namespace {
                    names.push((*address, name.clone()));
                }
            }
        }
        for (name, addresses) in external {
            names.extend(addresses.iter().map(|address| (*address, name.clone())));
        }
        Self { names }
    }

    /// All addresses of `name`, IPv4 first.
    pub(crate) fn resolve(&self, name: &str) -> Vec<IpAddr> {
        let wanted = name.trim_end_matches('.');
        let found = self.names.iter().filter(|(_, known)| known.eq_ignore_ascii_case(wanted));
        let mut addresses: Vec<IpAddr> = found.map(|(address, _)| *address).collect();
        addresses.sort_by_key(IpAddr::is_ipv6);
        addresses
    }

    /// The file's text for a pod with this name and these addresses.
    pub(crate) fn text(&self, hostname: &str, own: &[IpAddr]) -> String {
        let mut text =
            String::from("# Written by the testbed in place of cluster DNS.\n127.0.0.1 localhost\n::1 localhost\n");
        let mut lines: Vec<(IpAddr, Vec<&str>)> = own.iter().map(|address| (*address, vec![hostname])).collect();
        for (address, name) in &self.names {
            match lines.last_mut() {
                Some((last, names)) if last == address => names.push(name),
                _ => lines.push((*address, vec![name])),
            }
        }
        for (address, names) in lines {
            let _ = writeln!(text, "{address} {}", names.join(" "));
        }
        text
    }
}

/// What `/etc/resolv.conf` says in a pod. Nothing listens there: unknown names fail at once.
pub(crate) fn resolv_conf(namespace: &str) -> String {
    format!(
        "nameserver 127.0.0.1\nsearch {namespace}.svc.cluster.local svc.cluster.local cluster.local\n\
         options ndots:5 timeout:1 attempts:1\n"
    )
}

/// Replaces a file's text without replacing the file, which is bind-mounted. One write covers the whole old length, so that a
/// reader never finds it empty.
pub(crate) fn rewrite(path: &Path, text: &str) -> Result<()> {
    let place = || format!("writing {}", path.display());
    let file = File::options().create(true).truncate(false).write(true).open(path).with_context(place)?;
    let old = usize::try_from(file.metadata()?.len())?;
    let padding = "\n".repeat(old.saturating_sub(text.len()));
    file.write_all_at(format!("{text}{padding}").as_bytes(), 0).with_context(place)?;
    file.set_len(text.len() as u64).with_context(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(ns: &str, name: &str, ip: &str) -> Service {
        Service {
            namespace: ns.into(),
            name: name.into(),
            cluster_ips: vec![ip.parse().unwrap()],
            load_balancer: None,
            local_only: false,
            ports: Vec::new(),
            pod_ips: Vec::new(),
        }
    }

    #[test]
    fn short_names_are_for_the_own_namespace_only() {
        let services = [service("x", "web", "10.96.1.1"), service("y", "web", "10.96.1.2")];
        let hosts = Hosts::table("y", &services, &BTreeMap::new());
        let resolve = |name: &str| hosts.resolve(name).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(resolve("web"), ["10.96.1.2"]);
        assert_eq!(resolve("web.x"), ["10.96.1.1"]);
        assert_eq!(resolve("WEB.x.svc.cluster.local."), ["10.96.1.1"]);
        assert!(resolve("web.z").is_empty());
        assert!(hosts.text("p", &[]).contains("10.96.1.1 web.x.svc.cluster.local web.x.svc web.x\n"));
    }
}
