//! Fields of a VirtualService that are accepted and have no effect yet: each is said, never silent.

use super::{
    super::super::{field_path::FieldPath, findings::Findings, objects::virtual_service as spec},
    BLOCK_LEFT_OUT, NOT_ENFORCED,
};

/// Of the object itself.
pub fn object(from: &spec::VirtualServiceSpec, path: &FieldPath, findings: &mut Findings) {
    for (index, gateway) in from.gateways.iter().flatten().enumerate() {
        if gateway != "mesh" {
            let message = "gateways are not enforced yet: the routes do not act there";
            findings.warn(&path.key("gateways").index(index), message, "");
        }
    }
    for (index, route) in from.tls.iter().flatten().enumerate() {
        let path = path.key("tls").index(index);
        findings.warn(&path, NOT_ENFORCED, "");
        for (index, one) in route.matches.iter().flatten().enumerate() {
            if one.sni_hosts.is_none() && one.sni_hosts_old.is_none() {
                findings.error(&path.key("match").index(index), "names no server", "add sniHosts");
            }
        }
    }
}

/// Of an HTTP route.
pub fn http_route(from: &spec::HttpRoute, path: &FieldPath, findings: &mut Findings) {
    findings.not_enforced(
        path,
        [
            ("redirect", from.redirect.is_some()),
            ("directResponse", from.direct_response.is_some()),
            ("delegate", from.delegate.is_some()),
            ("rewrite", from.rewrite.is_some()),
            ("timeout", from.timeout.is_some()),
            ("retries", from.retries.is_some()),
            ("fault", from.fault.is_some()),
            ("corsPolicy", from.cors_policy.is_some()),
            ("headers", from.headers.is_some()),
        ],
    );
    for (index, one) in from.route.iter().flatten().enumerate() {
        findings.not_enforced(&path.key("route").index(index), [("headers", one.headers.is_some())]);
    }
    ranges(from, path, findings);
}

/// Values that Istio's own validation refuses, also of fields without effect: who adds them early is
/// not surprised later.
fn ranges(from: &spec::HttpRoute, path: &FieldPath, findings: &mut Findings) {
    let share = "use a percentage from 0 to 100";
    let mut percent = |path: FieldPath, value: Option<f64>| match value {
        Some(value) if !(0.0..=100.0).contains(&value) => {
            findings.error(&path, format!("{value} is out of range"), share);
        }
        _ => {}
    };
    let of = |value: &Option<super::super::super::objects::common::Percent>| value.as_ref().and_then(|one| one.value);
    percent(path.key("mirrorPercent"), from.mirror_percent.map(f64::from));
    percent(path.key("mirror_percent"), from.mirror_percent_old.map(f64::from));
    percent(path.key("mirrorPercentage").key("value"), of(&from.mirror_percentage));
    for (index, mirror) in from.mirrors.iter().flatten().enumerate() {
        percent(path.key("mirrors").index(index).key("percentage").key("value"), of(&mirror.percentage));
    }
    let Some(fault) = &from.fault else { return };
    if let Some(delay) = &fault.delay {
        let path = path.key("fault").key("delay");
        percent(path.key("percent"), delay.percent.map(f64::from));
        percent(path.key("percentage").key("value"), of(&delay.percentage));
    }
    if let Some(abort) = &fault.abort {
        let path = path.key("fault").key("abort");
        percent(path.key("percent"), abort.percent.map(f64::from));
        percent(path.key("percentage").key("value"), of(&abort.percentage));
        if let Some(status) = abort.http_status.filter(|status| !(200..=599).contains(status)) {
            let next = "use a status from 200 to 599";
            findings.error(&path.key("httpStatus"), format!("{status} is no HTTP status"), next);
        }
    }
}

/// Conditions of a TCP match that the mesh cannot check yet; true when there are any, and the block has to
/// be left out.
pub fn tcp_match(from: &spec::L4Match, path: &FieldPath, findings: &mut Findings) -> bool {
    let fields = [
        ("destinationSubnets", from.destination_subnets.is_some()),
        ("sourceSubnet", from.source_subnet.is_some()),
        ("sourceLabels", from.source_labels.is_some()),
        ("gateways", from.gateways.is_some()),
        ("sourceNamespace", from.source_namespace.is_some()),
    ];
    for (name, _) in fields.iter().filter(|(_, is_set)| *is_set) {
        findings.warn(&path.key(*name), format!("{NOT_ENFORCED}, {BLOCK_LEFT_OUT}"), "");
    }
    fields.iter().any(|(_, is_set)| *is_set)
}
