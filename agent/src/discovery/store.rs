//! The objects in force, by name, each with the file it came from.
//!
//! A directory of files has no API server that refuses a bad version, so the store plays its part:
//! while a document is broken, the last good version of its object stays in force. A name that is
//! in two files is taken from the later one (by file name).

use std::{collections::BTreeMap, sync::Arc};

use super::{
    objects::Key,
    parse::{Parsed, ParsedFile},
    problem::Problem,
};

/// All files with what they hold.
#[derive(Debug, Default)]
pub struct Store {
    files: BTreeMap<Arc<str>, Held>,
}

/// What one file holds.
#[derive(Debug, Default)]
struct Held {
    objects: BTreeMap<Key, Object>,
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
    notes: Vec<Problem>,
}

#[derive(Debug)]
struct Object {
    parsed: Parsed,
    /// A version that stays in force while the file's own is broken.
    is_retained: bool,
}

/// An object in force.
#[derive(Clone, Copy, Debug)]
pub struct InForce<'a> {
    /// File it came from.
    pub file: &'a Arc<str>,
    /// What it says.
    pub parsed: &'a Parsed,
    is_retained: bool,
}

impl<'a> InForce<'a> {
    /// An object that `place` says, in its newest version.
    pub fn new(place: &'a Arc<str>, parsed: &'a Parsed) -> Self {
        Self { file: place, parsed, is_retained: false }
    }
}

/// Everything in force, with the warnings that only the whole shows.
#[derive(Debug, Default)]
pub struct View<'a> {
    /// Objects by name.
    pub objects: BTreeMap<&'a Key, InForce<'a>>,
    /// Names used twice.
    pub warnings: Vec<Problem>,
}

impl Store {
    /// Takes the new content of a file.
    pub fn put(&mut self, file: &Arc<str>, parsed: ParsedFile) {
        let has_nameless_errors = parsed.has_nameless_errors();
        let mut before = self.files.remove(file).unwrap_or_default().objects;
        let mut held = Held { warnings: parsed.warnings, notes: parsed.notes, ..Held::default() };
        for object in parsed.objects {
            let key = object.key.clone();
            let line = object.line;
            let replaced = held.objects.insert(key.clone(), Object { parsed: object, is_retained: false });
            if let Some(earlier) = replaced {
                let other = place(file, earlier.parsed.line);
                held.warnings.push(twice(file, line, &key, &other));
            }
        }
        for (key, problem) in parsed.errors {
            let previous = key.as_ref().and_then(|key| before.remove_entry(key));
            let stays = match (&key, previous) {
                (Some(key), _) if held.objects.contains_key(key) => "the version read before stays in force",
                (Some(_), Some((key, object))) => {
                    held.objects.insert(key, Object { is_retained: true, ..object });
                    "the version read before stays in force"
                }
                (Some(_), None) => "it does not act until then",
                (None, _) => "what was read from here before stays in force",
            };
            held.errors.push(problem.followed_by(stays));
        }
        if has_nameless_errors {
            // One of the objects of before is in the broken text, nobody knows which: keep them all.
            for (key, object) in before {
                held.objects.entry(key).or_insert(Object { is_retained: true, ..object });
            }
        }
        self.files.insert(file.clone(), held);
    }

    /// The file is there and cannot be read: what it held stays in force.
    pub fn keep(&mut self, file: &Arc<str>, problem: Problem) {
        let held = self.files.entry(file.clone()).or_default();
        held.objects.values_mut().for_each(|object| object.is_retained = true);
        held.errors = vec![problem];
    }

    /// The file is gone, and its objects with it.
    pub fn remove(&mut self, file: &str) {
        self.files.remove(file);
    }

    /// Names of the files.
    pub fn files(&self) -> impl Iterator<Item = &Arc<str>> {
        self.files.keys()
    }

    /// Does the file hold objects?
    pub fn holds_objects(&self, file: &str) -> bool {
        self.files.get(file).is_some_and(|held| !held.objects.is_empty())
    }

    /// The objects in force.
    pub fn view(&self) -> View<'_> {
        let mut view = View::default();
        for (file, held) in &self.files {
            for (key, object) in &held.objects {
                let candidate = InForce { file, parsed: &object.parsed, is_retained: object.is_retained };
                let Some(earlier) = view.objects.insert(key, candidate) else { continue };
                // A version that is only kept for want of a better one gives way to one that is good.
                let (winner, loser) = match candidate.is_retained && !earlier.is_retained {
                    true => (earlier, candidate),
                    false => (candidate, earlier),
                };
                view.objects.insert(key, winner);
                let other = place(loser.file, loser.parsed.line);
                view.warnings.push(twice(winner.file, winner.parsed.line, key, &other));
            }
        }
        view
    }

    /// Errors of all files.
    pub fn errors(&self) -> impl Iterator<Item = &Problem> {
        self.files.values().flat_map(|held| &held.errors)
    }

    /// Warnings about what is no object in force.
    pub fn file_warnings(&self) -> impl Iterator<Item = &Problem> {
        self.files.values().flat_map(|held| &held.warnings)
    }

    /// Kinds left alone.
    pub fn notes(&self) -> impl Iterator<Item = &Problem> {
        self.files.values().flat_map(|held| &held.notes)
    }
}

fn place(file: &str, line: Option<usize>) -> String {
    line.map_or_else(|| file.to_owned(), |line| format!("{file}:{line}"))
}

fn twice(file: &Arc<str>, line: Option<usize>, key: &Key, other: &str) -> Problem {
    Problem {
        file: file.clone(),
        line,
        object: Some(key.to_string()),
        field: None,
        message: format!("is defined here and in {other}; the one here is used"),
        next_step: "remove one of them".into(),
    }
}

#[cfg(test)]
mod tests;
