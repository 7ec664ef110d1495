//! DestinationRule: spec -> model, checked.

use std::collections::BTreeMap;

use weft_model::route::{ClientTls, DestinationRule, LoadBalancer, Subset, TrafficPolicy};

use super::{
    super::{
        field_path::FieldPath,
        findings::{Findings, NOT_ENFORCED},
        objects::destination_rule::{self as spec, ClientTlsMode, SimpleLoadBalancer},
    },
    host::{self, Wildcard},
    meta::Meta,
    model_labels, port,
};

/// Converts a DestinationRule; what is wrong with it goes to `findings`.
pub fn convert(
    meta: &Meta,
    spec: &spec::DestinationRuleSpec,
    cluster_domain: &str,
    findings: &mut Findings,
) -> DestinationRule {
    let root = FieldPath::of(&["spec"]);
    let namespace = &meta.name.namespace;
    host::check(&spec.host, Wildcard::Allowed, &root.key("host"), findings);
    findings.not_enforced(&root, [("workloadSelector", spec.workload_selector.is_some())]);
    let mut subsets: Vec<Subset> = Vec::new();
    for (index, from) in spec.subsets.iter().flatten().enumerate() {
        let path = root.key("subsets").index(index);
        if from.name.is_empty() || subsets.iter().any(|one| *one.name == *from.name) {
            let message = format!("{:?} is empty or used twice", from.name);
            findings.error(&path.key("name"), message, "give each subset a name of its own");
        }
        subsets.push(Subset {
            name: from.name.as_str().into(),
            labels: from.labels.as_ref().map(model_labels).unwrap_or_default(),
            policy: policy(from.traffic_policy.as_ref(), &path.key("trafficPolicy"), findings),
        });
    }
    DestinationRule {
        name: meta.name.clone(),
        host: host::fully_qualified(&spec.host, namespace, cluster_domain),
        export_to: host::visibility(spec.export_to.as_ref(), namespace, &root.key("exportTo"), findings),
        policy: policy(spec.traffic_policy.as_ref(), &root.key("trafficPolicy"), findings),
        subsets,
        created: meta.created,
    }
}

fn policy(from: Option<&spec::TrafficPolicy>, path: &FieldPath, findings: &mut Findings) -> TrafficPolicy {
    let Some(from) = from else { return TrafficPolicy::default() };
    findings.not_enforced(
        path,
        [
            ("tunnel", from.tunnel.is_some()),
            ("proxyProtocol", from.proxy_protocol.is_some()),
            ("retryBudget", from.retry_budget.is_some()),
        ],
    );
    let mut ports = BTreeMap::new();
    for (index, one) in from.port_level_settings.iter().flatten().enumerate() {
        let path = path.key("portLevelSettings").index(index);
        let Some(number) = one.port.as_ref().and_then(|port| port.number) else {
            findings.error(&path, "has no port", "add port.number");
            continue;
        };
        let parts = Parts {
            tls: one.tls.as_ref(),
            load_balancer: one.load_balancer.as_ref(),
            connection_pool: one.connection_pool.as_ref(),
            outlier_detection: one.outlier_detection.as_ref(),
        };
        let policy = parts.convert(&path, findings);
        if let Some(number) = port(number, &path.key("port").key("number"), findings) {
            ports.insert(number, policy);
        }
    }
    let parts = Parts {
        tls: from.tls.as_ref(),
        load_balancer: from.load_balancer.as_ref(),
        connection_pool: from.connection_pool.as_ref(),
        outlier_detection: from.outlier_detection.as_ref(),
    };
    TrafficPolicy { ports, ..parts.convert(path, findings) }
}

/// What a policy and its overrides by port have in common.
struct Parts<'a> {
    tls: Option<&'a spec::ClientTls>,
    load_balancer: Option<&'a spec::LoadBalancer>,
    connection_pool: Option<&'a spec::ConnectionPool>,
    outlier_detection: Option<&'a spec::OutlierDetection>,
}

impl Parts<'_> {
    fn convert(&self, path: &FieldPath, findings: &mut Findings) -> TrafficPolicy {
        self.limits(path, findings);
        TrafficPolicy {
            tls: self.tls.and_then(|tls| client_tls(tls, &path.key("tls"), findings)),
            load_balancer: self.load_balancer.and_then(|one| balancer(one, &path.key("loadBalancer"), findings)),
            ports: BTreeMap::new(),
        }
    }

    fn limits(&self, path: &FieldPath, findings: &mut Findings) {
        // `connectionPool: {http: {}, tcp: {}}` asks for nothing, so there is nothing to say about it.
        let pool = self.connection_pool.is_some_and(|pool| {
            pool.tcp.as_ref().is_some_and(|tcp| *tcp != spec::TcpPool::default())
                || pool.http.as_ref().is_some_and(|http| *http != spec::HttpPool::default())
        });
        let outlier = self.outlier_detection.is_some();
        findings.not_enforced(path, [("connectionPool", pool), ("outlierDetection", outlier)]);
        let Some(outlier) = self.outlier_detection else { return };
        let path = path.key("outlierDetection");
        for (name, value) in
            [("maxEjectionPercent", outlier.max_ejection_percent), ("minHealthPercent", outlier.min_health_percent)]
        {
            if let Some(value) = value.filter(|value| !(0..=100).contains(value)) {
                findings.error(&path.key(name), format!("{value} is out of range"), "use a percentage from 0 to 100");
            }
        }
        if let Some(value) = outlier.consecutive_errors.filter(|value| *value < 0) {
            findings.error(&path.key("consecutiveErrors"), format!("{value} is out of range"), "use 0 or more");
        }
    }
}

fn client_tls(from: &spec::ClientTls, path: &FieldPath, findings: &mut Findings) -> Option<ClientTls> {
    match from.mode? {
        ClientTlsMode::Disable => Some(ClientTls::Disable),
        ClientTlsMode::IstioMutual => Some(ClientTls::IstioMutual),
        ClientTlsMode::Simple | ClientTlsMode::Mutual => {
            let message = "TLS origination is not enforced yet: connections to this host are refused";
            findings.warn(&path.key("mode"), message, "use DISABLE or ISTIO_MUTUAL");
            Some(ClientTls::Other)
        }
    }
}

fn balancer(from: &spec::LoadBalancer, path: &FieldPath, findings: &mut Findings) -> Option<LoadBalancer> {
    findings.not_enforced(
        path,
        [
            ("consistentHash", from.consistent_hash.is_some()),
            ("localityLbSetting", from.locality_lb_setting.is_some()),
            ("zoneAwareLbSetting", from.zone_aware_lb_setting.is_some()),
            ("warmupDurationSecs", from.warmup_duration_secs.is_some()),
            ("warmup", from.warmup.is_some()),
        ],
    );
    match from.simple? {
        SimpleLoadBalancer::Unspecified => None,
        SimpleLoadBalancer::RoundRobin => Some(LoadBalancer::RoundRobin),
        SimpleLoadBalancer::Random => Some(LoadBalancer::Random),
        other
        @ (SimpleLoadBalancer::LeastConn | SimpleLoadBalancer::LeastRequest | SimpleLoadBalancer::Passthrough) => {
            let message = format!("{} {NOT_ENFORCED}; ROUND_ROBIN is used", spelling(other));
            findings.warn(&path.key("simple"), message, "");
            None
        }
    }
}

fn spelling(of: SimpleLoadBalancer) -> &'static str {
    match of {
        SimpleLoadBalancer::Unspecified => "UNSPECIFIED",
        SimpleLoadBalancer::LeastConn => "LEAST_CONN",
        SimpleLoadBalancer::LeastRequest => "LEAST_REQUEST",
        SimpleLoadBalancer::Random => "RANDOM",
        SimpleLoadBalancer::RoundRobin => "ROUND_ROBIN",
        SimpleLoadBalancer::Passthrough => "PASSTHROUGH",
    }
}

/// The same rule with a `name.namespace` host resolved by the registry; `None` when nothing changes.
pub fn qualify(rule: &DestinationRule, known: &host::KnownServices, cluster_domain: &str) -> Option<DestinationRule> {
    let host = host::qualified_by_registry(&rule.host, known, cluster_domain)?;
    Some(DestinationRule { host, ..rule.clone() })
}
