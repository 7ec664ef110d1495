//! Where a pod's metrics are, as its annotations say: the application's own page, or the agent's, which has the
//! application's merged in and stands for it since the webhook rewrote the annotations.
//!
//! The webhook writes with the names from here what discovery reads with them.

use std::collections::BTreeMap;

/// Does Prometheus look at the pod?
pub const SCRAPE: &str = "prometheus.io/scrape";
/// Where its page is.
pub const PORT: &str = "prometheus.io/port";
/// Where its page is.
pub const PATH: &str = "prometheus.io/path";
const MERGE: &str = "prometheus.istio.io/merge-metrics";

/// What the annotations said before the webhook.
const ORIGINALS: [&str; 3] = ["prometheus.weft.dev/scrape", "prometheus.weft.dev/port", "prometheus.weft.dev/path"];

/// The agent's page of a pod ([`weft_model::workload::POD_STATS_PORT`]).
pub const PAGE_PORT: &str = "15020";
/// The agent's page of a pod.
pub const PAGE_PATH: &str = "/stats/prometheus";

/// The annotations about metrics, as written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written<'a> {
    /// `prometheus.io/scrape`.
    pub scrape: Option<&'a str>,
    /// `prometheus.io/port`.
    pub port: Option<&'a str>,
    /// `prometheus.io/path`.
    pub path: Option<&'a str>,
    merge: Option<&'a str>,
    originals: [Option<&'a str>; 3],
}

/// The application's page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Application<'a> {
    /// Port, 80 when the pod does not say.
    pub port: u16,
    /// Path, `/metrics` when the pod does not say.
    pub path: &'a str,
    /// Does the pod let it be merged?
    pub merge: bool,
}

impl<'a> Written<'a> {
    /// Those of a pod, in any spelling that Prometheus takes for the same.
    pub fn of(annotations: Option<&'a BTreeMap<String, String>>) -> Self {
        let find = |name: &str| {
            let all = annotations?;
            let same = |key: &&String| sanitized(key) == sanitized(name);
            all.get(name).or_else(|| all.get(all.keys().find(same)?)).map(String::as_str)
        };
        Self {
            scrape: find(SCRAPE),
            port: find(PORT),
            path: find(PATH),
            merge: find(MERGE),
            originals: ORIGINALS.map(|name| annotations?.get(name).map(String::as_str)),
        }
    }

    /// Does Prometheus look at the agent's page? Then the annotations say nothing about the application's.
    pub fn leads_to_page(&self) -> bool {
        self.port == Some(PAGE_PORT)
    }

    /// Does the pod say that nobody should look?
    pub fn refuses_scrape(&self) -> bool {
        self.scrape.is_some_and(|value| truth(value) == Some(false))
    }

    /// Does the pod let its metrics be merged?
    pub fn allows_merge(&self) -> bool {
        self.merge.and_then(truth) != Some(false)
    }

    /// What is to be remembered when the annotations are rewritten.
    pub fn originals(&self) -> impl Iterator<Item = (&'static str, &'a str)> {
        let now = [self.scrape, self.port, self.path];
        ORIGINALS.into_iter().zip(now).filter_map(|(name, value)| Some((name, value?)))
    }

    /// What was remembered then: the annotation it is in, the one it was in, the value.
    pub fn remembered(&self) -> impl Iterator<Item = (&'static str, &'static str, &'a str)> {
        let names = ORIGINALS.into_iter().zip([SCRAPE, PORT, PATH]);
        names.zip(self.originals).filter_map(|((original, name), value)| Some((original, name, value?)))
    }

    /// Where the application's own page is; `None` when it has none to look at.
    pub fn application(&self) -> Option<Application<'a>> {
        let [scrape, port, path] =
            if self.leads_to_page() { self.originals } else { [self.scrape, self.port, self.path] };
        if scrape.and_then(truth) != Some(true) {
            return None;
        }
        Some(Application {
            port: port.and_then(|port| port.parse().ok()).unwrap_or(80),
            path: path.filter(|path| !path.is_empty()).unwrap_or("/metrics"),
            merge: self.allows_merge(),
        })
    }
}

/// Keys of annotations that mean to Prometheus what the three standard ones mean.
pub fn spellings(annotations: Option<&BTreeMap<String, String>>) -> impl Iterator<Item = &str> {
    let is_one = |key: &&str| [SCRAPE, PORT, PATH].iter().any(|name| sanitized(key) == sanitized(name));
    annotations.into_iter().flat_map(|all| all.keys()).map(String::as_str).filter(is_one)
}

/// An annotation's name as Prometheus makes a label of it: what a label may not hold becomes `_`.
fn sanitized(name: &str) -> String {
    name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect()
}

/// The words that Go, and so Istio, takes for a truth value.
fn truth(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
