//! One `match` block of an HTTP route.

use std::sync::Arc;

use weft_model::{matching::StringMatch, route::HttpMatch};

use super::super::{
    super::{field_path::FieldPath, findings::Findings, objects::common, objects::virtual_service as spec},
    host,
    matching::{Empty, string_match, string_matches},
    model_labels, port,
};

/// Converts a block.
pub fn convert(from: &spec::HttpMatch, namespace: &Arc<str>, path: &FieldPath, findings: &mut Findings) -> HttpMatch {
    let mut part = |name: &str, value: &Option<common::StringMatch>| -> Option<StringMatch> {
        let value = value.as_ref()?;
        string_match(value, &path.key(name), Empty::IsAnError, findings)
    };
    let (uri, scheme) = (part("uri", &from.uri), part("scheme", &from.scheme));
    let (method, authority) = (part("method", &from.method), part("authority", &from.authority));
    // HTTP header names know no case (RFC 9110 section 5.1); query parameters do.
    let header = |name: &str| name.to_ascii_lowercase();
    let headers = string_matches(from.headers.as_ref(), &path.key("headers"), header, findings);
    for name in headers.keys().filter(|name| name.starts_with('@')) {
        let message = "conditions on token claims are not enforced yet: this block never matches";
        findings.warn(&path.key("headers").key(name), message, "");
    }
    HttpMatch {
        uri,
        ignore_uri_case: from.ignore_uri_case.unwrap_or(false),
        scheme,
        method,
        authority,
        headers,
        without_headers: string_matches(from.without_headers.as_ref(), &path.key("withoutHeaders"), header, findings),
        query_params: string_matches(from.query_params.as_ref(), &path.key("queryParams"), str::to_owned, findings),
        port: from.port.and_then(|number| port(number, &path.key("port"), findings)),
        source_labels: from.source_labels.as_ref().map(model_labels).unwrap_or_default(),
        source_namespace: from.source_namespace.as_deref().filter(|name| !name.is_empty()).map(Into::into),
        gateways: host::gateways(from.gateways.as_ref(), namespace),
    }
}
