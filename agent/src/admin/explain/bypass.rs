//! Connections that the source's side of weft never sees.

use weft_model::workload::{Enrolment, Workload};

use super::resolve::Resolved;

/// Why the connection is not captured; `None` when it is.
pub(super) fn reason(source: &Workload, resolved: &Resolved) -> Option<String> {
    let (ip, port) = (resolved.address.ip(), resolved.address.port());
    let capture = &source.capture;
    if let Enrolment::NotEnrolled(why) = source.enrolment {
        return Some(format!("pod {} is not enrolled: {why}", source.pod));
    }
    if ip.is_loopback() {
        return Some("what a pod says to itself on loopback is its own".to_owned());
    }
    if capture.exclude_outbound_ports.contains(&port) {
        return Some(format!("annotation excludeOutboundPorts of {} names port {port}", source.pod));
    }
    // An address that only the pod's resolver knows cannot be compared with networks.
    if resolved.is_outside {
        return None;
    }
    if let Some(net) = capture.exclude_outbound_nets.iter().find(|net| net.contains(&ip)) {
        return Some(format!("annotation excludeOutboundIPRanges of {} names {net}", source.pod));
    }
    let included = &capture.include_outbound_nets;
    if !included.is_empty() && !included.iter().any(|net| net.contains(&ip)) {
        return Some(format!("annotation includeOutboundIPRanges of {} does not name {ip}", source.pod));
    }
    None
}
