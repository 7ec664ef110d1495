//! PeerAuthentication: spec -> model, checked.

use std::collections::BTreeMap;

use weft_model::{
    policy::{MtlsMode, PeerAuthentication},
    workload::Labels,
};

use super::{
    super::{
        field_path::FieldPath,
        findings::Findings,
        objects::{
            common::WorkloadSelector,
            peer_authentication::{MutualTls, MutualTlsMode, PeerAuthenticationSpec},
        },
    },
    meta::Meta,
    model_labels, port,
};

/// Converts a PeerAuthentication; what is wrong with it goes to `findings`.
pub fn convert(meta: &Meta, spec: &PeerAuthenticationSpec, findings: &mut Findings) -> PeerAuthentication {
    let root = FieldPath::of(&["spec"]);
    let selector = selector(spec.selector.as_ref());
    let mut ports = BTreeMap::new();
    for (number, tls) in spec.port_level_mtls.iter().flatten() {
        let path = root.key("portLevelMtls").key(number);
        match number.parse::<i64>() {
            Ok(number) => {
                if let Some(number) = port(number, &path, findings) {
                    ports.insert(number, mode(Some(tls)));
                }
            }
            Err(_) => findings.error(&path, format!("{number:?} is no port"), "use the number of a workload port"),
        }
    }
    if !ports.is_empty() && selector.is_none() {
        let message = "ports need a workload they belong to";
        findings.error(&root.key("portLevelMtls"), message, "add spec.selector.matchLabels");
    }
    PeerAuthentication {
        name: meta.name.clone(),
        selector,
        mode: mode(spec.mtls.as_ref()),
        ports,
        created: meta.created,
    }
}

/// `selector.matchLabels`; `None` when there are none, which means everything.
pub fn selector(from: Option<&WorkloadSelector>) -> Option<Labels> {
    let labels = from?.match_labels.as_ref()?;
    (!labels.is_empty()).then(|| model_labels(labels))
}

fn mode(from: Option<&MutualTls>) -> Option<MtlsMode> {
    match from?.mode? {
        MutualTlsMode::Unset => None,
        MutualTlsMode::Disable => Some(MtlsMode::Disable),
        MutualTlsMode::Permissive => Some(MtlsMode::Permissive),
        MutualTlsMode::Strict => Some(MtlsMode::Strict),
    }
}
