//! Names as Kubernetes and DNS allow them.

use super::{
    field_path::FieldPath,
    findings::Finding,
    objects::{Key, Kind},
};

/// Is it a DNS label (RFC 1123: letters in lower case, digits and `-`, at most 63)?
pub fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.len() <= 63 && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// Is it a DNS name of labels (RFC 1123 subdomain, at most 253)?
pub fn is_dns_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// Is the name of the object one that Kubernetes would accept?
///
/// # Errors
/// The field with the bad name.
pub fn check(key: &Key) -> Result<(), Finding> {
    let rule = "use lower-case letters, digits and -, beginning and ending with a letter or digit";
    let complain = |field: &str, text: &str, what: &str| {
        let path = FieldPath::of(&["metadata", field]);
        Err(Finding::new(&path, format!("{text:?} is no valid {what}"), rule))
    };
    if !key.namespace.is_empty() && !is_label(&key.namespace) {
        return complain("namespace", &key.namespace, "namespace (DNS label)");
    }
    match key.kind {
        Kind::Namespace | Kind::Service if !is_label(&key.name) => complain("name", &key.name, "DNS label"),
        _ if !is_dns_name(&key.name) => complain("name", &key.name, "object name (DNS name)"),
        _ => Ok(()),
    }
}
