//! One page from two: the mesh's series and the application's own (Istio's `enablePrometheusMerge`).
//!
//! Pure text. The scrape of the application is the caller's. One line that Prometheus cannot parse
//! would cost the whole page, the mesh's series included, so the application's lines are checked:
//! what does not parse is left out, and the page says how much.

use std::{borrow::Cow, collections::HashSet};

/// The page of the pod's endpoint: `mesh` first, then what `app` adds to it.
pub fn merge(mesh: &str, app: &str) -> String {
    let mut merged = Merged { out: String::with_capacity(mesh.len() + app.len() + 128), ..Merged::default() };
    merged.out.push_str(mesh);
    for line in mesh.lines() {
        if let Some((kind, name, _)) = declaration(line) {
            merged.is_first(kind, name.into());
        }
    }
    // `# EOF` ends an OpenMetrics page; there, counters, exemplars and timestamps differ.
    let open_metrics = app.lines().any(|line| line.trim_end() == "# EOF");
    app.lines().for_each(|line| merged.add(line.trim(), open_metrics));
    merged.finish()
}

#[derive(Default)]
struct Merged<'a> {
    out: String,
    /// Families that may not be declared again: declared (by kind), or sampled (a TYPE would be late).
    settled: HashSet<(Kind, Cow<'a, str>)>,
    left_out: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Help,
    Type,
}

/// `# HELP name text` and `# TYPE name type`.
fn declaration(line: &str) -> Option<(Kind, &str, &str)> {
    let (kind, rest) = if let Some(rest) = line.strip_prefix("# HELP ") {
        (Kind::Help, rest)
    } else {
        (Kind::Type, line.strip_prefix("# TYPE ")?)
    };
    let (name, text) = rest.trim_start().split_once([' ', '\t']).unwrap_or((rest.trim(), ""));
    Some((kind, name, text.trim()))
}

impl<'a> Merged<'a> {
    fn add(&mut self, line: &'a str, open_metrics: bool) {
        if line.is_empty() || line == "# EOF" {
            return;
        }
        if line.contains('\0') {
            // Prometheus' parser takes it for the end of the page, also inside a comment.
            self.left_out += 1;
        } else if let Some((kind, name, text)) = declaration(line) {
            self.declare(line, kind, name, text, open_metrics);
        } else if line.starts_with('#') {
            self.line(line);
        } else {
            match sample(line) {
                Some(sample) if open_metrics || sample.is_classic => {
                    self.is_first(Kind::Type, sample.name.into());
                    self.line(if open_metrics { sample.without_extras } else { line });
                }
                _ => self.left_out += 1,
            }
        }
    }

    /// Only one HELP and one TYPE may exist per family: the first ones stay.
    fn declare(&mut self, line: &str, kind: Kind, name: &'a str, text: &str, open_metrics: bool) {
        if !is_name(name) {
            self.left_out += 1;
        } else if kind == Kind::Help {
            if self.is_first(kind, name.into()) {
                self.line(line);
            }
        } else if let Some(text) = classic_type(text) {
            // OpenMetrics names the family of counter `x_total` just `x`.
            let renamed = open_metrics && text == "counter" && !name.ends_with("_total");
            let family = if renamed { Cow::Owned(format!("{name}_total")) } else { name.into() };
            if self.is_first(kind, family.clone()) {
                self.line(&format!("# TYPE {family} {text}"));
            }
        } else {
            self.left_out += 1;
        }
    }

    fn is_first(&mut self, kind: Kind, family: Cow<'a, str>) -> bool {
        self.settled.insert((kind, family))
    }

    fn line(&mut self, line: &str) {
        self.out.push_str(line);
        self.out.push('\n');
    }

    fn finish(mut self) -> String {
        if self.left_out > 0 {
            let note = format!(
                "# weft: {} lines of the application's metrics are not Prometheus text and were left out",
                self.left_out
            );
            self.line(&note);
        }
        self.out
    }
}

/// The type in words of the classic format; `None` for one that neither format knows.
fn classic_type(text: &str) -> Option<&'static str> {
    Some(match text {
        "counter" => "counter",
        "gauge" | "info" | "stateset" => "gauge",
        "histogram" => "histogram",
        "summary" => "summary",
        "untyped" | "unknown" | "gaugehistogram" => "untyped",
        _ => return None,
    })
}

struct Sample<'a> {
    name: &'a str,
    /// Name, labels and value, without timestamp and exemplar.
    without_extras: &'a str,
    /// Nothing follows but perhaps a timestamp in milliseconds.
    is_classic: bool,
}

/// `name{label="value",...} value [timestamp]`; `None` when it is not that.
fn sample(line: &str) -> Option<Sample<'_>> {
    let name_end = line.find(['{', ' ', '\t']).unwrap_or(line.len());
    if !is_name(&line[..name_end]) {
        return None;
    }
    let rest = line[name_end..].trim_start();
    let rest = if let Some(labels) = rest.strip_prefix('{') { after_labels(labels)? } else { rest };
    let rest = rest.trim_start();
    let value_end = rest.find([' ', '\t']).unwrap_or(rest.len());
    rest[..value_end].parse::<f64>().ok()?;
    let extras = rest[value_end..].trim();
    Some(Sample {
        name: &line[..name_end],
        without_extras: line[..line.len() - rest.len() + value_end].trim_end(),
        is_classic: extras.is_empty() || extras.parse::<i64>().is_ok(),
    })
}

/// What follows the closing brace of `labels`.
fn after_labels(labels: &str) -> Option<&str> {
    let mut rest = labels.trim_start();
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Some(after);
        }
        let (name, value) = rest.split_once('=')?;
        if !is_name(name.trim_end()) || name.contains(':') {
            return None;
        }
        rest = after_quoted(value.trim_start().strip_prefix('"')?)?.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None if rest.starts_with('}') => {}
            None => return None,
        }
    }
}

/// What follows the closing quote of `value`.
fn after_quoted(value: &str) -> Option<&str> {
    let mut escaped = false;
    for (at, character) in value.char_indices() {
        match character {
            '\\' if !escaped => {
                escaped = true;
                continue;
            }
            '"' if !escaped => return Some(&value[at + 1..]),
            _ => {}
        }
        escaped = false;
    }
    None
}

/// `[a-zA-Z_:][a-zA-Z0-9_:]*`
fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let word = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_' || byte == b':';
    bytes.next().is_some_and(word) && bytes.all(|byte| word(byte) || byte.is_ascii_digit())
}

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(test)]
mod tests;
