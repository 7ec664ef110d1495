//! `when[]`: an attribute and its values.

use weft_model::policy::{Condition, ConditionKey};

use super::{
    super::super::{field_path::FieldPath, findings::Findings, objects::authorization_policy as spec},
    networks, patterns, service_accounts,
};

/// Converts a condition; `None` when its attribute is unknown (an error).
pub fn convert(
    from: &spec::Condition,
    namespace: &str,
    path: &FieldPath,
    findings: &mut Findings,
) -> Option<Condition> {
    let (values_path, not_values_path) = (path.key("values"), path.key("notValues"));
    let (values, not_values) = (from.values.as_ref(), from.not_values.as_ref());
    if values.is_none() && not_values.is_none() {
        findings.error(path, "has no values", "add values or notValues");
    }
    let Some(key) = key(&from.key) else {
        let next = "use source.ip, source.namespace, source.principal, source.serviceAccount, remote.ip, \
                    destination.ip, destination.port, connection.sni, request.headers[name] or request.auth.*";
        findings.error(&path.key("key"), format!("{:?} is no known attribute", from.key), next);
        return None;
    };
    if matches!(key, ConditionKey::RequestAuth(_)) {
        findings.warn(&path.key("key"), "tokens are not verified yet: every request counts as one without a token", "");
    }
    let is_network = matches!(key, ConditionKey::SourceIp | ConditionKey::RemoteIp | ConditionKey::DestinationIp);
    if is_network {
        return Some(Condition {
            key,
            values: Vec::new(),
            not_values: Vec::new(),
            nets: networks(values, &values_path, findings),
            not_nets: networks(not_values, &not_values_path, findings),
        });
    }
    let mut list = |list, path| match key {
        ConditionKey::SourceServiceAccount => service_accounts(list, namespace, path, findings),
        _ => patterns(list, path, findings),
    };
    let (values, not_values) = (list(values, &values_path), list(not_values, &not_values_path));
    Some(Condition { key, values, not_values, nets: Vec::new(), not_nets: Vec::new() })
}

fn key(text: &str) -> Option<ConditionKey> {
    Some(match text {
        "source.ip" => ConditionKey::SourceIp,
        "remote.ip" => ConditionKey::RemoteIp,
        "source.namespace" => ConditionKey::SourceNamespace,
        "source.principal" => ConditionKey::SourcePrincipal,
        "source.serviceAccount" => ConditionKey::SourceServiceAccount,
        "destination.ip" => ConditionKey::DestinationIp,
        "destination.port" => ConditionKey::DestinationPort,
        "connection.sni" => ConditionKey::ConnectionSni,
        _ => match text.strip_prefix("request.headers[").and_then(|rest| rest.strip_suffix(']')) {
            Some(name) if !name.is_empty() => ConditionKey::RequestHeader(name.to_ascii_lowercase()),
            _ => ConditionKey::RequestAuth(text.strip_prefix("request.auth.").map(|_| text.to_owned())?),
        },
    })
}
