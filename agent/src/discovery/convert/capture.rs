//! What a pod's annotations say about its capture.

use std::collections::BTreeMap;

use ipnet::IpNet;
use weft_model::workload::Capture;

use super::{
    super::{
        field_path::FieldPath,
        findings::{Findings, NOT_ENFORCED},
    },
    matching::{NETWORK_FORM, network},
};

/// The pod's network namespace in directory mode: a name below `/run/netns` or an absolute path,
/// optionally `@node`. In a Deployment's template a comma list, one pod each.
pub const NETNS: &str = "weft.dev/netns";

/// The pod's node in directory mode, where nobody schedules.
pub const NODE: &str = "weft.dev/node";

const PREFIX: &str = "traffic.sidecar.istio.io/";

/// One entry of [`NETNS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetnsEntry<'a> {
    /// Name or path.
    pub netns: &'a str,
    /// Node, when the entry says.
    pub node: Option<&'a str>,
}

/// The entries of a [`NETNS`] annotation.
pub fn netns_entries(annotations: Option<&BTreeMap<String, String>>) -> Vec<NetnsEntry<'_>> {
    let text = annotations.and_then(|all| all.get(NETNS)).map_or("", String::as_str);
    items(text)
        .map(|entry| match entry.rsplit_once('@') {
            Some((netns, node)) => NetnsEntry { netns, node: Some(node).filter(|node| !node.is_empty()) },
            None => NetnsEntry { netns: entry, node: None },
        })
        .collect()
}

/// The capture of a pod with these annotations; `path` is that of the annotations.
pub fn capture(annotations: Option<&BTreeMap<String, String>>, path: &FieldPath, findings: &mut Findings) -> Capture {
    let Some(annotations) = annotations else { return Capture::default() };
    let mut capture = Capture {
        netns: netns_entries(Some(annotations)).first().map(|entry| entry.netns.into()),
        ..Capture::default()
    };
    for (name, value) in annotations {
        let Some(short) = name.strip_prefix(PREFIX) else { continue };
        let path = path.key(name);
        match short {
            "excludeInboundPorts" => capture.exclude_inbound_ports = ports(value, &path, findings),
            "excludeOutboundPorts" => capture.exclude_outbound_ports = ports(value, &path, findings),
            "excludeOutboundIPRanges" => capture.exclude_outbound_nets.extend(nets(value, &path, findings)),
            "includeOutboundIPRanges" if value.trim() == "*" => {}
            // An empty list captures nothing, as in Istio; an empty list of the model captures all.
            "includeOutboundIPRanges" if value.trim().is_empty() => {
                capture.exclude_outbound_nets.extend(everything());
            }
            "includeOutboundIPRanges" => capture.include_outbound_nets = nets(value, &path, findings),
            "includeInboundPorts" if value.trim() == "*" => {}
            _ => findings.warn(&path, NOT_ENFORCED, ""),
        }
    }
    capture
}

fn everything() -> [IpNet; 2] {
    [IpNet::V4(ipnet::Ipv4Net::default()), IpNet::V6(ipnet::Ipv6Net::default())]
}

fn ports(list: &str, path: &FieldPath, findings: &mut Findings) -> Vec<u16> {
    let mut found = Vec::new();
    for text in items(list) {
        match text.parse::<u16>() {
            Ok(port) if port > 0 => found.push(port),
            _ => findings.error(path, format!("{text:?} is no port"), "write a comma list of ports from 1 to 65535"),
        }
    }
    found
}

fn nets(list: &str, path: &FieldPath, findings: &mut Findings) -> Vec<IpNet> {
    let mut found = Vec::new();
    for text in items(list) {
        match network(text) {
            Some(net) => found.push(net),
            None => findings.error(path, format!("{text:?} is no address or network"), NETWORK_FORM),
        }
    }
    found
}

fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty())
}
