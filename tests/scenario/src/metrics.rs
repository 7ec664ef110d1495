//! Prometheus text as tests ask about it: samples by name and labels, and their sums.
//!
//! Pages come from pods, the mesh's own with the application's merged in or the application's alone; reading is strict, so that a page
//! Prometheus would refuse fails the test.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};

/// One line of a page.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The metric.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

/// A page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    /// Its samples in order.
    pub samples: Vec<Sample>,
}

impl Metrics {
    /// Reads the text format. Fails for a line that is none, and for a sample that comes twice.
    pub fn parse(page: &str) -> Result<Self> {
        let lines = page.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let samples = lines.map(|line| sample(line).with_context(|| format!("metric line {line:?}")));
        let samples: Vec<Sample> = samples.collect::<Result<_>>()?;
        let mut seen = BTreeMap::new();
        for sample in &samples {
            let twice = seen.insert((&sample.name, &sample.labels), ());
            ensure!(twice.is_none(), "{} {:?} comes twice", sample.name, sample.labels);
        }
        Ok(Self { samples })
    }

    /// The samples of `name` that have all these labels.
    pub fn matching(&self, name: &str, labels: &[(&str, &str)]) -> Vec<&Sample> {
        let has =
            |sample: &Sample, (label, value): &(&str, &str)| sample.labels.get(*label).is_some_and(|own| own == value);
        let fits = |sample: &&Sample| sample.name == name && labels.iter().all(|wanted| has(sample, wanted));
        self.samples.iter().filter(fits).collect()
    }

    /// The sum over [`Metrics::matching`]; 0 when there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.matching(name, labels).iter().map(|sample| sample.value).sum()
    }

    /// The requests the mesh counted with all these labels.
    pub fn requests(&self, labels: &[(&str, &str)]) -> f64 {
        self.sum("istio_requests_total", labels)
    }
}

fn sample(line: &str) -> Result<Sample> {
    let end = line.find(['{', ' ']).context("no value")?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"").context("a label without a quoted value")?;
            let (value, after) = quoted(after)?;
            labels.insert(label.to_owned(), value);
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    let value = rest.split_whitespace().next().context("no value")?;
    Ok(Sample { name: name.to_owned(), labels, value: value.parse().with_context(|| format!("value {value:?}"))? })
}

/// A label's value up to its closing quote, and what follows.
fn quoted(text: &str) -> Result<(String, &str)> {
    let (mut value, mut characters) = (String::new(), text.char_indices());
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => value.push(match characters.next() {
                Some((_, 'n')) => '\n',
                Some((_, other)) => other,
                None => bail!("nothing after a backslash"),
            }),
            other => value.push(other),
        }
    }
    bail!("a label's value has no end")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_found_by_their_labels_and_summed() {
        let page =
            "# TYPE a counter\na{x=\"1\",y=\"p,q}\\\"\"} 2\na{x=\"1\",y=\"\"} 3.5\na{x=\"2\",} 7 1700000000\nb 1\n";
        let metrics = Metrics::parse(page).unwrap();
        assert_eq!(metrics.sum("a", &[("x", "1")]), 5.5);
        assert_eq!(metrics.sum("a", &[("y", "p,q}\"")]), 2.0);
        assert_eq!((metrics.sum("a", &[]), metrics.sum("b", &[]), metrics.sum("c", &[])), (12.5, 1.0, 0.0));
    }

    #[test]
    fn what_prometheus_would_refuse_is_refused() {
        for page in ["a", "a{x=\"1\" 2", "a{x=\"1\"} two", "a{x} 1", "a{x=\"1\"} 1\na{x=\"1\"} 1"] {
            assert!(Metrics::parse(page).is_err(), "{page}");
        }
    }
}
