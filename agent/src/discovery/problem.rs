//! What is wrong with a source of objects, in words a person can act on.
//!
//! Every problem names the file and line or the API server, the object, the field, what is wrong and the next step.
//! The watch logs each new one once; `weft status` and `weft check` print the [`Report`].

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// One thing to correct or to know.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Problem {
    /// File name below the directory, or the directory itself; or the API server.
    pub file: Arc<str>,
    /// Line in the file, counted from 1, when known.
    pub line: Option<usize>,
    /// `Kind namespace/name`, when known.
    pub object: Option<String>,
    /// Path of the field, when one is to blame.
    pub field: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do next; empty when nothing needs to be done.
    pub next_step: String,
}

impl Problem {
    /// With words about what is in force meanwhile.
    #[must_use]
    pub fn followed_by(mut self, words: &str) -> Self {
        self.next_step = match self.next_step.as_str() {
            "" => words.to_owned(),
            next => format!("{next}; {words}"),
        };
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(object) = &self.object {
            write!(f, ": {object}")?;
        }
        if let Some(field) = &self.field {
            write!(f, ": {field}")?;
        }
        write!(f, ": {}", self.message)?;
        if !self.next_step.is_empty() {
            write!(f, "; {}", self.next_step)?;
        }
        Ok(())
    }
}

/// State of a source as last read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Objects that do not act as written.
    pub errors: Vec<Problem>,
    /// Objects that act, but not in everything they say.
    pub warnings: Vec<Problem>,
    /// Things left alone on purpose, such as kinds a mesh has no business with.
    pub notes: Vec<Problem>,
    /// Objects in force.
    pub objects: usize,
    /// What has to be read before there is a world at all: kinds of objects, or the directory.
    pub awaited: Vec<String>,
    /// When the directory was last read successfully, or the watches of the API server were last known to be alive;
    /// `None` before everything was read once.
    pub read_at: Option<SystemTime>,
}

impl Report {
    /// A report about nothing read yet.
    pub fn empty() -> Self {
        Self {
            errors: Vec::new(),
            warnings: Vec::new(),
            notes: Vec::new(),
            awaited: Vec::new(),
            objects: 0,
            read_at: None,
        }
    }

    /// Time since the source was last read successfully.
    pub fn age(&self) -> Option<Duration> {
        // A clock set back makes the age unknowable, not negative: call it fresh.
        self.read_at.map(|at| SystemTime::now().duration_since(at).unwrap_or_default())
    }

    /// May the source be used without reservation?
    pub fn is_clean(&self) -> bool {
        self.errors.is_empty() && self.warnings.is_empty()
    }

    /// Do both say the same, whenever it was that they looked?
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        self.errors == other.errors
            && self.warnings == other.warnings
            && self.notes == other.notes
            && self.awaited == other.awaited
            && self.objects == other.objects
    }
}
