//! One pod's capture: its listeners, map entries, route and lookup program.

use std::{net::IpAddr, os::fd::AsRawFd, sync::Arc};

use aya::{
    maps::lpm_trie::Key,
    programs::{SkLookup, links::FdLink},
};
use ipnet::IpNet;
use weft_ebpf_common::{
    Address, CAPTURE_MARK, CAPTURE_TABLE, Direction, ListenerKey, NetKey, POD_STATS_PORT, PodRecord, PortKey,
};
use weft_model::workload::{Capture, Workload};

use super::{
    EbpfError, Kernel, kernel,
    leftovers::{Leftover, Leftovers},
};
use crate::{
    dataplane::probe::PROBE_ADDRESS,
    net::{Netns, routes, routes::CaptureRoute, socket},
};

const _: () = assert!(POD_STATS_PORT == weft_model::workload::POD_STATS_PORT, "kernel and model must agree");

/// Port of the outbound listeners inside the pod (Istio's: `15001`).
const OUTBOUND_PORT: u16 = 15001;
/// Port of the inbound listeners inside the pod (Istio's: `15006`).
const INBOUND_PORT: u16 = 15006;

/// The sockets that one worker accepts a pod's connections on.
#[derive(Debug)]
pub struct PodListeners {
    /// Connections the pod makes.
    pub outbound: std::net::TcpListener,
    /// Connections the pod gets.
    pub inbound: std::net::TcpListener,
}

/// What the agent needs to serve a captured pod.
pub struct CapturedPod {
    /// Its namespace.
    pub netns: Arc<Netns>,
    route: CaptureRoute,
    capture: Capture,
}

/// Listeners made for a pod, before the kernel knows of it.
pub struct Prepared {
    /// One pair for each worker, in order.
    pub listeners: Vec<PodListeners>,
    /// For metrics, served by the agent inside the pod; `None` when the pod uses the port itself.
    pub stats: Option<std::net::TcpListener>,
    /// The pod.
    pub pod: CapturedPod,
}

impl CapturedPod {
    /// Opens the pod's namespace, which is on the list of `leftovers`, checks that it is the pod's, installs the route
    /// and opens the listeners. Nothing is captured yet: connections the pod has stay as they are.
    ///
    /// # Errors
    /// What is missing or refused, naming the namespace.
    pub fn prepare(workload: &Workload, workers: usize, leftovers: &Leftovers) -> Result<Prepared, EbpfError> {
        let name = workload.capture.netns.as_deref().ok_or(EbpfError::NoNetns)?;
        let failed = |source| EbpfError::Netns { netns: name.into(), source };
        let netns = Netns::open(name).map_err(failed)?;
        let found = routes::addresses(&netns).map_err(failed)?;
        if !workload.addresses.iter().any(|address| found.contains(address)) {
            let addresses = workload.addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
            return Err(EbpfError::NotThePods { netns: name.into(), addresses });
        }
        let route = CaptureRoute {
            mark: CAPTURE_MARK,
            table: CAPTURE_TABLE,
            addresses: workload.addresses.clone(),
            kept_settings: leftovers.kept_settings(netns.path()),
        };
        route.install(&netns).map_err(failed)?;
        let mut listeners = Vec::with_capacity(workers);
        for _ in 0..workers {
            listeners.push(PodListeners {
                outbound: socket::listen_transparent(&netns, OUTBOUND_PORT).map_err(failed)?,
                inbound: socket::listen_transparent(&netns, INBOUND_PORT).map_err(failed)?,
            });
        }
        let stats = socket::listen_plain(&netns, POD_STATS_PORT).ok();
        let pod = Self { netns: Arc::new(netns), route, capture: workload.capture.clone() };
        Ok(Prepared { listeners, stats, pod })
    }

    /// Turns capture on: from here on new connections of the pod come to `listeners`.
    ///
    /// The pod's record is written last: until then both hooks leave the pod alone, so it is never
    /// half captured.
    ///
    /// # Errors
    /// What the kernel refused; what was done so far is undone by [`Self::release`].
    pub fn capture(&self, kernel: &Kernel, listeners: &[PodListeners]) -> Result<(), EbpfError> {
        let cookie = self.netns.cookie();
        self.attach_lookup(kernel)?;
        let mut maps = kernel.maps();
        for (worker, pair) in listeners.iter().enumerate() {
            for (direction, socket) in [(Direction::Outbound, &pair.outbound), (Direction::Inbound, &pair.inbound)] {
                let key = ListenerKey { cookie, direction: direction as u32, worker: worker as u32 };
                maps.listeners
                    .insert(key, socket.as_raw_fd(), 0)
                    .map_err(|source| EbpfError::Map { map: "LISTENERS", source })?;
            }
        }
        drop(maps);
        self.write_exclusions(kernel)?;
        let record = PodRecord {
            workers: listeners.len() as u32,
            has_exclusions: u32::from(self.has_exclusions()),
            include_only: u32::from(!self.capture.include_outbound_nets.is_empty()),
            padding: 0,
        };
        kernel.maps().pods.insert(cookie, record, 0).map_err(|source| EbpfError::Map { map: "PODS", source })
    }

    /// Turns capture off. Connections that run through the agent go on: their route stays until
    /// [`Self::remove_route`].
    pub fn release(&self, kernel: &Kernel) {
        forget(kernel, self.netns.cookie());
        self.remove_exclusions(kernel, &Capture::default());
    }

    /// Removes what this capture excluded and `keep`, the one that follows it in the same namespace, does not.
    pub fn remove_exclusions(&self, kernel: &Kernel, keep: &Capture) {
        let cookie = self.netns.cookie();
        let mut maps = kernel.maps();
        let kept: Vec<(Direction, u16)> = excluded_ports(keep).collect();
        for (direction, port) in excluded_ports(&self.capture).filter(|entry| !kept.contains(entry)) {
            let _ = maps.excluded_ports.remove(&PortKey { cookie, direction: direction as u32, port: port.into() });
        }
        let kept: Vec<(IpNet, u32)> = excluded_nets(keep).collect();
        for (net, _) in excluded_nets(&self.capture).filter(|(net, _)| !kept.iter().any(|(kept, _)| kept == net)) {
            let _ = maps.excluded_nets.remove(&net_key(cookie, &net));
        }
        let kept: Vec<IpNet> = included_nets(keep).collect();
        for net in included_nets(&self.capture).filter(|net| !kept.contains(net)) {
            let _ = maps.included_nets.remove(&net_key(cookie, &net));
        }
    }

    /// What would have to be undone if the agent ended now.
    pub fn leftover(&self) -> Leftover {
        Leftover {
            netns: self.netns.path().to_owned(),
            addresses: self.route.addresses.clone(),
            kept_settings: self.route.kept_settings.clone(),
        }
    }

    /// Removes the capture route from the pod.
    ///
    /// # Errors
    /// When the namespace cannot be entered or netlink refuses.
    pub fn remove_route(&self) -> std::io::Result<()> {
        self.route.remove(&self.netns)
    }

    fn attach_lookup(&self, kernel: &Kernel) -> Result<(), EbpfError> {
        const NAME: &str = "weft_lookup";
        let failed = |source| EbpfError::Program { program: NAME, source };
        let cookie = self.netns.cookie();
        let mut ebpf = kernel::load(kernel.pins(), cookie)?;
        let program: &mut SkLookup =
            ebpf.program_mut(NAME).ok_or(EbpfError::Missing(NAME))?.try_into().map_err(failed)?;
        program.load().map_err(failed)?;
        let link = program.attach(self.netns.as_ref()).map_err(failed)?;
        let link: FdLink = program.take_link(link).map_err(failed)?.into();
        kernel.pins().replace_link(&link_name(cookie), link)
    }

    fn write_exclusions(&self, kernel: &Kernel) -> Result<(), EbpfError> {
        let cookie = self.netns.cookie();
        let mut maps = kernel.maps();
        for (direction, port) in excluded_ports(&self.capture) {
            let key = PortKey { cookie, direction: direction as u32, port: port.into() };
            maps.excluded_ports.insert(key, 1, 0).map_err(|source| EbpfError::Map { map: "EXCLUDED_PORTS", source })?;
        }
        for (net, value) in excluded_nets(&self.capture) {
            maps.excluded_nets
                .insert(&net_key(cookie, &net), value, 0)
                .map_err(|source| EbpfError::Map { map: "EXCLUDED_NETS", source })?;
        }
        for net in included_nets(&self.capture) {
            maps.included_nets
                .insert(&net_key(cookie, &net), 1, 0)
                .map_err(|source| EbpfError::Map { map: "INCLUDED_NETS", source })?;
        }
        Ok(())
    }

    fn has_exclusions(&self) -> bool {
        excluded_ports(&self.capture).next().is_some() || !self.capture.exclude_outbound_nets.is_empty()
    }
}

fn excluded_ports(capture: &Capture) -> impl Iterator<Item = (Direction, u16)> + '_ {
    let outbound = capture.exclude_outbound_ports.iter().map(|port| (Direction::Outbound, *port));
    outbound.chain(capture.exclude_inbound_ports.iter().map(|port| (Direction::Inbound, *port)))
}

/// Networks left alone (1), and the probe's address, which is captured all the same (0): a pod whose annotations exclude
/// everything proves its capture like any other. It comes last, and so it holds where both are the same.
fn excluded_nets(capture: &Capture) -> impl Iterator<Item = (IpNet, u32)> + '_ {
    let probe = (!capture.exclude_outbound_nets.is_empty()).then(|| (IpNet::from(PROBE_ADDRESS.ip()), 0));
    capture.exclude_outbound_nets.iter().map(|net| (*net, 1)).chain(probe)
}

/// The only networks captured, and the probe's address, as above.
fn included_nets(capture: &Capture) -> impl Iterator<Item = IpNet> + '_ {
    let probe = (!capture.include_outbound_nets.is_empty()).then(|| IpNet::from(PROBE_ADDRESS.ip()));
    capture.include_outbound_nets.iter().copied().chain(probe)
}

/// Takes a namespace out of capture: first the record (both hooks then leave it alone), then the rest.
pub(super) fn forget(kernel: &Kernel, cookie: u64) {
    let mut maps = kernel.maps();
    let workers = maps.pods.get(&cookie, 0).map_or(0, |record| record.workers);
    let _ = maps.pods.remove(&cookie);
    for worker in 0..workers {
        for direction in [Direction::Outbound, Direction::Inbound] {
            let _ = maps.listeners.remove(&ListenerKey { cookie, direction: direction as u32, worker });
        }
    }
    drop(maps);
    if let Err(error) = kernel.pins().remove_link(&link_name(cookie)) {
        tracing::warn!(%error, cookie, "cannot unpin a pod's lookup program");
    }
}

/// Cookies of pods that an earlier agent captured and whose pins are still there.
pub fn captured_before(kernel: &Kernel) -> Vec<u64> {
    kernel.maps().pods.keys().flatten().collect()
}

fn link_name(cookie: u64) -> String {
    format!("lookup-{cookie}")
}

fn net_key(cookie: u64, net: &IpNet) -> Key<NetKey> {
    let (octets, length) = match net {
        IpNet::V4(net) => (net.network().to_ipv6_mapped().octets(), 96 + u32::from(net.prefix_len())),
        IpNet::V6(net) => (net.network().octets(), u32::from(net.prefix_len())),
    };
    Key::new(64 + length, NetKey { cookie, address: Address::from_octets(octets) })
}
