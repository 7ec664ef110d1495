//! What a conversion finds out about one object, before file and line are known.
//!
//! Conversions write here and go on, so that one look at a file shows everything that is wrong
//! with it. [`super::parse`] turns findings into [`super::problem::Problem`]s.

use super::field_path::FieldPath;

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Field it is about.
    pub path: FieldPath,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub next_step: String,
    /// Lines below the field, for text inside a block scalar (the mesh configuration).
    pub lines_below: usize,
}

/// Errors and warnings of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// With any of these the object does not act.
    pub errors: Vec<Finding>,
    /// The object acts all the same.
    pub warnings: Vec<Finding>,
}

impl Findings {
    /// The object cannot act as written.
    pub fn error(&mut self, path: &FieldPath, message: impl Into<String>, next_step: impl Into<String>) {
        self.errors.push(Finding::new(path, message, next_step));
    }

    /// The object acts, but the reader should know something.
    pub fn warn(&mut self, path: &FieldPath, message: impl Into<String>, next_step: impl Into<String>) {
        self.warnings.push(Finding::new(path, message, next_step));
    }

    /// Warns about those of the named fields of `path` that are set: they are read and not acted upon.
    pub fn not_enforced<const N: usize>(&mut self, path: &FieldPath, fields: [(&str, bool); N]) {
        for (name, _) in fields.into_iter().filter(|(_, is_set)| *is_set) {
            self.warn(&path.key(name), NOT_ENFORCED, "");
        }
    }
}

/// Said of every field that is typed, accepted, and has no effect yet.
pub const NOT_ENFORCED: &str = "is accepted and not enforced yet";

impl Finding {
    /// A finding about a field of the object itself.
    pub fn new(path: &FieldPath, message: impl Into<String>, next_step: impl Into<String>) -> Self {
        Self { path: path.clone(), message: message.into(), next_step: next_step.into(), lines_below: 0 }
    }
}
