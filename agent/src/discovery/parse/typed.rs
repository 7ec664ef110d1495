//! A YAML value as a typed object: field path of an error, and every field that no one asked for.

use serde::de::DeserializeOwned;
use serde_yaml_ng::Value;

use super::super::{
    field_names::{closest, fields_at},
    field_path::FieldPath,
    findings::{Finding, Findings},
    objects::Kind,
    parse::Origin,
};

/// Reads `value` as a `T`. Fields that `T` does not know are warned about; where a condition would
/// match more than it says without them, they are errors. Of its own kinds an API server may know more fields than
/// this version of weft, and has refused those that it does not know itself.
///
/// # Errors
/// The field that cannot be read, and why.
pub fn read<T: DeserializeOwned>(
    kind: Kind,
    value: Value,
    origin: Origin,
    findings: &mut Findings,
) -> Result<T, Finding> {
    let mut unknown = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(value, &mut track);
    let object: Result<T, _> = serde_ignored::deserialize(tracked, |path| unknown.push(FieldPath::from(&path)));
    if origin == Origin::ApiServer && kind.is_core() {
        unknown.clear();
    }
    for path in unknown {
        report_unknown::<T>(kind, &path, findings);
    }
    object.map_err(|error| unreadable(&FieldPath::from(&track.path()), &error.to_string()))
}

fn report_unknown<T: DeserializeOwned>(kind: Kind, path: &FieldPath, findings: &mut Findings) {
    let known = fields_at::<T>(&path.parent());
    let next_step = match path.last_key().and_then(|name| closest(name, known)) {
        Some(meant) => format!("did you mean {meant}?"),
        None if known.is_empty() || known.len() > 12 => "remove it, or correct its name or place".to_owned(),
        None => format!("known here: {}", known.join(", ")),
    };
    if narrows(kind, path) {
        findings.error(path, "unknown field; without it the condition would match more than it says", next_step);
    } else {
        findings.warn(path, "unknown field, ignored", next_step);
    }
}

/// Would leaving this field out make a rule match more?
fn narrows(kind: Kind, path: &FieldPath) -> bool {
    match kind {
        Kind::AuthorizationPolicy | Kind::PeerAuthentication => path.passes("spec"),
        Kind::VirtualService => path.passes("match"),
        _ => false,
    }
}

/// An error of serde in our words.
fn unreadable(path: &FieldPath, message: &str) -> Finding {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let next_step = if message.starts_with("unknown variant") {
        match quoted.split_first().and_then(|(word, allowed)| closest(word, allowed)) {
            Some(meant) => format!("did you mean {meant}?"),
            None => "use one of these values".to_owned(),
        }
    } else if message.starts_with("missing field") {
        format!("add {}", quoted.first().unwrap_or(&"it"))
    } else if message.ends_with("expected a string") {
        "put the value in quotes".to_owned()
    } else {
        "correct the value".to_owned()
    };
    Finding::new(path, message.replace('`', ""), next_step)
}
