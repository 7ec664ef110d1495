//! The capture route of a pod: marked traffic goes to `lo`, where socket lookup finds the agent.
//!
//! In the pod's namespace, for IPv4 and IPv6: a rule `fwmark <mark> lookup <table>` and a table with
//! `local default dev lo src <pod address>` and, behind it, `prohibit default`: a socket that cannot
//! use `lo` (bound to another device) is refused instead of slipping past.

use std::{io, net::IpAddr};

use futures::{StreamExt, TryStreamExt};
use rtnetlink::{
    Handle, IpVersion, LinkUnspec, RouteMessageBuilder,
    packet_route::{
        route::{RouteMessage, RouteScope, RouteType},
        rule::{RuleAction, RuleAttribute, RuleMessage},
    },
};

use super::{Netns, sysctl};

const LOOPBACK: u32 = weft_ebpf_common::LOOPBACK_IFINDEX;
/// Priority of the capture rule: before everything but the kernel's `local` table (0).
const RULE_PRIORITY: u32 = 10;
/// Metric of the prohibit route: behind the capture route (0 for IPv4, 1024 for IPv6).
const PROHIBIT_METRIC: u32 = 4096;

/// What to install: the firewall mark, the table, and the pod's addresses as preferred sources.
#[derive(Clone, Debug)]
pub struct CaptureRoute {
    /// Firewall mark of captured traffic.
    pub mark: u32,
    /// Routing table.
    pub table: u32,
    /// Addresses of the pod.
    pub addresses: Vec<IpAddr>,
    /// Settings that were on before: they stay on when the route goes.
    pub kept_settings: Vec<String>,
}

impl CaptureRoute {
    /// Installs rule, routes and the settings by which answers to the agent take the capture route back.
    /// Installing twice changes nothing.
    ///
    /// # Errors
    /// Netlink's or the file system's, with what was being done.
    pub fn install(&self, netns: &Netns) -> io::Result<()> {
        self.in_namespace(netns, true)
    }

    /// Removes rule and routes, and switches off what [`Self::install`] has switched on; what is not there is no error.
    ///
    /// # Errors
    /// When the namespace cannot be entered or netlink refuses.
    pub fn remove(&self, netns: &Netns) -> io::Result<()> {
        self.in_namespace(netns, false)
    }

    fn in_namespace(&self, netns: &Netns, install: bool) -> io::Result<()> {
        // A thread of its own: netlink is asynchronous, and a thread inside a pod must not run other tasks.
        std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    netns.enter(|| {
                        if install {
                            switch(MARKED_ANSWERS, true)?;
                        }
                        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                        runtime.block_on(async {
                            let (connection, handle, _) = rtnetlink::new_connection()?;
                            let driver = tokio::spawn(connection);
                            let result = if install { self.add(&handle).await } else { self.delete(&handle).await };
                            driver.abort();
                            result
                        })?;
                        if !install {
                            switch(MARKED_ANSWERS.into_iter().filter(|setting| !self.keeps(setting)), false)?;
                        }
                        Ok(())
                    })?
                })
                .join()
                .unwrap_or_else(|_panic| Err(io::Error::other("the netlink thread panicked")))
        })
    }

    async fn add(&self, handle: &Handle) -> io::Result<()> {
        // A runtime brings `lo` up beside the plugins that make the pod's network, and may be the later one.
        let loopback = LinkUnspec::new_with_index(LOOPBACK).up().build();
        let up = handle.link().set(loopback).execute().await;
        up.map_err(|error| failed("cannot bring lo up", error))?;
        for v6 in [false, true] {
            let Some(address) = self.addresses.iter().find(|address| address.is_ipv6() == v6) else { continue };
            let mut rule = handle.rule().add().table_id(self.table).priority(RULE_PRIORITY).fw_mark(self.mark);
            rule = rule.action(RuleAction::ToTable);
            let added = if v6 { rule.v6().execute().await } else { rule.v4().execute().await };
            ignore(added, libc::EEXIST, "cannot add the capture rule")?;
            for route in self.routes(*address) {
                let added = handle.route().add(route).execute().await;
                ignore(added, libc::EEXIST, "cannot add the capture route")?;
            }
        }
        Ok(())
    }

    fn routes(&self, address: IpAddr) -> [RouteMessage; 2] {
        match address {
            IpAddr::V4(address) => [
                RouteMessageBuilder::<std::net::Ipv4Addr>::new()
                    .table_id(self.table)
                    .kind(RouteType::Local)
                    .scope(RouteScope::Host)
                    .output_interface(LOOPBACK)
                    .pref_source(address)
                    .build(),
                RouteMessageBuilder::<std::net::Ipv4Addr>::new()
                    .table_id(self.table)
                    .kind(RouteType::Prohibit)
                    .priority(PROHIBIT_METRIC)
                    .build(),
            ],
            IpAddr::V6(address) => [
                RouteMessageBuilder::<std::net::Ipv6Addr>::new()
                    .table_id(self.table)
                    .kind(RouteType::Local)
                    .scope(RouteScope::Host)
                    .output_interface(LOOPBACK)
                    .pref_source(address)
                    .build(),
                RouteMessageBuilder::<std::net::Ipv6Addr>::new()
                    .table_id(self.table)
                    .kind(RouteType::Prohibit)
                    .priority(PROHIBIT_METRIC)
                    .build(),
            ],
        }
    }

    async fn delete(&self, handle: &Handle) -> io::Result<()> {
        for version in [IpVersion::V4, IpVersion::V6] {
            let rules: Vec<RuleMessage> = handle
                .rule()
                .get(version)
                .execute()
                .try_collect()
                .await
                .map_err(|error| failed("list rules", error))?;
            for rule in rules.into_iter().filter(|rule| self.is_our_rule(rule)) {
                let deleted = handle.rule().del(rule).execute().await;
                ignore(deleted, libc::ENOENT, "cannot remove the capture rule")?;
            }
        }
        for address in &self.addresses {
            for route in self.routes(*address) {
                let deleted = handle.route().del(route).execute().await;
                ignore(deleted, libc::ESRCH, "cannot remove the capture route")?;
            }
        }
        Ok(())
    }

    fn keeps(&self, setting: &str) -> bool {
        self.kept_settings.iter().any(|kept| kept == setting)
    }

    fn is_our_rule(&self, rule: &RuleMessage) -> bool {
        rule.attributes.contains(&RuleAttribute::FwMark(self.mark))
    }
}

/// Settings of the namespace: what answers a marked packet has its mark. The first is for connections that
/// an application accepts, the others for what the kernel itself answers, such as the reset where nobody listens.
const MARKED_ANSWERS: [&str; 3] = ["ipv4/tcp_fwmark_accept", "ipv4/fwmark_reflect", "ipv6/fwmark_reflect"];

/// Those of [`MARKED_ANSWERS`] that are on: before a route is installed, because somebody else wants them so.
///
/// # Errors
/// When the namespace cannot be entered.
pub fn settings_on(netns: &Netns) -> io::Result<Vec<String>> {
    netns.enter(|| {
        let is_on = |setting: &&str| sysctl::get(setting).is_ok_and(|value| value == "1");
        MARKED_ANSWERS.into_iter().filter(is_on).map(str::to_owned).collect()
    })
}

/// Switches settings in the calling thread's namespace.
fn switch(settings: impl IntoIterator<Item = &'static str>, on: bool) -> io::Result<()> {
    for setting in settings {
        match sysctl::set(setting, if on { "1" } else { "0" }) {
            // The kernel was started without IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound && setting.starts_with("ipv6") => {}
            result => result.map_err(|error| context(&format!("cannot set net/{setting}"), error))?,
        }
    }
    Ok(())
}

/// Addresses of the namespace's interfaces but `lo`, link-local ones left out.
///
/// # Errors
/// When the namespace cannot be entered or netlink refuses.
pub fn addresses(netns: &Netns) -> io::Result<Vec<IpAddr>> {
    use rtnetlink::packet_route::address::AddressAttribute;
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                netns.enter(|| {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                    runtime.block_on(async {
                        let (connection, handle, _) = rtnetlink::new_connection()?;
                        let driver = tokio::spawn(connection);
                        let mut found = Vec::new();
                        let mut messages = handle.address().get().execute();
                        while let Some(message) = messages.next().await {
                            let message = message.map_err(|error| failed("list addresses", error))?;
                            if message.header.index == LOOPBACK {
                                continue;
                            }
                            found.extend(message.attributes.iter().filter_map(|attribute| match attribute {
                                AddressAttribute::Address(address) if !is_link_local(*address) => Some(*address),
                                _ => None,
                            }));
                        }
                        driver.abort();
                        Ok(found)
                    })
                })?
            })
            .join()
            .unwrap_or_else(|_panic| Err(io::Error::other("the netlink thread panicked")))
    })
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

fn ignore(result: Result<(), rtnetlink::Error>, harmless: i32, what: &str) -> io::Result<()> {
    match result {
        Err(rtnetlink::Error::NetlinkError(message)) if message.raw_code() == -harmless => Ok(()),
        Err(error) => Err(failed(what, error)),
        Ok(()) => Ok(()),
    }
}

fn failed(what: &str, error: rtnetlink::Error) -> io::Error {
    io::Error::other(format!("{what}: {error}"))
}

fn context(what: &str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
