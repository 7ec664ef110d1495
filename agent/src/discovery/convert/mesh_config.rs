//! ConfigMap `istio-system/istio`, key `mesh`: the settings of the whole mesh, YAML inside YAML.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use serde::Deserialize;
use weft_model::mesh::{MeshConfig, OutboundPolicy};

use super::super::{
    field_path::FieldPath,
    findings::{Finding, Findings, NOT_ENFORCED},
    locate::line_of,
    names,
    objects::Key,
};

/// The fields of Istio's MeshConfig that weft acts on.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    trust_domain: Option<String>,
    trust_domain_aliases: Option<Vec<String>>,
    root_namespace: Option<String>,
    access_log_file: Option<String>,
    enable_auto_mtls: Option<bool>,
    enable_prometheus_merge: Option<bool>,
    outbound_traffic_policy: Option<OutboundTrafficPolicy>,
}

#[derive(Debug, Default, Deserialize)]
struct OutboundTrafficPolicy {
    mode: Option<Mode>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Mode {
    AllowAny,
    RegistryOnly,
}

/// Is it the ConfigMap with the mesh configuration?
pub fn is_mesh_config(key: &Key) -> bool {
    &*key.namespace == "istio-system" && &*key.name == "istio"
}

/// Converts the ConfigMap; what is wrong with it goes to `findings`.
pub fn convert(map: &ConfigMap, cluster_domain: &Arc<str>, findings: &mut Findings) -> MeshConfig {
    let default = MeshConfig { cluster_domain: cluster_domain.clone(), ..MeshConfig::default() };
    let path = FieldPath::of(&["data", "mesh"]);
    let Some(text) = map.data.as_ref().and_then(|data| data.get("mesh")) else {
        findings.error(&path, "missing", "add the key mesh with the mesh configuration as YAML text");
        return default;
    };
    let Some(written) = read(text, &path, findings) else { return default };
    let trust_domain = written.trust_domain.filter(|name| !name.is_empty());
    if let Some(name) = trust_domain.as_ref().filter(|name| !names::is_dns_name(name)) {
        let message = format!("{name:?} is no DNS name");
        at(text, &path, &FieldPath::of(&["trustDomain"]), message, "use a name like cluster.local", findings);
    }
    MeshConfig {
        trust_domain: trust_domain.map_or(default.trust_domain, Into::into),
        trust_domain_aliases: written.trust_domain_aliases.into_iter().flatten().map(Into::into).collect(),
        root_namespace: written
            .root_namespace
            .filter(|name| !name.is_empty())
            .map_or(default.root_namespace, Into::into),
        cluster_domain: default.cluster_domain,
        outbound: match written.outbound_traffic_policy.unwrap_or_default().mode {
            Some(Mode::RegistryOnly) => OutboundPolicy::RegistryOnly,
            Some(Mode::AllowAny) => OutboundPolicy::AllowAny,
            None => default.outbound,
        },
        auto_mtls: written.enable_auto_mtls.unwrap_or(default.auto_mtls),
        access_log: written.access_log_file.map_or(default.access_log, |file| !file.is_empty()),
        prometheus_merge: written.enable_prometheus_merge.unwrap_or(default.prometheus_merge),
    }
}

/// The inner document; fields weft does not act on are warned about.
fn read(text: &str, path: &FieldPath, findings: &mut Findings) -> Option<Written> {
    let mut others = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let value = match serde_yaml_ng::from_str::<serde_yaml_ng::Value>(text) {
        Ok(value) => value,
        Err(error) => {
            let mut finding = Finding::new(path, format!("not readable as YAML: {error}"), "correct the text");
            finding.lines_below = error.location().map_or(0, |place| place.line());
            findings.errors.push(finding);
            return None;
        }
    };
    let tracked = serde_path_to_error::Deserializer::new(value, &mut track);
    let written: Result<Option<Written>, _> =
        serde_ignored::deserialize(tracked, |other| others.push(FieldPath::from(&other)));
    for other in others {
        let mut finding = Finding::new(&path.join(&other), NOT_ENFORCED, "");
        // Inside a block scalar the field's own path has no line in the file: count from `mesh: |`.
        finding.lines_below = line_of(text, &other).unwrap_or(0);
        findings.warnings.push(finding);
    }
    match written {
        Ok(written) => Some(written.unwrap_or_default()),
        Err(error) => {
            let inner = FieldPath::from(&track.path());
            at(text, path, &inner, error.to_string().replace('`', ""), "correct the value", findings);
            None
        }
    }
}

/// An error at a field of the inner document.
fn at(text: &str, path: &FieldPath, inner: &FieldPath, message: String, next: &str, findings: &mut Findings) {
    let mut finding = Finding::new(&path.join(inner), message, next);
    finding.lines_below = line_of(text, inner).unwrap_or(0);
    findings.errors.push(finding);
}
