//! Reads objects: the text of a file, or an object as the API server has it, with everything that is wrong with it.
//!
//! Nothing here touches the disk or the network or knows what was read before: [`super::store`] and
//! [`super::api_server`] decide what happens to objects whose new version is broken. Problems name file and line (or
//! the API server), object and field.

mod item;
mod typed;

use std::sync::Arc;

use serde_yaml_ng::Value;

use super::{
    document::{self, Document},
    field_path::FieldPath,
    findings::Finding,
    intern::Interner,
    locate::line_of,
    objects::{Content, Key},
    problem::Problem,
};

/// Who wrote the objects down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A person, in files: what a cluster would fill in may be missing, annotations stand for it.
    Files,
    /// An API server: it has checked and completed its own kinds, and may know more fields of them than weft.
    ApiServer,
}

/// What reading needs to know about the mesh.
#[derive(Clone, Debug)]
pub struct Settings {
    /// DNS suffix of the cluster, for fully qualified names.
    pub cluster_domain: Arc<str>,
    /// Who wrote what is read.
    pub origin: Origin,
    /// Keeps one copy of equal strings.
    pub interner: Interner,
}

impl Default for Settings {
    fn default() -> Self {
        Self { cluster_domain: "cluster.local".into(), origin: Origin::Files, interner: Interner::default() }
    }
}

/// One good object.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// Its name.
    pub key: Key,
    /// Line it starts at, where there are lines.
    pub line: Option<usize>,
    /// What it says.
    pub content: Content,
    /// What it says in vain.
    pub warnings: Vec<Problem>,
}

/// What is in one file.
#[derive(Clone, Debug, Default)]
pub struct ParsedFile {
    /// Good objects in the file's order.
    pub objects: Vec<Parsed>,
    /// Errors, with the object where its name could be read.
    pub errors: Vec<(Option<Key>, Problem)>,
    /// Warnings about things that are no objects in force.
    pub warnings: Vec<Problem>,
    /// Kinds that were left alone.
    pub notes: Vec<Problem>,
}

impl ParsedFile {
    /// Is there a broken object whose name is not known?
    pub fn has_nameless_errors(&self) -> bool {
        self.errors.iter().any(|(key, _)| key.is_none())
    }
}

/// Reads the text of the file called `name`.
pub fn parse(name: &str, text: &str, settings: &Settings) -> ParsedFile {
    let mut file = ParsedFile::default();
    for document in document::split(text) {
        let place = Place { file: name.into(), document: Some(document) };
        match serde_yaml_ng::from_str::<Value>(document.text).and_then(merged) {
            Ok(Value::Null) => {}
            Ok(value) => item::read_all(&place, value, settings, &mut file),
            Err(error) => file.errors.push((None, syntax_error(name, &document, &error))),
        }
    }
    file
}

/// Reads one object that `place` has, as a value and not as text.
pub fn object(place: &Arc<str>, value: Value, settings: &Settings) -> ParsedFile {
    let mut read = ParsedFile::default();
    item::read_all(&Place { file: place.clone(), document: None }, value, settings, &mut read);
    read
}

/// With YAML's merge keys (`<<`) resolved, and keys such as `8080:` as strings, as JSON has them.
fn merged(mut value: Value) -> Result<Value, serde_yaml_ng::Error> {
    value.apply_merge()?;
    Ok(with_string_keys(value))
}

fn with_string_keys(value: Value) -> Value {
    let as_string = |key: Value| match key {
        Value::Number(number) => Value::String(number.to_string()),
        Value::Bool(truth) => Value::String(truth.to_string()),
        key => key,
    };
    match value {
        Value::Mapping(map) => {
            Value::Mapping(map.into_iter().map(|(key, value)| (as_string(key), with_string_keys(value))).collect())
        }
        Value::Sequence(list) => Value::Sequence(list.into_iter().map(with_string_keys).collect()),
        value => value,
    }
}

/// Where something was read: makes problems out of findings.
struct Place<'a> {
    file: Arc<str>,
    /// The text, where there is one.
    document: Option<Document<'a>>,
}

impl Place<'_> {
    /// Line of the file at which the field of the document stands.
    fn line(&self, path: &FieldPath) -> Option<usize> {
        let document = self.document.as_ref()?;
        Some(document.lines_before + line_of(document.text, path).unwrap_or(1))
    }

    /// A finding about the object at `at` of this document.
    fn problem(&self, object: &str, at: &FieldPath, finding: Finding) -> Problem {
        Problem {
            file: self.file.clone(),
            line: self.line(&at.join(&finding.path)).map(|line| line + finding.lines_below),
            object: Some(object.to_owned()),
            field: (!finding.path.is_root()).then(|| finding.path.to_string()),
            message: finding.message,
            next_step: finding.next_step,
        }
    }
}

fn syntax_error(file: &str, document: &Document<'_>, error: &serde_yaml_ng::Error) -> Problem {
    // At the end of the text the parser points behind its last line.
    let last = document.text.lines().count().max(1);
    let line = error.location().map_or(1, |place| place.line()).min(last);
    // The location is said once, as a line of the file, not again as one of the document.
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or(&message);
    Problem {
        file: file.into(),
        line: Some(document.lines_before + line),
        object: None,
        field: None,
        message: format!("not readable as YAML: {message}"),
        next_step: "look for wrong indentation or a missing quote at or above this line".into(),
    }
}

#[cfg(test)]
mod tests;
