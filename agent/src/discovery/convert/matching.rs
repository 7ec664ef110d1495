//! String matches and networks, checked on the way.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;
use weft_model::matching::StringMatch;

use super::super::{field_path::FieldPath, findings::Findings, objects::common};

/// A `StringMatch`. Without any of its fields it matches every value: Istio allows that for headers and
/// query parameters only.
pub fn string_match(
    from: &common::StringMatch,
    path: &FieldPath,
    empty: Empty,
    findings: &mut Findings,
) -> Option<StringMatch> {
    match (&from.exact, &from.prefix, &from.regex) {
        (Some(text), None, None) => Some(StringMatch::Exact(text.clone())),
        (None, Some(text), None) => Some(StringMatch::Prefix(text.clone())),
        (None, None, Some(source)) => match StringMatch::regex(source) {
            Ok(compiled) => Some(compiled),
            Err(error) => {
                let message = format!("{source:?} is no regular expression: {}", one_line(&error));
                findings.error(&path.key("regex"), message, "use RE2 syntax; the whole value has to match");
                None
            }
        },
        (None, None, None) if empty == Empty::MatchesAll => Some(StringMatch::Present),
        (None, None, None) => {
            findings.error(path, "says not how to match", "use one of exact, prefix, regex");
            None
        }
        _ => {
            findings.error(path, "says more than one way to match", "use one of exact, prefix, regex");
            None
        }
    }
}

/// What a match without fields means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Empty {
    /// Present with any value.
    MatchesAll,
    /// A mistake.
    IsAnError,
}

/// The last line of a message of the regex crate, which paints the expression on those before it.
fn one_line(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// Matches by header or parameter name.
pub fn string_matches(
    from: Option<&BTreeMap<String, common::StringMatch>>,
    path: &FieldPath,
    name: impl Fn(&str) -> String,
    findings: &mut Findings,
) -> BTreeMap<String, StringMatch> {
    let mut found = BTreeMap::new();
    for (key, value) in from.into_iter().flatten() {
        if let Some(value) = string_match(value, &path.key(key), Empty::MatchesAll, findings) {
            found.insert(name(key), value);
        }
    }
    found
}

/// A network, or an address as the network of itself.
pub fn network(text: &str) -> Option<IpNet> {
    let text = text.trim();
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// Networks of a list.
pub fn networks(list: Option<&Vec<String>>, path: &FieldPath, findings: &mut Findings) -> Vec<IpNet> {
    refuse_empty(list, path, findings);
    let mut found = Vec::new();
    for (index, text) in list.into_iter().flatten().enumerate() {
        match network(text) {
            Some(network) => found.push(network),
            None => findings.error(&path.index(index), format!("{text:?} is no address or network"), NETWORK_FORM),
        }
    }
    found
}

/// How networks are written.
pub const NETWORK_FORM: &str = "write it like 10.0.0.0/8, 192.0.2.7 or fd00::/8";

/// An empty list in a rule looks like a constraint and is none: Istio refuses it, and so do we.
pub fn refuse_empty(list: Option<&Vec<String>>, path: &FieldPath, findings: &mut Findings) {
    if list.is_some_and(Vec::is_empty) {
        findings.error(path, "is empty", "name at least one value, or remove the field");
    }
}
