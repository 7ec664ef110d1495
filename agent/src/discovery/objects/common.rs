//! Pieces that several Istio kinds share: string matches, ports, percentages, durations, selectors.

use std::{collections::BTreeMap, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A free map of strings.
pub type StringMap = BTreeMap<String, String>;

/// How a string is matched: exactly one of the fields, or none (`{}`, any value) in a header match.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(expecting = "one of exact, prefix, regex, for example { exact: v2 }")]
pub struct StringMatch {
    /// Equal.
    pub exact: Option<String>,
    /// Begins with.
    pub prefix: Option<String>,
    /// RE2 expression that the whole string matches.
    pub regex: Option<String>,
}

/// A port of a Service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(expecting = "a port, for example { number: 80 }")]
pub struct PortSelector {
    /// Port number.
    #[schemars(range(min = 1, max = 65535))]
    pub number: Option<i64>,
}

/// A share of requests, 0.0 to 100.0.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(expecting = "a percentage, for example { value: 10.0 }")]
pub struct Percent {
    /// Percent, with decimals.
    #[schemars(range(min = 0, max = 100))]
    pub value: Option<f64>,
}

/// Which workloads of the namespace a policy is for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", expecting = "a selector, for example { matchLabels: { app: name } }")]
pub struct WorkloadSelector {
    /// Labels that a pod must have, all of them.
    pub match_labels: Option<StringMap>,
}

/// What the API server accepts as a [`Span`]. (A rule in CEL would come with a nicer message; in lists of lists the API
/// server takes it for too dear.)
const DURATION_PATTERN: &str = "^([0-9]*[.]?[0-9]+(h|m|s|ms|us|µs|ns))+$";

/// A time as Istio spells it: `850ms`, `0.5s`, `3m`, `1h30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = DURATION_PATTERN))]
pub struct Span(pub Duration);

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no duration; write it like 850ms, 0.5s, 3m or 1h30m");
        let mut rest = text.as_str();
        let mut seconds = 0.0;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
            let (number, tail) = rest.split_at(digits);
            let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(unit_end);
            let scale = match unit {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                _ => return Err(wrong()),
            };
            seconds += number.parse::<f64>().map_err(|_| wrong())? * scale;
            rest = tail;
        }
        let span = Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?;
        if text.is_empty() { Err(wrong()) } else { Ok(Self(span)) }
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        format!("{}s", span.0.as_secs_f64())
    }
}
